"""The replay of a recorded program: compiled code goes through the calls, in one or more threads.

design:
 a) What lies between two Python functions of a segment is one table of calls; a segment without any
    is run as often as asked for in one piece, without the GIL.
 b) All threads go through the same table, and meet before and after calls that they share.
 c) Python looks for signals between pieces of some 50 ms, which end with a segment, or after a call
    that takes long alone. From a segment's commit on there is no such place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.entry import Call
from fastgrad.backends.numba.notice import compile_all
from fastgrad.backends.numba.team import worth
from fastgrad.backends.numba.walk import walk

SIGNALS_EVERY = 0.05  # seconds
SLOW = 1e9  # multiply-adds in a second, at least
LONG = 1e9  # work of a call after which a table may end
STARTING = 6e6  # work that a helper has to share before waking it pays


class Replay:
    """Recorded calls, ready to run.

    Parameters
    ----------
    segments : list of list
        Calls, and Python functions of no arguments.
    status : int64[1]
        Becomes nonzero where a kernel asks to stop.
    keep : object
        Whatever owns the memory that the calls point to.
    commits : list of int, optional
        Where in each segment no signal may stop it any more.
    """

    def __init__(
        self,
        segments: list[list[Any]],
        status: Array,
        keep: Any,
        commits: list[int] | None = None,
    ) -> None:
        compile_all([call for segment in segments for call in segment if isinstance(call, Call)])
        self._keep = segments, keep
        self._status, self._flag = status, status.ctypes.data
        ends = commits or [len(segment) for segment in segments]
        self._segments = [_pieces(*both) for both in zip(segments, ends, strict=True)]
        self._busy = threading.Lock()

    def run(self, times: Sequence[int], threads: int) -> None:
        """Run segment i `times[i]` times, one segment after the other, unless status stops it."""
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this program runs already, in another thread or around this call")
        self._status[0] = 0
        try:
            for pieces, count in zip(self._segments, times, strict=True):
                if len(pieces) == 1 and isinstance(pieces[0], _Table):
                    self._repeat(pieces[0], count, threads)
                else:
                    for _ in range(count):
                        self._once(pieces, threads)
                if self._status[0]:
                    return
        finally:
            self._busy.release()

    def call(self, x: Array, into: Array, out: Array, threads: int) -> Array:
        """A copy of `out` after x is copied to `into` and the only segment has run once."""
        into[...] = x
        self.run([1], threads)
        return out.copy()

    def _once(self, pieces: list[Any], threads: int) -> None:
        for piece in pieces:
            if self._status[0]:
                return
            if isinstance(piece, _Table):
                self._walk(piece, 1, threads)
            else:
                piece()

    def _repeat(self, table: _Table, count: int, threads: int) -> None:
        each = table.seconds
        while count > 0 and not self._status[0]:
            some, start = min(max(1, int(SIGNALS_EVERY / each)), count), time.perf_counter()
            self._walk(table, some, threads)
            count -= some
            each = (time.perf_counter() - start) / some

    def _walk(self, table: _Table, times: int, threads: int) -> None:
        size = table.team(times, threads)
        walk(*table.of(size), times, size, self._flag)


class _Table:
    """Compiled calls, one after the other."""

    def __init__(self, calls: list[Call]) -> None:
        self.work = [call.work for call in calls]
        self.seconds = max(sum(self.work) / SLOW, 1e-6)  # of a first guess
        self._most = max(self.work)
        self._shared = sum(work for work in self.work if worth(work, 2) > 1)
        self._calls = np.array([(*call.addresses(), 1) for call in calls], np.int64)
        self._by_size: dict[int, tuple[Array, int]] = {}

    def team(self, times: int, threads: int) -> int:
        """How many of so many threads it is worth."""
        size = worth(self._most, threads)
        return size if size == 1 or self._shared * times >= STARTING else 1

    def of(self, size: int) -> tuple[Array, int]:
        """The table for so many threads, which says how many share a call, and its address."""
        if size not in self._by_size:
            calls = self._calls.copy()
            calls[:, 2] = [worth(work, size) for work in self.work]
            self._by_size[size] = calls, calls.ctypes.data
        return self._by_size[size]


def _pieces(segment: list[Any], commit: int) -> list[Any]:
    """Tables of compiled calls, which may end after a long one, and the functions between them."""
    found: list[Any] = []
    calls: list[Call] = []
    for i, call in enumerate(segment):
        compiled = isinstance(call, Call)
        if compiled:
            calls.append(call)
        ends = not compiled or i + 1 == len(segment) or (call.work > LONG and i < commit)
        if ends and calls:
            found.append(_Table(calls))
            calls = []
        if not compiled:
            found.append(call)
    return found
