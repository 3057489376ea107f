"""Races of device code, found in the simulator by watching every access to memory.

The simulator runs blocks one after the other, and threads of Python by turns: what two threads do
to one place without a meeting in between goes well there, and not on a GPU. Here each access is
noted with its block, its thread, and how often the thread has been at `syncthreads`. Within a phase

* blocks may not write what another one reads or writes;
* threads of a block may not, unless they have met in between;

but all may write the same value, as to a status, and look first whether it is there. All threads of
a block must come to the same meetings.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager

import numpy as np

from fastgrad.backends.cuda import launching, memory, walk
from fastgrad.backends.cuda.device import BLOCK

GRAIN = 4  # bytes


class Notes:
    """Accesses of one launch."""

    def __init__(self) -> None:
        self.reads = defaultdict(set)
        self.writes = defaultdict(set)
        self.meetings = defaultdict(dict)
        self.lock = threading.Lock()

    def note(self, noted: dict, array: Watched, i: int, value: object) -> None:
        thread = threading.current_thread()
        block, epoch = thread.blockIdx.x, getattr(thread, "epoch", 0)
        who = block, thread.threadIdx.x, epoch
        start = (array.start + int(i)) * array.dtype.itemsize
        space = (array.space, block if array.space == "shared" else 0)
        found = (*who, np.asarray(value, array.dtype).tobytes())
        with self.lock:
            for byte in range(start, start + array.dtype.itemsize, GRAIN):
                noted[space, byte].add(found)

    def races(self) -> list[str]:
        """What should not be, in words."""
        found = [
            f"threads of block {block} meet {sorted(own.values())} times"
            for block, own in self.meetings.items()
            if len({own.get(t, 0) for t in range(BLOCK)}) > 1
        ]
        for place, writes in self.writes.items():
            values = {value for *_, value in writes}
            own = {who[:3] for who in writes}
            reads = self.reads.get(place, set())
            if len(values) == 1 and all(r[3] in values or r[:3] in own for r in reads):
                continue
            read = {who[:3] for who in reads}
            everybody = own | read
            if len({block for block, *_ in everybody}) > 1:
                found.append(f"blocks at {place}: {sorted(everybody)[:4]}")
                continue
            for block, thread, epoch in own:
                others = {t for b, t, e in everybody if (b, e) == (block, epoch) and t != thread}
                if others:
                    found.append(f"threads at {place}: {thread} and {sorted(others)[:3]}, {epoch}")
                    break
        return found


class Watched:
    """An array of memory, or a part of it, whose accesses are noted."""

    def __init__(self, array: np.ndarray, notes: Notes, space: str, start: int = 0) -> None:
        self.array, self.notes, self.space, self.start = array, notes, space, start
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: object) -> object:
        if isinstance(i, slice):
            start = int(i.start or 0)
            return Watched(self.array[i], self.notes, self.space, self.start + start)
        value = self.array[i]
        self.notes.note(self.notes.reads, self, i, value)
        return value

    def __setitem__(self, i: int, value: object) -> None:
        self.array[i] = value
        self.notes.note(self.notes.writes, self, i, self.array[i])


@contextmanager
def watched():
    """Collects the races of launches within, a list that grows; for one thread of the host."""
    found: list[str] = []
    notes = Notes()

    def memory_of(reals, doubles, ints, shared, sums, first):
        space = {"reals": reals, "doubles": doubles, "ints": ints}
        arrays = [Watched(array, notes, "memory") for array in space.values()]
        arrays += [Watched(array, notes, "shared") for array in (shared, sums)]
        return memory.Memory(*arrays, first)

    source, launch = walk.source, launching.launch_one

    def watching_source(functions, real):
        scope = source(functions, real)
        scope["Memory"] = memory_of
        return scope

    def watching_launch(walker, blocks, shared, entry, k):
        notes.reads.clear()
        notes.writes.clear()
        notes.meetings.clear()
        watcher = walk.Walker(walker.functions, walker.real)
        launch(watcher, blocks, shared, entry, k)
        names = [one.__qualname__ for one, _ in walker.functions]
        found.extend(f"{names}, repetition {k}: {race}" for race in notes.races())

    walk.source, launching.launch_one = watching_source, watching_launch
    undo = _count_meetings(notes)
    try:
        yield found
    finally:
        walk.source, launching.launch_one = source, launch
        undo()


def _count_meetings(notes: Notes):
    """Have threads of the simulator know how often they have been at `syncthreads`."""
    from numba.cuda.simulator import kernel

    before = kernel.BlockThread.syncthreads

    def syncthreads(self):
        before(self)
        self.epoch = getattr(self, "epoch", 0) + 1
        notes.meetings[self.blockIdx.x][self.threadIdx.x] = self.epoch

    kernel.BlockThread.syncthreads = syncthreads

    def undo():
        kernel.BlockThread.syncthreads = before

    return undo
