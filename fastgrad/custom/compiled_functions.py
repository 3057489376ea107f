"""The functions of `functions` for Numba: what they are of a `DualType`, and of a number."""

from __future__ import annotations

import math
import operator
from typing import Any

from numba import njit, types
from numba.core.target_extension import current_target
from numba.extending import intrinsic, overload

from fastgrad.backends.numba import math as vector_math
from fastgrad.custom import functions
from fastgrad.custom.compiled_dual import (
    DualType,
    constant,
    kind_of,
    still,
    value_of,
    with_slope,
)

OPTIONS = vector_math.OPTIONS | {"forceinline": True}
# for GPUs any of these flags would mean all of them, and what formulas round here has none to use
_PLAIN = {key: value for key, value in OPTIONS.items() if key != "fastmath"}


def _rounding(name: str) -> Any:
    """floor, ceil or trunc, of which Numba has no version for GPUs that gives a float."""

    @intrinsic
    def rounded(typingctx: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            kind = builder.module.declare_intrinsic(f"llvm.{name}", [args[0].type])
            return builder.call(kind, args)

        return x(x), generate

    return rounded


@njit(**_PLAIN)
def _sigmoid(x: Any) -> Any:
    z = constant(x)
    t = functions.exp(-abs(z))
    return value_of((t if z < 0 else 1) / (1 + t))


_LIBRARY: dict[str, Any] = {
    "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos, "arctan": math.atan, "arcsin": math.asin,
    **{name: _rounding(name) for name in ("floor", "ceil", "trunc")},
}  # fmt: skip
_OF_GPUS: dict[str, Any] = {
    "exp": math.exp, "expm1": math.expm1, "log": math.log, "log1p": math.log1p, "tanh": math.tanh,
    "erf": math.erf, "sigmoid": _sigmoid,
}  # fmt: skip


def _implementation(name: str) -> Any:
    """What computes a primitive, where it is compiled for what is compiled now."""
    if name in _LIBRARY:
        return _LIBRARY[name]
    return _OF_GPUS[name] if current_target() == "cuda" else getattr(vector_math, name)


def _register_primitive(name: str) -> None:
    function = getattr(functions, name)
    slope = njit(**_PLAIN)(functions.PRIMITIVES[name][1])

    @overload(function, jit_options=_PLAIN)
    def choose(x):
        value = _implementation(name)
        if isinstance(x, (types.Number, types.Boolean)):
            return lambda x: value(x * 1.0)
        if not isinstance(x, DualType):
            return None
        if not x.active:
            return lambda x: constant(value(value_of(x)))

        def active(x):
            unchanged = constant(value_of(x))
            y = constant(value(value_of(x)))
            return with_slope(y, slope(unchanged, y), x)

        return active


for _name in functions.PRIMITIVES:
    _register_primitive(_name)


@overload(functions.number, jit_options=_PLAIN)
def _number(x):
    return (lambda x: x) if isinstance(x, DualType) else lambda x: x * 1.0


@overload(abs, jit_options=_PLAIN)
def _abs(x):
    return (lambda x: -x if x < 0 else x) if isinstance(x, DualType) else None


@overload(bool, jit_options=_PLAIN)
def _bool(x):
    return (lambda x: x != 0) if isinstance(x, DualType) else None


@overload(functions.largest, jit_options=_PLAIN)
def _largest(x, y, *others):
    if others:
        return lambda x, y, *others: functions.largest(functions.largest(x, y), *others)
    return lambda x, y, *others: y if y > x else x


@overload(functions.smallest, jit_options=_PLAIN)
def _smallest(x, y, *others):
    if others:
        return lambda x, y, *others: functions.smallest(functions.smallest(x, y), *others)
    return lambda x, y, *others: y if y < x else x


@overload(operator.floordiv, jit_options=_PLAIN)
def _floordiv(x, y):
    return (lambda x, y: functions.floor(x / y)) if kind_of((x, y)) else None


@overload(operator.mod, jit_options=_PLAIN)
def _mod(x, y):
    return (lambda x, y: x - functions.floor(x / y) * y) if kind_of((x, y)) else None


@njit(**_PLAIN)
def _raised(x, y):
    return constant(value_of(x) ** value_of(y))


@njit(**_PLAIN)
def _by_base(x, y):
    return y * _raised(x, y - 1) if y != 0 else y  # at 0, too


@overload(operator.pow, jit_options=_PLAIN)
def _pow(x, y):
    if kind_of((x, y)) is None or isinstance(y, types.IntegerLiteral):
        return None
    if not isinstance(y, DualType):

        def of_base(x, y):
            a, b = still(x, x), still(y, x)
            return with_slope(_raised(a, b), _by_base(a, b), x)

        return of_base
    if not isinstance(x, DualType):

        def of_exponent(x, y):
            a = still(x, y)
            raised = _raised(a, still(y, y))
            return with_slope(raised, raised * functions.log(a), y)

        return of_exponent

    def of_both(x, y):
        a, b = still(x, x), still(y, y)
        raised = _raised(a, b)
        by_base = with_slope(raised, _by_base(a, b), x)
        return by_base + with_slope(a * 0, raised * functions.log(a), y)

    return of_both
