"""Recorded minibatches, and how those of a data set follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import backends, checks
from fastgrad.arena import Array, aligned, fingerprint, write
from fastgrad.losses import Loss
from fastgrad.program import Tape
from fastgrad.samples import Samples


@dataclass
class Batch:
    """The recorded passes over one minibatch shape."""

    x: Array
    target: Array
    weight: Array | None
    lengths: Array | None
    outputs: list[Array]  # of every layer
    calls: list[Any]  # forward, loss, backward
    closing: list[Any]  # what a good minibatch leaves behind: running statistics, counts
    tape: Tape
    loss: Loss
    single: Any = None  # the program of this minibatch alone, once it is asked for
    starts: Array | None = None  # of a window of longer sequences: the times of its first step

    def fill(self, samples: Samples) -> None:
        """Put these rows in."""
        for own, given in zip(self.arrays, samples.arrays, strict=True):
            write(own, given)

    @property
    def arrays(self) -> list[Array]:
        """As those of `Samples`."""
        given = self.x, self.target, self.weight, self.lengths
        return [array for array in given if array is not None]


@dataclass
class Segment:
    """Training steps of the same minibatches."""

    batches: list[Batch]
    count: int  # of steps

    @property
    def rows(self) -> int:
        """Rows of a step."""
        return sum(len(batch.x) for batch in self.batches)


@dataclass
class Feed:
    """The program of a pass over given arrays."""

    key: Any
    order: Array
    program: Any
    segments: list[Segment]
    whole: bool = True  # whether the rows are all there are, and not those of a window of files

    @property
    def steps(self) -> int:
        """Training steps of the whole pass."""
        return sum(segment.count for segment in self.segments)

    def times(self, done: int, count: int) -> list[int]:
        """How often each segment runs in the `count` steps after the first `done`."""
        found = []
        for segment in self.segments:
            skipped = min(done, segment.count)
            now = min(count, segment.count - skipped)
            found.append(now)
            done -= skipped
            count -= now
        return found

    def row(self, done: int) -> int:
        """Where in the order the step after the first `done` starts."""
        row = 0
        for segment in self.segments:
            now = min(done, segment.count)
            row += now * segment.rows
            done -= now
        return row

    def last(self, done: int) -> Batch:
        """The last minibatch of the step after the first `done`."""
        return self.batch(done, self.row(done + 1) - 1)

    def batch(self, done: int, row: int) -> Batch:
        """The minibatch at this row of the step after the first `done`."""
        at = self.row(done)
        for segment in self.segments:
            if done < segment.count:
                break
            done -= segment.count
        for batch in segment.batches:
            if row < at + len(batch.x):
                break
            at += len(batch.x)
        return batch


class Held:
    """Data of epochs: copies, each in a place of its own, and what has been looked at."""

    def __init__(self) -> None:
        self._copies: dict[str, Array] = {}
        self._seen: dict[str, object] = {}  # what the copies are of, where that is asked
        self._finite: tuple[Any, ...] = ()

    def check_finite(self, name: str, given: object, converted: Array) -> None:
        """Look for values that are not finite, but not again in the array of the epoch before.

        Training itself would notice.
        """
        own = given is converted
        seen = (id(given), converted.shape, converted.ctypes.data if own else None)
        if seen != self._finite or not own:
            checks.finite(name, converted)
            self._finite = seen

    def samples(self, found: Samples, X: object, y: object, weight: object) -> Samples:
        """The same in places that a program can point to."""
        # what indexes memory nobody may change once it has been checked
        return Samples(
            self._hold("X", None if found.x.dtype == np.int64 else X, found.x),
            self._hold("y", None if found.loss.labels else y, found.target),
            found.loss,
            None if found.weight is None else self._hold("sample_weight", weight, found.weight),
            None if found.lengths is None else self._hold("lengths", None, found.lengths),
        )

    def _hold(self, name: str, given: object, converted: Array) -> Array:
        """The user's own array where nothing had to be converted; else the copy, made anew.

        Where kernels cannot reach the user's memory it is a copy too, made anew if that changed.
        """
        moved = backends.active().memory is not None
        if given is converted and not moved:
            return converted
        copy = self._copies.get(name)
        if copy is None or copy.shape != converted.shape or copy.dtype != converted.dtype:
            copy = self._copies[name] = aligned(converted.shape, converted.dtype)
            self._seen.pop(name, None)
        seen = (backends.active().name, fingerprint(converted)) if moved else None
        if seen is None or seen != self._seen.get(name):
            write(copy, converted)
            self._seen[name] = seen
        return copy


def gather(batch: Batch, arrays: list[Array], order: Array, cursor: Array) -> list[Any]:
    """Calls that fill the minibatch with the rows at the cursor.

    Parameters
    ----------
    batch : Batch
    arrays : list of ndarray
        Those of `Samples`; a row for each of them.
    order : int64 (N,)
        Row numbers in the order of training.
    cursor : int64 (1,)
        Where in `order` the next minibatch starts.
    """
    record, dtype = batch.tape.backend.record, batch.tape.dtype
    calls = []
    for source, out in zip(arrays, batch.arrays, strict=True):
        if source.dtype == np.int64 and source.ndim == 1:
            calls.append(record("gather_labels", source, order, cursor, out))
        else:  # labels of sequences move as the bytes of some reals
            flat = source.view(dtype).reshape(len(source), -1)
            into = out.view(dtype).reshape(len(out), -1)
            calls.append(record("gather_rows", flat, order, cursor, into))
    return calls
