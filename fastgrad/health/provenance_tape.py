"""A tape whose calls are known by name, and look at what they are given and what they give."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array, aligned
from fastgrad.backends import contract
from fastgrad.health.ranges import Range
from fastgrad.program import Tape, Workspace
from fastgrad.snapshot import Snapshot
from fastgrad.states import State

# what a kernel needs for itself; of `flow` NaN is a part
_SCRATCH = ("flow", "squares", "panels")


@dataclass
class Call:
    """One call of a kernel, or of a function in Python, and what it did.

    Attributes
    ----------
    kernel : str
        "" for a function in Python.
    layer : str
        Name of the layer that recorded it ("2.1"); "" for losses and penalties.
    backward : bool
    arrays : dict of str to ndarray
        Those of real numbers, and indices, by the names of the contract, or of variables.
    settings : dict of str to object
        The other arguments.
    function : object
        What a program runs.
    written : set of str, or None
        Which arrays it writes; None where that is not known.
    before : dict of str to Range
        Of real arrays, before the call.
    bad_before, bad_after : list of str
        Arrays with numbers that are not finite: those it found, and those it wrote.
    after : dict of str to ndarray
        Copies of the arrays, where it found none of them and wrote some.
    """

    kernel: str
    layer: str
    backward: bool
    arrays: dict[str, Array]
    settings: dict[str, Any]
    function: Any
    written: set[str] | None
    before: dict[str, Range] = field(default_factory=dict)
    bad_before: list[str] = field(default_factory=list)
    bad_after: list[str] = field(default_factory=list)
    after: dict[str, Array] = field(default_factory=dict)

    def run(self, backend: backends.Backend, status: Array) -> None:
        """Run it, with a look before and after."""
        real = {name: a for name, a in self.arrays.items() if a.dtype.kind == "f"}
        self.before = {name: Range.of(array) for name, array in real.items()}
        self.bad_before = [name for name, seen in self.before.items() if seen.not_finite]
        # more threads would change no result, and wait for each other at every call
        backend.program([[self.function]], status, self.arrays).run([1], threads=1)
        bad = [name for name, array in real.items() if not np.isfinite(array).all()]
        if self.written is None:
            self.bad_after = [name for name in bad if name not in self.bad_before]
        else:
            self.bad_after = [name for name in bad if name in self.written]
        if self.bad_after and not self.bad_before:
            self.after = {name: array.copy() for name, array in self.arrays.items()}


class TraceTape(Tape):
    """A tape whose arrays keep what was written into them, and whose calls are known by name.

    What would outlive the step is not recorded.

    Parameters
    ----------
    snapshot : Snapshot

    Attributes
    ----------
    trace : list of Call
    arrays : list of ndarray
        All that were given out.
    backward : bool
        Whether the backward pass is recorded.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(
            backends.load(snapshot.backend),
            Workspace(),
            snapshot.model.dtype,
            np.zeros(1, np.int64),
            snapshot.seed,
            np.array([snapshot.count]),
            snapshot.lengths,
            start=snapshot.start,
        )
        self._states = snapshot.states
        self.trace: list[Call] = []
        self.arrays: list[Array] = []
        self.backward = False

    def empty(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Zeros in memory of their own: what was there before must not be taken for a result."""
        array = aligned(shape, dtype or self.dtype)
        array[...] = 0
        self.arrays.append(array)
        return array

    def put(self, values: Array) -> Array:
        """A copy, as one of its own arrays."""
        array = self.empty(values.shape, values.dtype)
        array[...] = values
        return array

    def state(self, name: str, shape: tuple[int, int], lasting: bool) -> State:
        """One of its own, with what that of the model has begun with."""
        state = super().state(name, shape, lasting)
        initial = self._states.get(f"{self.path}{name}")
        if initial is not None:
            state.initial[...] = initial
        return state

    def release(self, array: Array) -> None:
        """Nothing: the arrays are looked at later."""

    def call(self, kernel: str, *values: Any) -> None:
        """Record one kernel call."""
        specs = contract.arguments(kernel)
        named = dict(zip((a.name for a in specs), values, strict=True))
        arrays = {
            name: value
            for name, value in named.items()
            if isinstance(value, np.ndarray) and name not in _SCRATCH
        }
        settings = {name: value for name, value in named.items() if name not in arrays}
        written = {a.name for a in specs if a.written}
        self._add(kernel, arrays, settings, self.backend.record(kernel, *values), written)
        self.keep.append(values)

    def python(self, function: Callable[[], None]) -> None:
        """Record a function; it works on the arrays in its closure, or on any, if there are none.

        A layer of `Layer.forward` and `Layer.backward` has x, y, dx and dy there.
        """
        arrays = _closed_over(function)
        if not arrays:
            arrays = {f"array {i}": array for i, array in enumerate(self.arrays)}
        self._add("", arrays, {}, function, None)

    def call_when_good(self, kernel: str, *values: Any) -> None:
        """Nothing: a step that is looked at changes nothing that outlives it."""

    def _add(
        self,
        kernel: str,
        arrays: dict[str, Array],
        settings: dict[str, Any],
        function: Any,
        written: set[str] | None,
    ) -> None:
        layer = self.path.rstrip(".")
        self.trace.append(Call(kernel, layer, self.backward, arrays, settings, function, written))


def _closed_over(function: Callable[[], None]) -> dict[str, Array]:
    try:
        known = inspect.getclosurevars(function).nonlocals
    except TypeError:  # a callable that is no function
        return {}
    found: dict[str, Array] = {}
    for name, value in known.items():
        if isinstance(value, np.ndarray):
            found[name] = value
        elif isinstance(value, Mapping):
            inner = {f"{name}.{key}": a for key, a in value.items() if isinstance(a, np.ndarray)}
            found |= inner
    return found
