"""A step run once more, kernel by kernel: which calls met numbers that are not finite."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.provenance_tape import Call, TraceTape
from fastgrad.program import InSteps
from fastgrad.snapshot import Snapshot


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
                call.run(tape.backend, tape.status)
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
                if self._writer(call.arrays[name], i) is None:
                    return Origin(i, name)
        return None

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
