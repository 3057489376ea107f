"""Going through a table of calls: compiled code, in the thread that asks and in helpers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastgrad.arena import Array, aligned
from fastgrad.backends.numba.compiling import cached
from fastgrad.backends.numba.denormals import flush_denormals, set_mode
from fastgrad.backends.numba.machine import I64
from fastgrad.backends.numba.product import SCRATCH
from fastgrad.backends.numba.team import ABANDONED, BARRIER, load, meet

SCRATCH_BYTES = max(SCRATCH[real] * real.bitwidth // 8 for real in SCRATCH)
ROW = 24  # bytes of a call in a table: entry, record, threads that share it


@intrinsic
def _call(
    typingctx: Any, entry: Any, record: Any, rank: Any, used: Any, inner: Any, scratch: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64] * 5).as_pointer()
        builder.call(builder.inttoptr(arguments[0], kind), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate


def _walk(
    table: int, n: int, times: int, rank: int, size: int, outer: int, inner: int, scratch: int,
    flag: int,
) -> None:  # fmt: skip
    """Go through the n calls at an address so many times, or until the flag is raised."""
    before = flush_denormals()
    stopped = 0
    for _ in range(times):
        for i in range(n):
            call = table + i * ROW
            used = load(call + 16)
            # only rank 0 runs calls that are not shared; the flag keeps it from the next one
            if rank < used and not (used == 1 and load(flag)):
                _call(load(call), load(call + 8), rank, used, inner, scratch)
            following = load(call + ROW + 16) if i + 1 < n else size
            if used > 1 or following > 1 or size == 1 or i == n - 1:
                stopped = meet(outer, size, flag)
                if stopped:
                    break
        if stopped:
            break
    set_mode(before)


@functools.cache
def compiled_walk() -> Any:
    """`_walk`; of numbers alone, for to hand over arrays takes longer than a small program."""
    compiled = cached(_walk, wrapper=True)
    compiled.compile((types.int64,) * 9)
    return compiled


class _Helper:
    """A thread that does what it is told, one thing after the other.

    Nobody waits for it at the end: it has met the others after its last call, and touches nothing
    then. It ends with the process.
    """

    def __init__(self, rank: int) -> None:
        self.tell: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        name = f"fastgrad-{rank}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        walk = compiled_walk()
        while True:
            arguments, keep = self.tell.get()
            walk(*arguments)
            del arguments, keep


_HELPERS: list[_Helper] = []  # by rank, the first of which is 1
_TELLING = threading.Lock()  # all helpers of a walk are told before any of another one


def _tell(size: int, given: Callable[[int], tuple[int, ...]], keep: Any) -> None:
    """Have helpers go through a table, too; all of them are there before the first is told."""
    with _TELLING:
        while len(_HELPERS) < size - 1:
            _HELPERS.append(_Helper(len(_HELPERS) + 1))
        for rank in range(1, size):
            _HELPERS[rank - 1].tell.put((given(rank), keep))


class _OfThread(threading.local):
    """Scratch memory for a team, which all programs that a Python thread runs share."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.addresses: list[int] = []

    def of(self, size: int) -> list[int]:
        while len(self.addresses) < size:
            self.arrays.append(aligned(SCRATCH_BYTES, np.uint8))
            self.addresses.append(self.arrays[-1].ctypes.data)
        return self.addresses


_SCRATCH = _OfThread()


def walk(table: Array, place: int, times: int, size: int, flag: int) -> None:
    """Go through the calls of a table at its address, with `size` threads."""
    scratch, n = _SCRATCH.of(size), len(table)
    if size == 1:
        compiled_walk()(place, n, times, 0, 1, 0, 0, scratch[0], flag)
        return
    # of this walk alone: a helper may not have left the last one's yet
    barriers = aligned(2 * BARRIER, np.int64)
    barriers[:] = 0
    outer = barriers.ctypes.data
    inner = outer + 8 * BARRIER

    def given(rank: int) -> tuple[int, ...]:
        return place, n, times, rank, size, outer, inner, scratch[rank], flag

    try:
        _tell(size, given, (table, barriers))
        compiled_walk()(*given(0))
    except BaseException:  # before this thread has begun: nobody is to wait for it
        barriers[ABANDONED] = barriers[BARRIER + ABANDONED] = 1
        raise
