"""Which sample, time step and element a number in a kernel's array belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends import contract
from fastgrad.health.provenance_trace import Trace
from fastgrad.locate import place_in_steps


@dataclass(frozen=True)
class Place:
    """Where a number is.

    Attributes
    ----------
    index : tuple of int
        Of the element: in sequences its sample and time come first, however the kernel has them.
    sample, time_step : int or None
        Its row of the minibatch, and its time in that.
    value : float
    row : int or None
        Where the kernel's array is in steps.
    """

    index: tuple[int, ...]
    sample: int | None
    time_step: int | None
    value: float
    row: int | None = None


class Places:
    """Finds places in the arrays of a trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        snapshot = trace.snapshot
        self.samples = len(snapshot.x)
        sequences = snapshot.model.are_sequences(snapshot.x.shape)
        self.times = snapshot.x.shape[1] if sequences else None

    def first_bad(self, i: int, name: str) -> Place:
        """The first number of call i's array that is not finite, in the order of computation."""
        call = self.trace.calls[i]
        array = call.after.get(name, call.arrays[name])
        bad = ~np.isfinite(array)
        rows = self._rows_in_steps(i, name, bad)
        if rows is not None and rows.size:
            row = self._first_in_steps(i, rows)
            return self._in_steps(i, name, array, row, int(bad[self._skip(i, name) + row].argmax()))
        at = int(bad.argmax())
        return self.of_element(call.arrays[name], at, float(array.reshape(-1)[at]))

    def is_everywhere(self, i: int, name: str) -> bool:
        """Whether every sample has such numbers in call i's array, so that none is to blame.

        In steps those of the step that came first count.
        """
        call = self.trace.calls[i]
        array = call.after.get(name, call.arrays[name])
        bad = np.asarray(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        rows = self._rows_in_steps(i, name, bad)
        if rows is not None and rows.size:
            steps = self.trace.steps_of(i)
            assert steps is not None
            step = int(steps.offsets.searchsorted(self._first_in_steps(i, rows), "right")) - 1
            start, stop = (int(edge) for edge in steps.offsets[step : step + 2])
            bad = np.isin(np.arange(start, stop), rows)
        return bool(bad.all()) and self.samples > 1

    def of_row(self, i: int, name: str, row: int) -> tuple[int | None, int | None]:
        """Sample and time step of a row of call i's array."""
        if self._rows_in_steps(i, name, np.zeros(0, bool)) is not None:
            place = self._in_steps(i, name, self.trace.calls[i].arrays[name], row, 0)
            return place.sample, place.time_step
        array = self.trace.calls[i].arrays[name]
        place = self.of_element(array, row * (array.size // len(array)), 0.0)
        return place.sample, place.time_step

    def of_element(self, array: Array, at: int, value: float) -> Place:
        """The place of element `at` of an array laid flat, in the array that it is a view of."""
        owner = next((a for a in self.trace.tape.arrays if np.may_share_memory(a, array)), array)
        at += (array.ctypes.data - owner.ctypes.data) // owner.itemsize
        index = tuple(int(k) for k in np.unravel_index(at, owner.shape))
        if owner is array and not any(owner is a for a in self.trace.tape.arrays):
            return Place(index, None, None, value)
        sample: int | None = None
        time: int | None = None
        rows = len(owner)
        if rows == self.samples:
            sample = index[0]
            if self.times is not None and owner.ndim > 2 and owner.shape[1] == self.times:
                time = index[1]
        elif self.times is not None and rows == self.samples * self.times:
            sample, time = divmod(index[0], self.times)
            index = sample, time, *index[1:]
        return Place(index, sample, self._later(sample, time), value)

    def _skip(self, i: int, name: str) -> int:
        """Rows of the initial state, which come before the steps."""
        specs = {a.name: a for a in contract.arguments(self.trace.calls[i].kernel)}
        dims = specs[name].dims
        return self.samples if dims is not None and dims[0] == "Q" else 0

    def _rows_in_steps(self, i: int, name: str, bad: Array) -> Array | None:
        """Rows with bad numbers, counted from the first step; None where there are no steps."""
        call, steps = self.trace.calls[i], self.trace.steps_of(i)
        if steps is None or not call.kernel:
            return None
        specs = {a.name: a for a in contract.arguments(call.kernel)}
        dims = specs[name].dims
        if dims is None or dims[0] not in ("R", "Q"):
            return None
        rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1)) - self._skip(i, name)
        return np.asarray(rows[(rows >= 0) & (rows < steps.offsets[-1])])

    def _first_in_steps(self, i: int, rows: Array) -> int:
        """The row that came first: of gradients, which go back in time, one of the last step."""
        if not self.trace.calls[i].backward:
            return int(rows[0])
        steps = self.trace.steps_of(i)
        assert steps is not None
        last = int(steps.offsets.searchsorted(rows[-1], "right")) - 1
        return int(rows[rows >= steps.offsets[last]][0])

    def _in_steps(self, i: int, name: str, array: Array, row: int, column: int) -> Place:
        steps = self.trace.steps_of(i)
        assert steps is not None
        sample, time = place_in_steps(steps, row)
        flat = array[self._skip(i, name) + row].reshape(-1)
        when = self._later(sample, time)
        return Place((sample, time, column), sample, when, float(flat[column]), row)

    def _later(self, sample: int | None, time: int | None) -> int | None:
        """The time in the whole sequence, of which this is a window."""
        starts = self.trace.snapshot.starts
        if starts is None or sample is None or time is None:
            return time
        return time + int(starts[sample])
