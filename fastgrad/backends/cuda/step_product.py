"""What a block makes of a step: the product of some states with a part of a recurrent weight.

design:
 a) Of the weight a block needs the rows of its own units (going back, of the weight turned). They
    stay in its shared memory for all steps where they fit and where there is a block for each
    share; else they are read from memory at every step.
 b) Every sum is split among `lanes` threads, of which each has a tile of 4 rows by 4 columns of
    sums. How many lanes follows from the units alone, and so does the order of a sum: a sequence
    has the same results in any batch, and on any number of blocks.
 c) Rows and columns of a tile lie apart, those of neighbouring threads side by side; rows of a kept
    weight, and the sums of lanes, are padded: so threads find what they need in different banks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.backends.cuda.device import BLOCK, device, place
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import cuda

SIDE = 4  # rows and columns of a thread's tile
TILE = SIDE * SIDE
ROOM = 24 * BLOCK  # reals of shared memory for states, and then for sums; behind it lies the weight
TURNS = 4  # elements of a lane that are multiplied in one go
LOADS = 8  # elements that a thread brings at once
BANKS = 32
PIECE = max(2, BLOCK // 16)  # lanes of which one thread adds up the sums

# the words that phases of steps start with; behind them come their own ones
(
    OFFSETS, STEPS, SEQUENCES, UNITS,
    MOST,  # units of a share
    GROUPS,  # shares of the same units, of which each has other rows
    SHARES,
    WEIGHT, WIDTH,  # where it is, and elements of a row
    GATES,  # rows of the weight for each unit
    PITCH,  # elements from one row to the next in shared memory; 0 where there is no room
    ALONE,  # repetitions that a block goes through by itself; 0 where it needs what others make
) = range(12)  # fmt: skip
OWN = 12


def pitch_of(width: int, lanes: int) -> int:
    """With so many elements between rows, each row's lanes have banks of their own."""
    return width + (lanes - width) % BANKS


def distance_of(lanes: int) -> int:
    """From one sum's part of `ROOM` to the next one's."""
    return lanes + (lanes > 1)


@device
def is_kept(m: Memory, w: int) -> bool:
    """Whether blocks keep their part of the weight."""
    return m.ints[w + PITCH] != 0 and cuda.gridDim.x >= m.ints[w + SHARES]


@device
def _bring(m: Memory, rows: int, step: int, n: int, width: int, to: int, pitch: int) -> None:
    """n rows of that width to shared memory; `step` and `pitch` lead from one to the next."""
    down, along = cuda.blockDim.x // width, cuda.blockDim.x % width
    row, column = cuda.threadIdx.x // width, cuda.threadIdx.x % width
    put_row, put_column = row, column
    values = cuda.local.array(LOADS, m.reals.dtype)
    for _ in range(cuda.threadIdx.x, n * width, LOADS * cuda.blockDim.x):
        for i in range(LOADS):
            if row < n:
                values[i] = m.reals[place(rows + row * step + column)]
            row += down
            column += along
            if column >= width:
                row += 1
                column -= width
        for i in range(LOADS):
            if put_row < n:
                m.shared[place(to + put_row * pitch + put_column)] = values[i]
            put_row += down
            put_column += along
            if put_column >= width:
                put_row += 1
                put_column -= width


@device
def keep(m: Memory, w: int) -> None:
    """Bring this block's part of the weight: its units for the first gate, for the next one..."""
    H, width, pitch = m.ints[w + UNITS], m.ints[w + WIDTH], m.ints[w + PITCH]
    if cuda.blockIdx.x < m.ints[w + SHARES]:
        first = cuda.blockIdx.x // m.ints[w + GROUPS] * m.ints[w + MOST]
        units = min(m.ints[w + MOST], H - first)
        for gate in range(m.ints[w + GATES]):
            rows = m.ints[w + WEIGHT] + (gate * H + first) * width
            _bring(m, rows, width, units, width, ROOM + gate * units * pitch, pitch)


@device
def _row_at(m: Memory, w: int, kept: bool, first: int, units: int, column: int) -> int:
    """Where a column's row of the weight starts, in shared memory or in all of it."""
    if kept:
        return ROOM + column * m.ints[w + PITCH]
    row = column // units * m.ints[w + UNITS] + first + column % units
    return m.ints[w + WEIGHT] + row * m.ints[w + WIDTH]


@functools.cache
def product_of(lanes: int) -> Callable[..., None]:
    """Device function that leaves sums in shared memory, `distance_of(lanes)` elements apart.

    A row has the sums of all units for one gate, then those for the next one. It is given: whether
    the weight is kept; the first unit, and how many; the first gate, and how many; where in the
    rows of the weight to start; where the states are, the elements from one row to the next, how
    many rows (at most 4 BLOCK / lanes / a 4th of the columns) and how wide they are.
    """
    distance = distance_of(lanes)

    @device
    def add(m: Memory, weight: Any, sums: Any, rows: Any, seen: Any, at: int, size: int) -> None:
        lane = cuda.threadIdx.x % lanes
        factors = cuda.local.array(SIDE, m.reals.dtype)
        state, factor = place(lane), place(at + lane)
        count = (size - lane + lanes - 1) // lanes
        for _ in range(count // TURNS):
            for turn in range(TURNS):  # unrolled: places are then known from the first one's
                on = place(turn * lanes)
                for j in range(SIDE):
                    factors[j] = weight[place(rows[j]) + factor + on]
                for i in range(SIDE):
                    x = m.shared[place(seen[i]) + state + on]
                    for j in range(SIDE):
                        sums[i * SIDE + j] += x * factors[j]
            state += place(TURNS * lanes)
            factor += place(TURNS * lanes)
        for _ in range(count % TURNS):
            for j in range(SIDE):
                factors[j] = weight[place(rows[j]) + factor]
            for i in range(SIDE):
                x = m.shared[place(seen[i]) + state]
                for j in range(SIDE):
                    sums[i * SIDE + j] += x * factors[j]
            state += place(lanes)
            factor += place(lanes)

    @device
    def add_lanes(m: Memory, n: int) -> None:
        """Of each of n sums; pieces of many lanes come first."""
        if lanes > PIECE:
            for i in range(cuda.threadIdx.x, n * (lanes // PIECE), cuda.blockDim.x):
                at = i // (lanes // PIECE) * distance + i % (lanes // PIECE) * PIECE
                total = m.shared[at]
                for j in range(1, PIECE):
                    total += m.shared[at + j]
                m.shared[at] = total
            cuda.syncthreads()
        if lanes > 1:
            stride = PIECE if lanes > PIECE else 1
            for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                total = m.shared[i * distance]
                for j in range(stride, lanes, stride):
                    total += m.shared[i * distance + j]
                m.shared[i * distance] = total
            cuda.syncthreads()

    @device
    def product(
        m: Memory, w: int, kept: bool, first: int, units: int, gate: int, gates: int, start: int,
        states: int, step: int, n: int, width: int,
    ) -> None:  # fmt: skip
        columns = gates * units
        tall, wide = (n + SIDE - 1) // SIDE, (columns + SIDE - 1) // SIDE
        tile, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
        y, x = tile // wide, tile % wide
        sums = cuda.local.array(TILE, m.reals.dtype)
        rows, seen = cuda.local.array(SIDE, np.int64), cuda.local.array(SIDE, np.int64)
        for i in range(TILE):
            sums[i] = 0
        for i in range(SIDE):
            column = gate * units + min(x + i * wide, columns - 1)
            rows[i] = _row_at(m, w, kept, first, units, column) + start
        depth = ROOM // n // lanes * lanes
        for at in range(0, width, depth):
            size = min(depth, width - at)
            cuda.syncthreads()
            _bring(m, states + at, step, n, size, 0, size)
            cuda.syncthreads()
            for i in range(SIDE):
                seen[i] = min(y + i * tall, n - 1) * size
            if y < tall and kept:
                add(m, m.shared, sums, rows, seen, at, size)
            elif y < tall:
                add(m, m.reals, sums, rows, seen, at, size)
        cuda.syncthreads()
        for i in range(SIDE):
            for j in range(SIDE):
                row, column = y + i * tall, x + j * wide
                if row < n and column < columns and y < tall:
                    m.shared[place((row * columns + column) * distance + lane)] = sums[i * SIDE + j]
        cuda.syncthreads()
        add_lanes(m, n * columns)

    return product
