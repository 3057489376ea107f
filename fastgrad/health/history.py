"""`History`: measurements of a whole run, in memory that does not grow."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements

MOST = 2048  # steps


class History:
    """Every step at first, then every second one, every fourth, ... of all steps so far.

    Attributes
    ----------
    stride : int
        Steps from one that is kept to the next.
    """

    def __init__(self, nothing: Measurements) -> None:
        self._kept = nothing
        self.stride = 1

    def add(self, measured: Measurements) -> None:
        """Take in the steps that follow; what is kept of them is every `stride`-th."""
        self._kept = self._kept.then(_every(measured, self.stride))
        while len(self._kept) > MOST:
            self.stride *= 2
            self._kept = _every(self._kept, self.stride)

    @property
    def measurements(self) -> Measurements:
        """What is kept."""
        return self._kept


def _every(measured: Measurements, stride: int) -> Measurements:
    if stride == 1:
        return measured
    chosen: Array = np.flatnonzero(measured.steps % stride == 0)
    return measured.take(chosen)
