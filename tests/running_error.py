"""Running error analysis: float64 values, each with how far rounding may have taken it.

Wilkinson, Error Analysis Revisited (1986): the bound of every operation is that of its operands
and of its own rounding, so that no bound has to be derived by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rounding import STEEPEST, assert_within, output_bound, rounding
from scipy.special import expit

FUNCTION = 8  # roundings of a function that errs by 4 ulp


@dataclass
class Rounded:
    """What was computed in `dtype`; of any shape."""

    value: Any
    error: Any
    dtype: Any

    @staticmethod
    def given(x, dtype):
        """What is known exactly, as all inputs are."""
        x = np.asarray(x, np.float64)
        return Rounded(x, np.zeros_like(x), np.dtype(dtype))

    def _with(self, other):
        return other if isinstance(other, Rounded) else Rounded.given(other, self.dtype)

    def __add__(self, other):
        other = self._with(other)
        size = np.abs(self.value) + np.abs(other.value)
        error = self.error + other.error + rounding(size, self.dtype, 1)
        return Rounded(self.value + other.value, error, self.dtype)

    def __mul__(self, other):
        other = self._with(other)
        value = self.value * other.value
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error
        error = error + self.error * other.error + rounding(value, self.dtype, 1)
        return Rounded(value, error, self.dtype)

    def __neg__(self):
        return Rounded(-self.value, self.error, self.dtype)

    def __sub__(self, other):
        return self + -self._with(other)

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, where):
        return Rounded(self.value[where], self.error[where], self.dtype)

    @property
    def T(self):  # noqa: N802
        """As an array's."""
        return Rounded(self.value.T, self.error.T, self.dtype)

    def rows(self, count):
        """The same of rows."""
        return [part.T for part in self.T.blocks(count)]

    def blocks(self, count):
        """Columns, in so many parts."""
        pairs = (np.split(x, count, axis=1) for x in (self.value, self.error))
        return [Rounded(*pair, self.dtype) for pair in zip(*pairs, strict=True)]

    def sigmoid(self):
        y = expit(self.value)
        return Rounded(y, self.error / 4 + rounding(y, self.dtype, FUNCTION), self.dtype)

    def tanh(self):
        y = np.tanh(self.value)
        return Rounded(y, self.error + rounding(y, self.dtype, FUNCTION), self.dtype)

    def activation(self, name, y):
        """An activation whose values `y` are known."""
        error = STEEPEST * self.error + output_bound(name, self.value, y, self.dtype)
        return Rounded(y, error, self.dtype)

    def norm(self):
        """Of all elements, in float64."""
        value, error = np.linalg.norm(self.value), np.linalg.norm(self.error)
        return Rounded(value, error + rounding(value, np.float64, self.value.size + 2), np.float64)

    def holds(self, got, what=""):
        """That `got` is no further off."""
        assert_within(got, self.value, self.error, what)


def joined(*parts):
    """Columns next to each other."""
    both = (np.concatenate([getattr(p, k) for p in parts], axis=1) for k in ("value", "error"))
    return Rounded(*both, parts[0].dtype)


def sum_of(start, *products):
    """start + a b + ..., in any order; each of the roundings may be of the sum of all sizes."""
    start = products[0][0]._with(start)
    value, error, size, count = start.value, start.error, np.abs(start.value), 1
    for a, b in products:
        left, right = np.abs(a.value), np.abs(b.value)
        value = value + a.value @ b.value
        error = error + left @ b.error + a.error @ right + a.error @ b.error
        size = size + left @ right
        count += a.value.shape[1]
    return Rounded(value, error + rounding(size, start.dtype, count), start.dtype)
