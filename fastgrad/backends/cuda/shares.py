"""Which block makes which units of which rows of a step, and what it then does with them.

A share is some units, and of each step some of the rows. There are as many shares as the GPU has
multiprocessors, or fewer; what they are changes no result.

Where the weight fits one multiprocessor a share may be all units of some sequences. It needs
nothing that others make, and goes through all steps without meeting them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, device
from fastgrad.backends.cuda.launching import SIMULATED_BLOCKS
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, Word
from fastgrad.backends.cuda.product import PROCESSORS
from fastgrad.backends.cuda.step_product import (
    ALONE,
    GROUPS,
    MOST,
    ROOM,
    SEQUENCES,
    SHARES,
    SIDE,
    UNITS,
    distance_of,
    is_kept,
    keep,
    pitch_of,
    product_of,
)
from fastgrad.backends.cuda.target import SIMULATED, cuda

MOST_SHARED = 200 << 10  # bytes of it that a block has where nobody can say
MOST_LANES = min(64, BLOCK)
USUAL = 32  # sequences for which there is work for all threads
# about the cycles for a thread's next factors, from shared memory or all of it; for an element of
# the states; for a product of no width; and for a meeting of several blocks, or of threads
FACTORS, FAR_FACTORS, STATE, PRODUCT, MEETING, MEETING_ALONE = 30, 90, 6, 400, 2000, 100


def lanes_of(units: int, gates: int, width: int, size: int) -> int:
    """Among how many threads a sum of that width is split: a power of two."""
    wanted = PROCESSORS * BLOCK * SIDE * SIDE // (USUAL * units * gates)
    if (ROOM + units * gates * width) * size <= MOST_SHARED:  # a block can have all units
        wanted = min(wanted, BLOCK * SIDE // (units * gates))
    most = max(1, min(wanted, width // 8, MOST_LANES))
    return 1 << (most.bit_length() - 1)


@functools.cache
def limits() -> tuple[int, int]:
    """Blocks that surely run at once, and bytes of shared memory that each can have."""
    if SIMULATED:
        return SIMULATED_BLOCKS, MOST_SHARED
    if not cuda.is_available():
        return PROCESSORS, MOST_SHARED
    gpu = cuda.get_current_device()
    return gpu.MULTIPROCESSOR_COUNT, gpu.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN


@dataclass(frozen=True)
class Shares:
    """The shares of a recurrent layer's steps.

    Attributes
    ----------
    words : tuple
        That phases of steps start with.
    shares, shared : int
        Blocks that have something to do, and the bytes of shared memory of each.
    lanes : int
    work : float
        Multiply-adds of a step.
    alone : bool
        Whether each has all units of its sequences.
    """

    words: tuple[Word, ...]
    shares: int
    shared: int
    lanes: int
    work: float
    alone: bool

    def phase(
        self, function: Callable[..., None], repeat: int, *words: Word, blocks: int = 0
    ) -> Phase:
        """One that goes through steps; it may have work for more blocks than there are shares."""
        alone = repeat if self.alone else 0
        own, most = (*self.words, alone, *words), max(self.shares, blocks)
        if not alone:
            return Phase(function, own, most, self.work, repeat, self.shared)
        return Phase(by_itself(function), own, most, self.work * repeat, 1, self.shared)


@functools.cache
def by_itself(step: Callable[..., None]) -> Callable[..., None]:
    """The function of a phase in which a block makes all repetitions of that one."""

    @device
    def steps(m: Memory, w: int, k: int) -> None:
        for i in range(m.ints[w + ALONE]):
            step(m, w, i)
            cuda.syncthreads()

    return steps


def shares_of(
    offsets: Array, sequences: int, weight: Array | Scratch, units: int, gates: int, width: int,
    apart: bool = True,
) -> Shares:  # fmt: skip
    """Shares for a weight of gates * units rows of that width.

    `apart` says that nothing of a step needs other sequences.
    """
    size = weight.dtype.itemsize
    lanes = lanes_of(units, gates, width, size)
    tiles = BLOCK // lanes
    pitch = pitch_of(width, lanes)
    best, (blocks, most_shared) = None, limits()
    for most in range(1, min(units, max(1, tiles * SIDE // gates)) + 1):
        of_units = -(-units // most)
        shared = (ROOM + gates * most * pitch) * size
        for groups in {1, max(1, min(blocks // of_units, -(-sequences // SIDE)))}:
            shares = of_units * groups
            kept = shared <= most_shared and shares <= blocks
            rows = -(-sequences // groups)
            products = -(-rows // (tiles // -(-gates * most // SIDE) * SIDE))
            cycles = products * (width // lanes * (FACTORS if kept else FAR_FACTORS) + PRODUCT)
            cycles += rows * width // BLOCK * STATE
            alone = apart and kept and of_units == 1
            cycles = -(-shares // blocks) * cycles
            cycles += MEETING if shares > 1 and not alone else MEETING_ALONE
            if best is None or (cycles, shared) < best[0]:
                best = (cycles, shared), most, groups, shares, pitch if kept else 0, alone
    assert best is not None
    (_, shared), most, groups, shares, pitch, alone = best
    words: tuple[Word, ...] = offsets, len(offsets) - 1, sequences, units, most, groups, shares
    words += weight, width, gates, pitch
    work = float(sequences) * units * gates * width
    return Shares(words, shares, shared if pitch else ROOM * size, lanes, work, alone)


@functools.cache
def share_of(cell: Callable[..., None], lanes: int) -> Callable[..., None]:
    """Device function that goes through this block's shares of a step.

    It is given: the repetition; the step, and its rows; where the states are that are multiplied,
    the elements from one row to the next, how many rows have one, and how wide they are; the first
    gate of the weight and the number of them, and where in its rows to start. For each of its rows
    and units it calls `cell` with the step, row and unit; the place in shared memory of the first
    gate's sum, or -1 where there is none; and the elements from there to the next gate's.
    """
    tiles, distance = BLOCK // lanes, distance_of(lanes)
    product = product_of(lanes)

    @device
    def share(
        m: Memory, w: int, k: int, t: int, rows: int, states: int, step: int, multiplied: int,
        width: int, gate: int, gates: int, start: int,
    ) -> None:  # fmt: skip
        kept = is_kept(m, w)
        if kept and k == m.first:
            keep(m, w)
        groups = m.ints[w + GROUPS]
        for own in range(cuda.blockIdx.x, m.ints[w + SHARES], cuda.gridDim.x):
            first = own // groups * m.ints[w + MOST]
            units = min(m.ints[w + MOST], m.ints[w + UNITS] - first)
            columns, shared = gates * units, rows
            if m.ints[w + ALONE] != 0:  # the same sequences in all steps
                shared = m.ints[w + SEQUENCES]
            each = (shared + groups - 1) // groups
            at_once = tiles // ((columns + SIDE - 1) // SIDE) * SIDE
            low = min(rows, own % groups * each)
            high = min(rows, low + each)
            for r in range(low, high, at_once):
                n = min(at_once, high - r)
                some = max(0, min(n, multiplied - r))
                if some > 0:
                    product(
                        m, w, kept, first, units, gate, gates, start,
                        states + r * step, step, some, width,
                    )  # fmt: skip
                for i in range(cuda.threadIdx.x, n * units, cuda.blockDim.x):
                    row, unit = i // units, i % units
                    at = (row * columns + unit) * distance if row < some else -1
                    cell(m, w, t, r + row, first + unit, at, units * distance)

    return share
