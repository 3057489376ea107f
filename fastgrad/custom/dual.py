"""`Dual`: a number and its slope, so that a function of it gives its value and its derivative.

Forward-mode differentiation by operators: what this file says of each of them is the specification
that compiled functions are held against. Arithmetic is that of IEEE 754, as in compiled code:
division by 0 gives an infinity and no error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np


class Dual:
    """A value and the derivative of that value with respect to one variable.

    Parameters
    ----------
    value : float
    slope : float or None
        None of what does not depend on the variable, whatever it is multiplied by.
    """

    __slots__ = ("slope", "value")
    __array_ufunc__ = None  # NumPy's numbers leave operators to the methods below
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: float, slope: float | None = None) -> None:
        self.value = float(value)
        self.slope = None if slope is None else float(slope)

    def __repr__(self) -> str:
        return f"{self.value!r}"

    def __float__(self) -> float:
        raise TypeError("a number with a derivative cannot become one without")

    def __bool__(self) -> bool:
        return self.value != 0

    def __neg__(self) -> Dual:
        return Dual(-self.value, None if self.slope is None else -self.slope)

    def __pos__(self) -> Dual:
        return self

    def __abs__(self) -> Dual:
        return -self if self.value < 0 else self

    def __add__(self, other: Any) -> Any:
        return _combined(other, lambda b: Dual(self.value + b.value, _sum(self.slope, b.slope)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _combined(other, lambda b: self + -b)

    def __rsub__(self, other: Any) -> Any:
        return _combined(other, lambda a: a + -self)

    def __mul__(self, other: Any) -> Any:
        return _combined(other, lambda b: product(self, b))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return _combined(other, lambda b: quotient(self, b))

    def __rtruediv__(self, other: Any) -> Any:
        return _combined(other, lambda a: quotient(a, self))

    def __floordiv__(self, other: Any) -> Any:
        return _combined(other, lambda b: floor_quotient(self, b))

    def __rfloordiv__(self, other: Any) -> Any:
        return _combined(other, lambda a: floor_quotient(a, self))

    def __mod__(self, other: Any) -> Any:
        return _combined(other, lambda b: self - floor_quotient(self, b) * b)

    def __rmod__(self, other: Any) -> Any:
        return _combined(other, lambda a: a % self)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, (int, np.integer)):  # exact, and of negative numbers, too
            return Dual(1) / self**-other if other < 0 else whole_power(self, int(other))
        return _combined(other, lambda b: power(self, b))

    def __rpow__(self, other: Any) -> Any:
        return _combined(other, lambda a: power(a, self))

    def __eq__(self, other: object) -> Any:
        return _compared(operator.eq, self, other)

    def __ne__(self, other: object) -> Any:
        return _compared(operator.ne, self, other)

    def __lt__(self, other: Any) -> Any:
        return _compared(operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return _compared(operator.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return _compared(operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return _compared(operator.ge, self, other)


def dual(number: Any) -> Dual | None:
    """A real number as one that does not change; None of what is no real number."""
    if isinstance(number, Dual):
        return number
    if isinstance(number, (bool, int, float, np.bool_, np.number)) and np.isrealobj(number):
        return Dual(float(number))
    return None


def product(a: Dual, b: Dual) -> Dual:
    """``a b``."""
    slope = _sum(_times(a.slope, b.value), _times(b.slope, a.value))
    return Dual(a.value * b.value, slope)


def quotient(a: Dual, b: Dual) -> Dual:
    """``a / b``."""
    value = divided(a.value, b.value)
    change = _sum(a.slope, _times(b.slope, -value))
    return Dual(value, None if change is None else divided(change, b.value))


def divided(a: float, b: float) -> float:
    """``a / b`` of IEEE 754."""
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


def floor_quotient(a: Dual, b: Dual) -> Dual:
    """``floor(a / b)``, which is flat."""
    value = divided(a.value, b.value)
    return Dual(math.floor(value) if math.isfinite(value) else value)


def whole_power(base: Dual, exponent: int) -> Dual:
    """``base^exponent`` for an integer of at least 0, by multiplications."""
    found = Dual(1)
    for bit in f"{exponent:b}":
        found = product(found, found)
        if bit == "1":
            found = product(found, base)
    return found


def power(a: Dual, b: Dual) -> Dual:
    """``a^b``, NaN for what is no real number."""
    with np.errstate(all="ignore"):
        x, y = np.float64(a.value), np.float64(b.value)
        value = float(x**y)
        by_base = float(y * x ** (y - 1)) if y else 0.0  # at 0, too
        by_exponent = float(value * np.log(x))
    return Dual(value, _sum(_times(a.slope, by_base), _times(b.slope, by_exponent)))


def _times(slope: float | None, factor: float) -> float | None:
    return None if slope is None else slope * factor


def _sum(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else a + b


def _combined(other: Any, operation: Callable[[Dual], Dual]) -> Any:
    found = dual(other)
    return NotImplemented if found is None else operation(found)


def _compared(operation: Callable[[float, float], bool], a: Dual, b: object) -> Any:
    found = dual(b)
    return NotImplemented if found is None else operation(a.value, found.value)
