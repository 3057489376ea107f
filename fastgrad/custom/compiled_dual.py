"""`dual.Dual` for Numba: the same rules on two registers, of float32 or of float64.

Constants of a formula take the type of the variable, so that float32 stays float32. Without this
file's types a function of Numba's own would compute in float64 what has a literal in it.
"""

from __future__ import annotations

import operator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    models,
    register_model,
)

_CONTRACT = ("contract",)


class DualType(types.Type):
    """A value of type `real`, and its slope where it is `active`."""

    def __init__(self, real: Any, active: bool) -> None:
        self.real = real
        self.active = active
        super().__init__(name=f"{'dual' if active else 'constant'}({real})")

    def unify(self, typingctx: Any, other: Any) -> Any:
        """What a variable is that may be either: numbers become what this is."""
        if isinstance(other, (types.Number, types.Boolean)):
            return self
        if isinstance(other, DualType) and other.real == self.real:
            return self if self.active else other
        return None

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:
        """Numbers do; constants become what has a slope of 0."""
        if isinstance(other, (types.Number, types.Boolean)):
            return Conversion.safe
        if isinstance(other, DualType) and other.real == self.real and self.active:
            return Conversion.safe
        return None


@register_model(DualType)
class _Model(models.StructModel):
    def __init__(self, manager: Any, kind: DualType) -> None:
        super().__init__(manager, kind, [("value", kind.real), ("slope", kind.real)])


def _pack(context: Any, builder: Any, kind: DualType, value: Any, slope: Any) -> Any:
    found = cgutils.create_struct_proxy(kind)(context, builder)
    found.value = value
    found.slope = value.type(0) if slope is None else slope
    return found._getvalue()


def _unpack(context: Any, builder: Any, kind: Any, argument: Any, real: Any) -> tuple[Any, Any]:
    """Value and slope; None for the slope of what does not change."""
    if not isinstance(kind, DualType):
        return context.cast(builder, argument, kind, real), None
    found = cgutils.create_struct_proxy(kind)(context, builder, value=argument)
    return found.value, found.slope if kind.active else None


@lower_cast(types.Number, DualType)
@lower_cast(types.Boolean, DualType)
@lower_cast(DualType, DualType)
def _cast(context: Any, builder: Any, given: Any, wanted: Any, argument: Any) -> Any:
    value, slope = _unpack(context, builder, given, argument, wanted.real)
    return _pack(context, builder, wanted, value, slope)


# operators


def _plus(builder: Any, a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else builder.fadd(a, b, _CONTRACT)


def _times(builder: Any, slope: Any, factor: Any) -> Any:
    return None if slope is None else builder.fmul(slope, factor, _CONTRACT)


def _minus(builder: Any, x: Any) -> Any:
    return builder.fsub(x.type(-0.0), x)  # as one instruction it is unknown to NVVM


def _negated(builder: Any, slope: Any) -> Any:
    return None if slope is None else _minus(builder, slope)


def _add(builder: Any, a: Any, b: Any, da: Any, db: Any) -> tuple[Any, Any]:
    return builder.fadd(a, b, _CONTRACT), _plus(builder, da, db)


def _sub(builder: Any, a: Any, b: Any, da: Any, db: Any) -> tuple[Any, Any]:
    return builder.fsub(a, b, _CONTRACT), _plus(builder, da, _negated(builder, db))


def _mul(builder: Any, a: Any, b: Any, da: Any, db: Any) -> tuple[Any, Any]:
    slope = _plus(builder, _times(builder, da, b), _times(builder, db, a))
    return builder.fmul(a, b, _CONTRACT), slope


def _truediv(builder: Any, a: Any, b: Any, da: Any, db: Any) -> tuple[Any, Any]:
    value = builder.fdiv(a, b, _CONTRACT)
    change = _plus(builder, da, _times(builder, db, _minus(builder, value)))
    return value, None if change is None else builder.fdiv(change, b, _CONTRACT)


def kind_of(arguments: tuple[Any, ...]) -> DualType | None:
    """The type of what depends on all of these; None where none of them is of this file."""
    duals = [kind for kind in arguments if isinstance(kind, DualType)]
    others = [kind for kind in arguments if not isinstance(kind, DualType)]
    if not duals or not all(isinstance(kind, (types.Number, types.Boolean)) for kind in others):
        return None
    return DualType(duals[0].real, any(kind.active for kind in duals))


def _template(key: Any, arguments: int, result: Any = None) -> None:
    """Have an operator take numbers and duals; it gives `result`, or one of these."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            found = kind_of(args) if len(args) == arguments else None
            return None if found is None else signature(result or found, *args)

    Template.key = key
    infer_global(key)(Template)


_MIXES = [
    (DualType, DualType),
    *((DualType, other) for other in (types.Number, types.Boolean)),
    *((other, DualType) for other in (types.Number, types.Boolean)),
]


def _register_arithmetic(rule: Any, *keys: Any) -> None:
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.return_type
        (a, da), (b, db) = (
            _unpack(context, builder, given, argument, kind.real)
            for given, argument in zip(sig.args, args, strict=True)
        )
        return _pack(context, builder, kind, *rule(builder, a, b, da, db))

    for key in keys:
        _template(key, 2)
        for mix in _MIXES:
            lower_builtin(key, *mix)(lower)


def _register_comparison(key: Any, symbol: str) -> None:
    compare = "fcmp_unordered" if symbol == "!=" else "fcmp_ordered"

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = kind_of(sig.args)
        assert kind is not None
        a, b = (
            _unpack(context, builder, given, argument, kind.real)[0]
            for given, argument in zip(sig.args, args, strict=True)
        )
        return getattr(builder, compare)(symbol, a, b)

    _template(key, 2, types.boolean)
    for mix in _MIXES:
        lower_builtin(key, *mix)(lower)


_register_arithmetic(_add, operator.add, operator.iadd)
_register_arithmetic(_sub, operator.sub, operator.isub)
_register_arithmetic(_mul, operator.mul, operator.imul)
_register_arithmetic(_truediv, operator.truediv, operator.itruediv)
for _key, _symbol in (
    (operator.eq, "=="), (operator.ne, "!="), (operator.lt, "<"), (operator.le, "<="),
    (operator.gt, ">"), (operator.ge, ">="),
):  # fmt: skip
    _register_comparison(_key, _symbol)
_template(operator.neg, 1)
_template(operator.pos, 1)


@lower_builtin(operator.neg, DualType)
def _neg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    value, slope = _unpack(context, builder, sig.args[0], args[0], None)
    return _pack(
        context, builder, sig.return_type, _minus(builder, value), _negated(builder, slope)
    )


@lower_builtin(operator.pos, DualType)
def _pos(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


class _WholePower(AbstractTemplate):
    """Of a literal exponent: multiplications, exact and of negative numbers, too."""

    key = operator.pow

    def generic(self, args: Any, kws: Any) -> Any:
        base, exponent = args
        if isinstance(base, DualType) and isinstance(exponent, types.IntegerLiteral):
            return signature(base, base, exponent)
        return None


infer_global(operator.pow)(_WholePower)


@lower_builtin(operator.pow, DualType, types.IntegerLiteral)
def _whole_power(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind, exponent = sig.args[0], sig.args[1].literal_value
    base = _unpack(context, builder, kind, args[0], None)
    one = base[0].type(1), None
    found: tuple[Any, Any] = one
    for bit in f"{abs(exponent):b}":
        if found is not one:
            found = _mul(builder, found[0], found[0], found[1], found[1])
        if bit == "1":
            found = base if found is one else _mul(builder, found[0], base[0], found[1], base[1])
    if exponent < 0:
        found = _truediv(builder, one[0], found[0], None, found[1])
    return _pack(context, builder, kind, *found)


# parts


@intrinsic
def value_of(typingctx: Any, x: Any) -> Any:
    """The value, a number of type `real`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _unpack(context, builder, x, args[0], None)[0]

    return x.real(x), generate


@intrinsic
def slope_of(typingctx: Any, x: Any) -> Any:
    """The slope, a number of type `real`; 0 of a constant."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, slope = _unpack(context, builder, x, args[0], None)
        return value.type(0) if slope is None else slope

    return x.real(x), generate


@intrinsic
def variable(typingctx: Any, value: Any) -> Any:
    """What has that value, and the slope 1."""
    kind = DualType(value, True)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _pack(context, builder, kind, args[0], args[0].type(1))

    return kind(value), generate


@intrinsic
def constant(typingctx: Any, value: Any) -> Any:
    """What has that value, and no slope."""
    kind = DualType(value, False)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _pack(context, builder, kind, args[0], None)

    return kind(value), generate


@intrinsic
def as_dual(typingctx: Any, x: Any, like: Any) -> Any:
    """A number or a dual as a dual of the real type that `like` has."""
    if not isinstance(x, (types.Number, types.Boolean, DualType)):
        return None
    kind = DualType(like, True)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], x, kind)

    return kind(x, like), generate


@intrinsic
def with_slope(typingctx: Any, y: Any, factor: Any, x: Any) -> Any:
    """y with `factor` times the slope of x."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (value, _), (rule, _), (_, slope) = (
            _unpack(context, builder, given, argument, x.real)
            for given, argument in zip(sig.args, args, strict=True)
        )
        return _pack(context, builder, x, value, _times(builder, slope, rule))

    return x(y, factor, x), generate


@intrinsic
def still(typingctx: Any, x: Any, kind: Any) -> Any:
    """A number or a dual as a constant of the real type of `kind`."""
    wanted = DualType(kind.real, False)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _pack(
            context, builder, wanted, _unpack(context, builder, x, args[0], kind.real)[0], None
        )

    return wanted(x, kind), generate
