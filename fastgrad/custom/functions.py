"""The elementary functions that may stand in a user's function, under all names that they have.

Primitives know their slope; the others are made of them, so that theirs follows. Numba compiles the
primitives as `compiled_dual` says, and everything else as it is written here.
"""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from fastgrad.custom.dual import Dual, dual

Number: TypeAlias = Any
Function: TypeAlias = Callable[..., Any]

LN2 = math.log(2)
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _sigmoid(x: float) -> float:
    t = np.exp(-abs(x))
    return float((t if x < 0 else 1) / (1 + t))


exp: Function
sqrt: Function
sin: Function
cos: Function

# value of a float64, and slope of x and y = f(x), which may be used as numbers of any kind
PRIMITIVES: dict[str, tuple[Function, Function]] = {
    "exp": (np.exp, lambda x, y: y),
    "expm1": (np.expm1, lambda x, y: y + 1),
    "log": (np.log, lambda x, y: 1 / x),
    "log1p": (np.log1p, lambda x, y: 1 / (1 + x)),
    "tanh": (np.tanh, lambda x, y: 1 - y * y),
    "sigmoid": (_sigmoid, lambda x, y: y * (1 - y)),
    "erf": (math.erf, lambda x, y: _TWO_OVER_ROOT_PI * exp(-x * x)),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "sin": (np.sin, lambda x, y: cos(x)),
    "cos": (np.cos, lambda x, y: -sin(x)),
    "arctan": (np.arctan, lambda x, y: 1 / (1 + x * x)),
    "arcsin": (np.arcsin, lambda x, y: 1 / sqrt(1 - x * x)),
    "floor": (np.floor, lambda x, y: 0 * y),
    "ceil": (np.ceil, lambda x, y: 0 * y),
    "trunc": (np.trunc, lambda x, y: 0 * y),
}


def _primitive(name: str) -> Function:
    value, slope = PRIMITIVES[name]

    def function(x: Number) -> Number:
        found = dual(x)
        if found is None:
            raise TypeError(f"{name} takes a number, got {x!r}")
        with np.errstate(all="ignore"):
            y = float(value(np.float64(found.value)))
        if not isinstance(x, Dual):
            return y
        if x.slope is None:
            return Dual(y)
        return Dual(y, slope(Dual(x.value), Dual(y)).value * x.slope)

    function.__name__ = function.__qualname__ = name
    return function


exp, expm1, log, log1p, tanh, sigmoid, erf, sqrt, sin, cos, arctan, arcsin, floor, ceil, trunc = (
    _primitive(name) for name in PRIMITIVES
)


def natural_log(x: Number, base: Number = None) -> Number:
    return log(x) if base is None else log(x) / log(base)


def log2(x: Number) -> Number:
    return log(x) / LN2


def log10(x: Number) -> Number:
    return log(x) / log(10.0)


def exp2(x: Number) -> Number:
    return exp(x * LN2)


def logaddexp(x: Number, y: Number) -> Number:
    d = x - y  # no abs, whose slope at 0 is not that of the sum
    return (x if d > 0 else y) + log1p(exp(-d if d > 0 else d))


def tan(x: Number) -> Number:
    return sin(x) / cos(x)


def arccos(x: Number) -> Number:
    return 0.5 * math.pi - arcsin(x)


def sinh(x: Number) -> Number:
    t = expm1(abs(x))
    y = 0.5 * (t + t / (t + 1))
    return y if x >= 0 else -y


def cosh(x: Number) -> Number:
    t = exp(abs(x))
    return 0.5 * t + 0.5 / t


def arcsinh(x: Number) -> Number:
    a = abs(x)
    y = log1p(a + a * a / (1 + sqrt(a * a + 1)))
    return y if x >= 0 else -y


def arccosh(x: Number) -> Number:
    return log(x + sqrt(x * x - 1))


def arctanh(x: Number) -> Number:
    return 0.5 * (log1p(x) - log1p(-x))


def erfc(x: Number) -> Number:
    return 1 - erf(x)


def hypot(x: Number, y: Number) -> Number:
    return sqrt(x * x + y * y)


def square(x: Number) -> Number:
    return x * x


def reciprocal(x: Number) -> Number:
    return 1 / x


def negative(x: Number) -> Number:
    return -x


def absolute(x: Number) -> Number:
    return abs(x)


def power(x: Number, y: Number) -> Number:
    return x**y


def add(x: Number, y: Number) -> Number:
    return x + y


def subtract(x: Number, y: Number) -> Number:
    return x - y


def multiply(x: Number, y: Number) -> Number:
    return x * y


def divide(x: Number, y: Number) -> Number:
    return x / y


def sign(x: Number) -> Number:
    return 1.0 if x > 0 else -1.0 if x < 0 else 0.0


def maximum(x: Number, y: Number) -> Number:
    """NaN where one of them is."""
    return x if x >= y or x != x else y


def minimum(x: Number, y: Number) -> Number:
    """NaN where one of them is."""
    return x if x <= y or x != x else y


def clip(x: Number, low: Number, high: Number) -> Number:
    return minimum(maximum(x, low), high)


def where(condition: Any, x: Number, y: Number) -> Number:
    return x if condition else y


def copysign(x: Number, y: Number) -> Number:
    a = abs(x)
    return a if y >= 0 else -a


def is_nan(x: Number) -> bool:
    return bool(x != x)


def is_finite(x: Number) -> bool:
    return bool(x - x == 0)


def number(x: Number) -> Number:
    """What `float` is of a number that has a slope: itself."""
    return x if isinstance(x, Dual) else float(x)


def largest(x: Number, y: Number, *others: Number) -> Number:
    return builtins.max(x, y, *others)


def smallest(x: Number, y: Number, *others: Number) -> Number:
    return builtins.min(x, y, *others)


# what everything else is made of, apart from operators
BASIC: set[Function] = {
    exp, expm1, log, log1p, tanh, sigmoid, erf, sqrt, sin, cos, arctan, arcsin, floor, ceil, trunc,
    number, largest, smallest,
}  # fmt: skip
_ALSO: dict[Function, str] = {  # by what it is called, what else it is called
    absolute: "abs fabs absolute",
    arccos: "acos arccos",
    arccosh: "acosh arccosh",
    arcsin: "asin arcsin",
    arcsinh: "asinh arcsinh",
    arctan: "atan arctan",
    arctanh: "atanh arctanh",
    divide: "divide true_divide",
    natural_log: "log",
    sigmoid: "expit",
    power: "pow power float_power",
    number: "float32 float64",
    is_nan: "isnan",
    is_finite: "isfinite",
}
_PLAIN = (
    add, ceil, clip, copysign, cos, cosh, erf, erfc, exp, exp2, expm1, floor, hypot, log10, log1p,
    log2, logaddexp, maximum, minimum, multiply, negative, reciprocal, sign, sin, sinh, sqrt,
    square, subtract, tan, tanh, trunc, where,
)  # fmt: skip
NAMES: dict[str, Function] = {
    **{function.__name__: function for function in _PLAIN},
    **{name: function for function, names in _ALSO.items() for name in names.split()},
}
BUILTINS: dict[str, Function] = {
    "abs": absolute, "float": number, "max": largest, "min": smallest, "pow": power,
}  # fmt: skip


def replacements() -> dict[Any, Function]:
    """By function of `math`, NumPy or SciPy, the one of this module that stands for it."""
    modules = [math, np]
    if "scipy.special" in sys.modules:
        modules.append(sys.modules["scipy.special"])
    return {theirs: own for module in modules for theirs, own in _pairs(module)}


def _pairs(module: Any) -> Iterator[tuple[Any, Function]]:
    for name, own in NAMES.items():
        theirs = getattr(module, name, None)
        if callable(theirs):
            yield theirs, own
