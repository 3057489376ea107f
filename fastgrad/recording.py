"""`Recorder`: the passes over minibatches and the steps made of them, recorded for replay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array, aligned
from fastgrad.backends import Backend
from fastgrad.feeding import Batch, Feed, Segment, gather
from fastgrad.health.probe import Probe
from fastgrad.model import Sequential
from fastgrad.penalties import Penalty
from fastgrad.program import Tape, Workspace
from fastgrad.recent import Recent
from fastgrad.samples import Samples
from fastgrad.snapshot import Snapshot, of_step
from fastgrad.updates import Update


class Recorder:
    """Makes the programs of a trainer, and holds the numbers that they read and write.

    Parameters
    ----------
    model : Sequential
    update : Update
    accumulate : int
        Minibatches of a step.
    seed : int
        Of all that is random in the layers.
    penalties : sequence of Penalty
        Added to the loss of each minibatch.
    watched : bool
        Whether steps leave statistics behind.

    Attributes
    ----------
    probe : Probe or None
        Where they do.
    step, batches : int64[1]
        Steps and minibatches done.
    cursor : int64[1]
        Where in the order of rows the next minibatch starts.
    status : int64[1]
        Nonzero after a loss or gradient that is not finite.
    loss : float64[1]
        That of the last minibatch.
    total : float64[2]
        Sum over rows of their losses, and rows; of sequences with lengths or in windows, the steps
        that count are the rows.
    sum : ndarray
        The gradient of the minibatches of a step so far.
    before, total_before : ndarray
        The model's buffers, and `total`, at the start of a step of several minibatches.
    failure : Snapshot or None
        Of the last minibatch that failed, unless the model cannot be copied.
    """

    def __init__(
        self,
        model: Sequential,
        update: Update,
        accumulate: int,
        seed: int,
        penalties: Sequence[Penalty] = (),
        watched: bool = False,
    ) -> None:
        self.model = model
        self.penalties = penalties
        self.update = update
        self.accumulate = accumulate
        self.seed = seed
        self.step = np.zeros(1, np.int64)
        self.batches = np.zeros(1, np.int64)
        self.cursor = np.zeros(1, np.int64)
        self.status = np.zeros(1, np.int64)
        self.loss = np.zeros(1)
        self.total = np.zeros(2)
        self.total_before = np.zeros(2)
        self.probe = Probe(model, self.step, self.loss) if watched else None
        several = accumulate > 1
        self.sum = aligned(model.flat_grads.size if several else 0, model.dtype)
        self.before = aligned(model.flat_buffers.size if several else 0, model.dtype)
        self.failure: Snapshot | None = None
        self._workspace = Workspace()
        self._batches: Recent[Batch] = Recent(8)
        self._endings: dict[str, tuple[list[Any], list[Any], list[Any]]] = {}
        self._feed: Feed | None = None

    def batch(self, rows: int, samples: Samples, start: str = "own") -> Batch:
        """The recording for minibatches of so many rows; one of the eight used last, or a new one.

        `start` is that of `Tape`.
        """
        key = (rows, samples.kind, start, backends.active().name)
        return self._batches.get(key, lambda: self._record(rows, samples, start))

    def _record(self, rows: int, samples: Samples, start: str) -> Batch:
        lengths = None if samples.lengths is None else np.zeros(rows, np.int64)
        tape = Tape(
            backends.active(),
            self._workspace,
            self.model.dtype,
            self.status,
            self.seed,
            self.batches,
            lengths,
            self.model._memory,
            start,
            watcher=self.probe,
        )
        x, target, *weight = (
            tape.empty((rows, *given.shape[1:]), given.dtype)
            for given in (samples.x, samples.target, samples.weight)
            if given is not None
        )
        own_weight = weight[0] if weight else None
        if self.probe is not None:
            self.probe.open(math.prod(x.shape[:-1] if self.model.indices is None else x.shape))
        z, outputs, backward = self.model.record(tape, x, train=True)
        backward(samples.loss.record(tape, z, target, own_weight, self.loss), False)
        for penalty in self.penalties:
            penalty.record(tape, self.model, self.loss)
        if self.probe is not None:
            self.probe.close(tape)
        calls = tape.take()
        tape.good()
        counted = None
        # the parts of a step that is made of several minibatches weigh by their rows
        if z.ndim > 2 and self.accumulate == 1:
            counted = lengths
            if start == "carried" and counted is None:  # windows may differ in their steps
                counted = np.full(rows, z.shape[1])
        totals = self.total, self.cursor, self.batches
        tape.call("end_batch", self.loss, rows, counted, *totals)
        passes = calls, tape.take(), tape, samples.loss
        return Batch(x, target, own_weight, lengths, outputs, *passes)

    def failed(
        self, batch: Batch, rows: Array | None = None, recent: Sequence[tuple[int, Array]] = ()
    ) -> None:
        """Keep what this minibatch began with; `rows` and `recent` are those of `Snapshot`."""
        try:
            self.failure = of_step(self, batch, rows, recent)
        except Exception:  # of a layer of somebody else, that no copy can be made of
            self.failure = None

    def feed(self, samples: Samples, size: int) -> Feed:
        """The program of an epoch over these arrays; that of the last epoch, if it still fits."""
        arrays, rows = samples.arrays, len(samples.x)
        places = tuple((a.ctypes.data, a.shape) for a in arrays)
        key = (places, samples.kind, size, backends.active().name)
        if self._feed is None or self._feed.key != key:
            order = aligned(rows, np.int64)
            segments = [
                Segment([self.batch(n, samples) for n in sizes], count)
                for sizes, count in planned(rows, size, self.accumulate)
            ]
            calls, commits = [], []
            for segment in segments:
                found: list[Any] = []
                for i, batch in enumerate(segment.batches):
                    found += gather(batch, arrays, order, self.cursor)
                    share = len(batch.x) / segment.rows
                    commit = self._go_on(found, batch, i, len(segment.batches), share)
                calls.append(found)
                commits.append(commit)
            keep = [arrays, order, [batch.tape.keep for s in segments for batch in s.batches]]
            program = backends.active().program(calls, self.status, keep, commits)
            self._feed = Feed(key, order, program, segments)
        return self._feed

    def release(self) -> None:
        """Hold on to the arrays of the last epoch no longer."""
        self._feed = None

    def single(self, batch: Batch) -> Any:
        """The program of a minibatch that is not gathered: a step, or where several minibatches
        make one, its part of it."""
        if batch.single is None:
            calls = list(batch.calls)
            commit = len(calls)
            if self.accumulate == 1:
                clips, update = self._ending(batch.tape.backend)
                calls += clips + batch.closing + update
            else:
                calls += batch.closing
            backend, keep = batch.tape.backend, batch.tape.keep
            batch.single = backend.program([calls], self.status, keep, [commit])
        return batch.single

    def ending(self) -> Any:
        """The program of the end of a step, for a gradient that is there already."""
        backend = backends.active()
        clips, update = self._ending(backend)
        return backend.program([clips + update], self.status, self._endings[backend.name], [0])

    def _go_on(self, calls: list[Any], batch: Batch, i: int, count: int, share: float) -> int:
        """Add minibatch i of the `count` of a step; return from where on nothing may stop it."""
        tape = Tape(batch.tape.backend, self._workspace, self.model.dtype)
        grads = self.model.flat_grads
        if count > 1 and i == 0:
            tape.call("blend", self.model.flat_buffers, 0.0, 1.0, self.before)
            tape.call("blend", self.total, 0.0, 1.0, self.total_before)
        calls += tape.take() + batch.calls
        if i < count - 1:
            tape.call("blend", grads, float(i > 0), share, self.sum)
            commit = len(calls) + 1
            calls += tape.take() + batch.closing
            return commit
        if count > 1:
            tape.call("blend", self.sum, share, 1.0, grads)
        clips, update = self._ending(batch.tape.backend)
        calls += tape.take()
        commit = len(calls)  # clips remember the steps that take place, and no others
        calls += clips + batch.closing + update
        return commit

    def _ending(self, backend: Backend) -> tuple[list[Any], list[Any]]:
        """What follows the gradient: clips, and the calls that change parameters."""
        if backend.name not in self._endings:
            tape = Tape(
                backend, self._workspace, self.model.dtype, self.status, self.seed, self.step
            )
            self.update.record_clips(tape, self.probe)
            clips = tape.take()
            self.update.record_step(tape, self.step, self.probe)
            self._endings[backend.name] = clips, tape.take(), tape.keep
        clips, update, _ = self._endings[backend.name]
        return clips, update


def planned(rows: int, size: int, accumulate: int) -> list[tuple[list[int], int]]:
    """The minibatch sizes of a step, and how many such steps follow; the last one may be ragged."""
    full, rest = divmod(rows, size)
    steps, left = divmod(full, accumulate)
    plan = [([size] * accumulate, steps), ([size] * left + [rest] * (rest > 0), 1)]
    return [(sizes, count) for sizes, count in plan if sizes and count]
