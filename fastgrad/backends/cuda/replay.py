"""The replay of a recorded program on the device.

design:
 a) Where there is nothing but phases, one launch is the whole run: it opens by fetching what the
    host may have changed, goes through each segment as often as asked for, and closes by handing
    back what it has written: see `places`.
 b) Products that are left to cuBLAS, and Python functions, cut segments into pieces, each with a
    launch of its own. The host waits for Python functions, and at the end of each step, which it
    goes behind only if the status is not raised: cuBLAS knows of none.
 c) Signals wait for the end of a launch, each of which takes some 0.2 s at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda import launching
from fastgrad.backends.cuda.library import LargeProduct
from fastgrad.backends.cuda.managed import MANAGED
from fastgrad.backends.cuda.phase import Call, Phase, Scratch
from fastgrad.backends.cuda.places import Places
from fastgrad.backends.cuda.plans import Plan, Table
from fastgrad.backends.cuda.signals import Held
from fastgrad.backends.cuda.target import SIMULATED
from fastgrad.backends.cuda.walk import AGREE, LOOK

SIGNALS_EVERY = 0.2  # seconds


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
        Not needed here: nothing stops a launch.
    tf32 : bool
        Whether cuBLAS may round factors to 10 bits.
    """

    def __init__(
        self,
        segments: list[list[Any]],
        status: Array,
        keep: Any,
        commits: list[int] | None = None,
        tf32: bool = False,
    ) -> None:
        self._tf32 = tf32
        self._keep = segments, keep
        self._status = status
        calls = [call for segment in segments for call in segment if isinstance(call, Call)]
        self._places = _places(calls, status)
        self._table = Table(self._places, status, calls)
        self._segments = [list(_pieces(segment, self._table)) for segment in segments]
        self._table.finish()
        opening, closing = range(1), range(1, 2)
        ranges = [p for segment in self._segments for p in segment if isinstance(p, range)]
        self._whole: Plan | None = None
        if len(ranges) == sum(map(len, self._segments)):
            each = [
                next((p for p in segment if isinstance(p, range)), range(0))
                for segment in self._segments
            ]
            self._whole = Plan(self._table, [opening, *each, closing])
        else:
            self._plans = {rows: Plan(self._table, [rows]) for rows in (opening, *ranges, closing)}
            self._opening, self._closing = self._plans[opening], self._plans[closing]
        # the simulator runs one block after the other: a call alone has several there
        self._stepwise = SIMULATED and len(calls) == 1 and self._whole is not None
        self._handed_back = False
        self._seen = self._places.in_mailbox(status)
        self._at_once = 64  # runs of a first launch
        self._sent = False
        self._busy = threading.Lock()

    def run(self, times: Sequence[int], threads: int) -> None:
        """Run segment i `times[i]` times, one segment after the other, unless status stops it."""
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("this program runs already, in another thread or around this call")
        self._status[0] = 0
        self._sent = False  # where the run before was cut short, the host has what counts
        try:
            launching.attach()
            if self._stepwise:
                self._places.send()
                self._table.step()
                self._places.fetch()
            elif self._whole is not None:
                self._by_launches(self._whole, list(times))
            else:
                self._by_pieces(times)
        finally:
            self._busy.release()

    def _by_launches(self, plan: Plan, left: list[int]) -> None:
        """Launches of so many runs that Python can look for signals between them."""
        while any(left) and not self._status[0]:
            now, room = [], self._at_once
            for count in left:
                now.append(min(count, room))
                room -= now[-1]
            plan.prepare()  # which may compile for long, and may be interrupted
            start = time.perf_counter()
            with Held():
                self._places.send()
                plan.launch([1, *now, 1])
                launching.synchronize()
                self._places.fetch()
            each = (time.perf_counter() - start) / sum(now)
            self._at_once = max(1, int(SIGNALS_EVERY / each))
            left = [count - done for count, done in zip(left, now, strict=True)]

    def _by_pieces(self, times: Sequence[int]) -> None:
        for plan in self._plans.values():
            plan.prepare()
        with Held() as signals:
            for pieces, count in zip(self._segments, times, strict=True):
                for _ in range(count):
                    for piece in pieces:
                        if isinstance(piece, range):
                            self._open()
                            self._plans[piece].launch([1])
                        elif isinstance(piece, LargeProduct):
                            self._open()
                            piece.run(self._places.address, self._tf32)
                        else:
                            self._call(piece, signals)
                            if self._status[0]:
                                return
                    if self._raised():
                        self._close()
                        return
                    if signals.pending:
                        self._close()
                        signals.release()
                        signals.hold()
            self._close()

    def _raised(self) -> bool:
        """Whether to stop here: cuBLAS would go on, over what tells who is at fault."""
        if not self._sent:
            return False
        self._hand_back()
        return bool(self._seen[0])

    def _call(self, function: Callable[[], None], signals: Held) -> None:
        """Run a Python function, which sees what is newest, unless the status forbids it."""
        self._close()
        if not self._status[0]:
            signals.release()
            function()
            signals.hold()

    def _open(self) -> None:
        """From here on the device has what is newest."""
        if not self._sent:
            self._places.send()
            self._opening.launch([1])
            self._sent = True
        self._handed_back = False

    def _close(self) -> None:
        """From here on the host has it."""
        if self._sent:
            self._hand_back()
            self._places.fetch()
            self._sent = False

    def _hand_back(self) -> None:
        """Have the device fill the mailbox, unless nothing was launched since it did."""
        if not self._handed_back:
            self._closing.launch([1])
            launching.synchronize()
            self._handed_back = True

    def call(self, x: Array, into: Array, out: Array, threads: int) -> Array:
        """A copy of `out` after x is copied to `into` and the only segment has run once."""
        MANAGED.write(into, x)
        self.run([1], threads)
        return MANAGED.read(out)


def _places(calls: list[Call], status: Array) -> Places:
    words = [word for call in calls for phase in call.phases for word in phase.words]
    return Places(
        [word for word in words if isinstance(word, np.ndarray)],
        [*(array for call in calls for array in call.written), status],
        {id(word): word for word in words if isinstance(word, Scratch)}.values(),
    )


def _pieces(
    segment: list[Any], table: Table
) -> Iterator[range | LargeProduct | Callable[[], None]]:
    """Rows of the table, and large products and Python functions between them."""
    found: list[tuple[Phase, bool]] = []
    for call in segment:
        if getattr(call, "does_nothing", False):
            continue
        last = len(call.phases) - 1 if isinstance(call, Call) else 0
        for i, phase in enumerate(call.phases if isinstance(call, Call) else [call]):
            if isinstance(phase, Phase):
                found.append((phase, i == last and call.status is not None))
                continue
            if found:
                yield table.add(_looks(found, table.status))
            found = []
            yield phase
    if found:
        yield table.add(_looks(found, table.status))


def _looks(found: list[tuple[Phase, bool]], status: Array) -> list[tuple[Phase, int]]:
    """How each phase's status is looked at: blocks must have done so before any may write it."""
    rows = []
    for i, (phase, checked) in enumerate(found):
        after = found[i + 1][0] if i + 1 < len(found) else None
        writes = after is None or not after.repeat or _has(after, status)
        rows.append((phase, (AGREE if writes else LOOK) if checked else 0))
    return rows


def _has(phase: Phase, array: Array) -> bool:
    words = (word for word in phase.words if isinstance(word, np.ndarray))
    return any(np.may_share_memory(word, array) for word in words)
