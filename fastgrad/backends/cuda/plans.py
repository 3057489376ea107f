"""The tables that launches go through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda import launching
from fastgrad.backends.cuda.device import BLOCK, device
from fastgrad.backends.cuda.managed import MANAGED
from fastgrad.backends.cuda.memory import Memory, index
from fastgrad.backends.cuda.phase import Call, Phase, over
from fastgrad.backends.cuda.places import Places
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.walk import AGREE, ENTRY, PLAN, SEGMENT, Walker, walker

LEAST_SHARED = 8 * BLOCK
LIMITS = 2  # rows of a table that are its opening and its closing; those of calls follow


@device
def _copy(m: Memory, w: int, k: int) -> None:
    """Words from one place to another."""
    n, source, target = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        m.ints[target + i] = m.ints[source + i]


class Table:
    """The entries of all phases, and their words, on the device."""

    def __init__(self, places: Places, status: Array, calls: list[Call]) -> None:
        self.places, self.status = places, status
        reals = {call.real for call in calls if call.real is not None}
        real = np.dtype(np.float64) if reals == {np.dtype(np.float64)} else np.dtype(np.float32)
        mailbox, post = places.mailbox.view(np.int64), places.post.view(np.int64)
        into, back = (
            over(_copy, post.size, post.size, *w) for w in ((mailbox, post), (post, mailbox))
        )
        phases = [into, back]
        functions = [(_copy, False)]
        for call in calls:
            wide = call.real is not None and call.real != real
            own = [phase for phase in call.phases if isinstance(phase, Phase)]
            phases += own
            for phase in own:
                phase.wide = wide
                functions.append((phase.function, wide))
        self.walker: Walker = walker(tuple(dict.fromkeys(functions)), real)
        self._number = {function: i for i, function in enumerate(self.walker.functions)}
        self.shared = max([LEAST_SHARED, *(phase.shared for phase in phases)])
        self.rows: list[tuple[Phase, int]] = [(into, AGREE), (back, 0)]

    def add(self, rows: list[tuple[Phase, int]]) -> range:
        """Add phases, each with whether the status is looked at behind it."""
        start = len(self.rows)
        self.rows += rows
        return range(start, len(self.rows))

    def finish(self) -> None:
        """Write the table, now that all rows are there."""
        packed = [phase.packed(self.places.address) for phase, _ in self.rows]
        at = len(self.rows) * ENTRY
        raw = MANAGED.allocate(8 * (at + sum(map(len, packed))))
        self._entries = table = raw.view(np.int64)
        self.first = index(table.ctypes.data, 8)
        for i, ((phase, checked), words) in enumerate(zip(self.rows, packed, strict=True)):
            which = self._number[phase.function, phase.wide]
            table[ENTRY * i : ENTRY * (i + 1)] = which, self.first + at, phase.repeat, checked
            table[at : at + len(words)] = words
            at += len(words)

    def step(self) -> None:
        """In the simulator: each phase and repetition by itself, with several blocks."""
        post, mailbox = self.places.post, self.places.mailbox
        post[...] = mailbox
        for i in range(LIMITS, len(self.rows)):
            phase, _ = self.rows[i]
            for k in range(phase.repeat):
                entry = self.first + ENTRY * i
                launching.launch_one(self.walker, phase.blocks, self.shared, entry, k)
        mailbox[...] = post


class Plan:
    """What one launch goes through: segments of the table's rows."""

    def __init__(self, table: Table, segments: list[range]) -> None:
        self._table = table
        self._times = MANAGED.allocate_mapped(8 * len(segments)).view(np.int64)
        raw = MANAGED.allocate(8 * (PLAN + SEGMENT * len(segments)))
        self._plan = raw.view(np.int64)
        status = index(table.places.address(table.status), 8)
        self._plan[:PLAN] = status, index(self._times.ctypes.data, 8), len(segments)
        for i, rows in enumerate(segments):
            at = PLAN + SEGMENT * i
            ends = (table.first + ENTRY * row for row in (rows.start, rows.stop))
            always = 0 < rows.stop <= LIMITS  # the opening and the closing
            self._plan[at : at + SEGMENT] = *ends, always
        self._phases = [table.rows[row][0] for rows in segments for row in rows]
        self._blocks = 0

    def prepare(self) -> None:
        """Compile the kernel, where that has not been done, and choose the number of blocks."""
        if not self._blocks:
            table = self._table
            most = launching.most_blocks(table.walker, table.shared)
            self._blocks = worth(self._phases, most)

    def launch(self, times: Sequence[int]) -> None:
        """Start it, with so many runs of each segment."""
        self.prepare()
        table = self._table
        self._times[:] = times
        place = index(self._plan.ctypes.data, 8)
        launching.launch_whole(table.walker, self._blocks, table.shared, place)


# Estimates: no GPU was at hand that could have settled them. They change no result.
BLOCK_RATE = 60e3  # multiply-adds of a block in a microsecond
START = 0.7  # microseconds until the first operands of a phase have come
MEETING, MEETING_ALONE = 1.3, 0.1  # microseconds of a meeting across the grid, and in one block


def worth(phases: list[Phase], most: int) -> int:
    """How many blocks are worth it: more share the work, but meet each other later."""
    wanted = min(most, max(phase.blocks for phase in phases))
    choices = {1, wanted} | {2**i for i in range(1, 12) if 2**i < wanted}

    def microseconds(blocks: int) -> float:
        found = 0.0
        for phase in phases:
            turns = -(-phase.blocks // blocks)
            each = START + phase.work / phase.blocks / BLOCK_RATE
            found += phase.repeat * (turns * each + (MEETING if blocks > 1 else MEETING_ALONE))
        return found

    return min(sorted(choices), key=microseconds)
