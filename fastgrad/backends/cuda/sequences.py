"""Sequences as steps: all rows of a time side by side, the longest sequences first.

design: of a sequence a block of threads takes a piece, which is some times, so that also a single
long one has many blocks. Within it neighbouring threads have neighbouring columns.
"""

from __future__ import annotations

from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, block_sum, device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, rows
from fastgrad.backends.cuda.target import cuda

PIECE = 8 * BLOCK  # elements of a sequence that a block of threads takes at a time
TAKE, PUT, ADD = range(3)  # rows of the steps; put among those of the sequences; added to them


@device
def _sequence_plan(m: Memory, w: int, k: int) -> None:
    """A block takes a sequence and counts those before it, or a step and counts the rows so far."""
    n, steps = m.ints[w], m.ints[w + 1]
    lengths, order = part(m.ints, m.ints[w + 2], n), part(m.ints, m.ints[w + 3], n)
    offsets = part(m.ints, m.ints[w + 4], steps + 1)
    for i in range(cuda.blockIdx.x, n + steps + 1, cuda.gridDim.x):
        found = 0
        if i < n:
            own = lengths[i]
            for j in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                if lengths[j] > own or (lengths[j] == own and j < i):
                    found += 1
        else:
            for j in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                found += min(lengths[j], i - n)
        total = int(block_sum(m, found))
        if cuda.threadIdx.x == 0:
            if i < n:
                order[total] = i
            else:
                offsets[i - n] = total


@kernel
def sequence_plan(lengths: Array, order: Array, offsets: Array) -> list[Phase]:
    n, steps = len(lengths), len(offsets) - 1
    return [rows(_sequence_plan, n + steps + 1, n, n, steps, lengths, order, offsets)]


@device
def length_of(offsets: Any, steps: int, i: int) -> int:
    """Steps of sequence i of the order, of so many; no step has more rows than the one before."""
    if steps == 0 or offsets[steps] - offsets[steps - 1] > i:
        return steps
    low, high = 0, steps - 1
    while low < high:
        middle = (low + high) // 2
        if offsets[middle + 1] - offsets[middle] > i:
            low = middle + 1
        else:
            high = middle
    return low


@device
def _move(m: Memory, w: int, k: int) -> None:
    """Between sequences x and their steps y, in the direction that the last word says."""
    n, steps, columns, times = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    wide, first, reverse, way = m.ints[w + 5], m.ints[w + 6], m.ints[w + 9] != 0, m.ints[w + 12]
    order, offsets = part(m.ints, m.ints[w + 7], n), part(m.ints, m.ints[w + 8], steps + 1)
    y = part(m.reals, m.ints[w + 10], m.ints[w + 11])
    zero = number(m.reals, 0.0)
    pieces = -(-steps // times)
    down, across = cuda.blockDim.x // columns, cuda.blockDim.x % columns
    for piece in range(cuda.blockIdx.x, n * pieces, cuda.gridDim.x):
        i, start = piece // pieces, piece % pieces * times
        length = length_of(offsets, steps, i)
        x = part(m.reals, m.ints[w + 4] + order[i] * steps * wide, steps * wide)
        end = min(start + times, steps if way == PUT else length)
        time, column = start + cuda.threadIdx.x // columns, cuda.threadIdx.x % columns
        while time < end:
            at = time * wide + first + column
            if time >= length:
                x[at] = zero
            else:
                row = offsets[length - 1 - time if reverse else time] + i
                if way == TAKE:
                    y[row * columns + column] = x[at]
                elif way == PUT:
                    x[at] = y[row * columns + column]
                else:
                    x[at] += y[row * columns + column]
            time += down
            column += across
            if column >= columns:
                column -= columns
                time += 1


def _moved(
    x: Array, start: int, order: Array, offsets: Array, reverse: int, y: Array, way: int
) -> list[Phase]:
    (n, steps, wide), columns = x.shape, y.shape[1]
    times = max(1, PIECE // columns)
    words = x, wide, start, order, offsets, reverse, y, y.size, way
    blocks = n * -(-steps // times)
    return [rows(_move, blocks, times * columns, n, steps, columns, times, *words)]


@kernel
def to_steps(
    x: Array, start: int, order: Array, offsets: Array, reverse: int, y: Array
) -> list[Phase]:
    return _moved(x, start, order, offsets, reverse, y, TAKE)


@kernel
def from_steps(
    x: Array, start: int, order: Array, offsets: Array, reverse: int, add: int, y: Array
) -> list[Phase]:
    return _moved(y, start, order, offsets, reverse, x, ADD if add else PUT)


@device
def _indices_to_steps(m: Memory, w: int, k: int) -> None:
    n, steps, reverse, size = m.ints[w], m.ints[w + 1], m.ints[w + 5] != 0, m.ints[w + 7]
    x = part(m.ints, m.ints[w + 2], n * steps)
    order, offsets = part(m.ints, m.ints[w + 3], n), part(m.ints, m.ints[w + 4], steps + 1)
    y = part(m.ints, m.ints[w + 6], size)
    pieces = -(-steps // PIECE)
    for piece in range(cuda.blockIdx.x, n * pieces, cuda.gridDim.x):
        i, start = piece // pieces, piece % pieces * PIECE
        length = length_of(offsets, steps, i)
        end = min(start + PIECE, length)
        for time in range(start + cuda.threadIdx.x, end, cuda.blockDim.x):
            t = length - 1 - time if reverse else time
            y[offsets[t] + i] = x[order[i] * steps + time]
    for r in range(offsets[steps] + cuda.grid(1), size, cuda.gridsize(1)):
        y[r] = -1


@kernel
def indices_to_steps(x: Array, order: Array, offsets: Array, reverse: int, y: Array) -> list[Phase]:
    n, steps = x.shape
    blocks = n * -(-steps // PIECE)
    words = x, order, offsets, reverse, y, y.size
    return [rows(_indices_to_steps, blocks, min(steps, PIECE), n, steps, *words)]


@device
def _last_steps(m: Memory, w: int, k: int) -> None:
    n, columns, wide, steps = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    order, offsets = part(m.ints, m.ints[w + 6], n), part(m.ints, m.ints[w + 7], steps + 1)
    for i in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        length = length_of(offsets, steps, i)
        row = n + offsets[length - 1] + i if length > 0 else i
        x = part(m.reals, m.ints[w + 4] + row * columns, columns)
        y = part(m.reals, m.ints[w + 8] + order[i] * wide + m.ints[w + 5], columns)
        for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
            y[j] = x[j]


@kernel
def last_steps(x: Array, start: int, order: Array, offsets: Array, y: Array) -> list[Phase]:
    (n, wide), columns, steps = y.shape, x.shape[1], len(offsets) - 1
    words = x, start, order, offsets, y
    return [rows(_last_steps, n, columns, n, columns, wide, steps, *words)]
