"""`History`: measurements of a whole run, in memory that does not grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements

MOST = 2048  # steps
_FLOW = 1 << 21  # numbers of gradients through time, for each level


class History:
    """Every step at first, then every second one, every fourth, ... of all steps so far.

    Attributes
    ----------
    stride : int
        Steps from one that is kept to the next.
    """

    def __init__(self, nothing: Measurements) -> None:
        self._kept = [nothing]  # in pieces: they are put together when somebody asks
        self._length = 0
        self._flow = 0  # numbers of gradients through time that have come since they were cut
        self.stride = 1

    def add(self, measured: Measurements) -> None:
        """Take in the steps that follow; what is kept of them is every `stride`-th."""
        self._append(measured)
        while self._length > MOST:
            self.stride *= 2
            whole = self.measurements
            self._kept, self._length = [whole[:0]], 0
            self._append(whole)

    def back_to(self, steps: int) -> None:
        """Forget those that come after so many."""
        whole = self.measurements
        self._kept = [whole[: int(np.searchsorted(whole.steps, steps))]]
        self._length = len(self._kept[0])

    def _append(self, measured: Measurements) -> None:
        chosen: Array = np.flatnonzero(measured.steps % self.stride == 0)
        if len(chosen):
            # a copy, which does not hold on to the steps that are left out
            self._kept.append(measured.take(chosen))
            self._length += len(chosen)
            flows = self._kept[-1].through_time.values()
            self._flow += max((array.size for array in flows), default=0)
            if self._flow > 2 * _FLOW:
                self._flow = 0
                self._kept = [self.measurements]

    @property
    def measurements(self) -> Measurements:
        """What is kept."""
        if len(self._kept) > 1:
            self._kept = [_of_last_flows(self._kept[0].then(*self._kept[1:]))]
        return self._kept[0]


def _of_last_flows(measured: Measurements) -> Measurements:
    """With gradients through time of so many last steps only as fit."""
    flows = {
        name: array[max(0, len(array) - _FLOW // array[0].size) :] if len(array) else array
        for name, array in measured.through_time.items()
    }
    return replace(measured, through_time=flows)
