"""`Range`: how large the numbers of an array are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array

# products of numbers beyond these leave the dtype soon
_NEAR = {4: 1e30, 8: 1e300}


@dataclass(frozen=True)
class Range:
    """What the finite numbers of an array are, and how many others there are.

    Attributes
    ----------
    low, high : float
        Smallest and largest of them; NaN if there are none.
    largest : float
        The largest size.
    not_finite : int
        How many are NaN or infinite.
    near_overflow : bool
        Whether the largest size is above 1e30 (float32) or 1e300 (float64).
    """

    low: float
    high: float
    largest: float
    not_finite: int
    near_overflow: bool

    @classmethod
    def of(cls, array: Array) -> Range:
        """That of an array of reals."""
        finite = array[np.isfinite(array)]
        bad = array.size - finite.size
        if not finite.size:
            return cls(np.nan, np.nan, np.nan, bad, False)
        low, high = float(finite.min()), float(finite.max())
        largest = max(abs(low), abs(high))
        return cls(low, high, largest, bad, largest > _NEAR[array.dtype.itemsize])

    def __str__(self) -> str:
        told = f"{self.low:.3g} to {self.high:.3g}"
        if self.not_finite:
            told += f", {self.not_finite} not finite"
        return told + ", about to overflow" * self.near_overflow
