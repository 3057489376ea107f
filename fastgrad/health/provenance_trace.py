"""A step run once more, kernel by kernel: which calls met numbers that are not finite."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array, aligned
from fastgrad.backends import contract
from fastgrad.health.ranges import Range
from fastgrad.program import InSteps, Tape, Workspace
from fastgrad.snapshot import Snapshot

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

    def run(self, backend: backends.Backend, status: Array, threads: int) -> None:
        """Run it, with a look before and after."""
        real = {name: a for name, a in self.arrays.items() if a.dtype.kind == "f"}
        self.before = {name: Range.of(array) for name, array in real.items()}
        self.bad_before = [name for name, seen in self.before.items() if seen.not_finite]
        backend.program([[self.function]], status, self.arrays).run([1], threads)
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
            snapshot.memory(),
            snapshot.start,
        )
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


@dataclass(frozen=True)
class Origin:
    """Where it began: a call that made it, or that read it out of what the step was given.

    Attributes
    ----------
    call : int
        Its place in the trace.
    argument : str or None
        What it read; None where it made it of finite numbers.
    """

    call: int
    argument: str | None


class Trace:
    """A step run once more.

    Parameters
    ----------
    snapshot : Snapshot

    Attributes
    ----------
    model : Sequential
        A copy, since layers that are written in Python may have a state of their own.
    calls : list of Call
        As far as it ran.
    tape : TraceTape
    x, target, weight : ndarray or None
        What the calls read.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.tape = tape = TraceTape(snapshot)
        self.model = model = copy.deepcopy(snapshot.model)
        model.flat_grads[...] = 0
        given = snapshot.x, snapshot.target, snapshot.weight
        self.x, self.target, self.weight = (None if a is None else tape.put(a) for a in given)
        assert self.x is not None
        y, _, record_backward = model.record(tape, self.x, train=True)
        dz = None
        if snapshot.loss is not None and self.target is not None:
            value = np.zeros(1)
            dz = snapshot.loss.record(tape, y, self.target, self.weight, value)
        elif snapshot.dy is not None:
            dz = tape.put(snapshot.dy)
        if dz is not None:
            tape.backward = True
            record_backward(dz, snapshot.loss is None and model.indices is None)
            if snapshot.loss is not None:
                for penalty in snapshot.penalties:
                    penalty.record(tape, model, value)
        self.calls: list[Call] = []
        self.stopped = False  # by a kernel that has raised the status
        assert tape.status is not None
        with np.errstate(all="ignore"):
            for call in tape.trace:
                call.run(tape.backend, tape.status, backends.num_threads())
                self.calls.append(call)
                if tape.status[0]:
                    self.stopped = True
                    break

    def origin(self) -> Origin | None:
        """The first of all origins of the numbers at which the step failed.

        If it did not, that of numbers which it was given and which had no effect; None without
        such.
        """
        failed = self._failed()
        if failed is None:
            return self._without_effect()
        seen, waiting, found = set(), [failed], []
        while waiting:
            i = waiting.pop()
            if i in seen:
                continue
            seen.add(i)
            call = self.calls[i]
            if not call.bad_before:
                found.append(Origin(i, None))
            for name in call.bad_before:
                writer = self._writer(call.arrays[name], i)
                if writer is None:
                    found.append(Origin(i, name))
                else:
                    waiting.append(writer)
        return min(found, key=lambda origin: origin.call)

    def _failed(self) -> int | None:
        """The call that stopped the step; else the one that last wrote such numbers."""
        if self.stopped:
            last = self.calls[-1]
            return len(self.calls) - 1 if last.bad_before or last.bad_after else None
        bad = [i for i, call in enumerate(self.calls) if call.bad_after]
        return bad[-1] if bad else None

    def _without_effect(self) -> Origin | None:
        for i, call in enumerate(self.calls):
            for name in call.bad_before:
                if call.arrays[name] is not self.x or not np.isfinite(self.counted()).all():
                    return Origin(i, name)
        return None

    def counted(self) -> Array:
        """The input, with zeros for padding."""
        assert self.x is not None
        lengths = self.snapshot.lengths
        if lengths is None:
            return self.x
        counts = np.arange(self.x.shape[1]) < lengths[:, None]
        return np.where(counts.reshape(*counts.shape, *[1] * (self.x.ndim - 2)), self.x, 0)

    def _writer(self, array: Array, before: int) -> int | None:
        """The last call that wrote such numbers into it."""
        for i in reversed(range(before)):
            call = self.calls[i]
            if any(np.may_share_memory(array, call.arrays[name]) for name in call.bad_after):
                return i
        return None

    def passed_on(self, origin: Origin) -> list[str]:
        """Layers that only handed it on, in the order in which they did."""
        first = self.calls[origin.call]
        if origin.argument is None:
            tainted = [first.arrays[name] for name in first.bad_after]
        else:
            tainted = [first.arrays[origin.argument]]
        layers: dict[str, None] = {}
        for call in self.calls[origin.call + (origin.argument is None) :]:
            met = (call.arrays[name] for name in call.bad_before)
            if call.bad_after and _overlap(met, tainted):
                tainted += [call.arrays[name] for name in call.bad_after]
                layers[call.layer] = None
        return [name for name in layers if name]

    def steps_of(self, i: int) -> InSteps | None:
        """How the arrays of a recurrent layer's call lie, if they are in steps."""
        call = self.calls[i]
        if "offsets" not in call.arrays or not call.layer:
            return None
        # inputs are made into gates right before the steps, and gradients of them right after
        trace = self.tape.trace
        order = range(i, -1, -1) if call.backward else range(i, len(trace))
        for j in order:
            h = trace[j].arrays.get("h")
            if h is not None and trace[j].layer == call.layer:
                found = self.tape.in_steps.values()
                return next((known for known in found if np.may_share_memory(known.h, h)), None)
        return None


def _overlap(some: Iterable[Array], others: list[Array]) -> bool:
    return any(np.may_share_memory(a, b) for a in some for b in others)
