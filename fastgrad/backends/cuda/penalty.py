"""A penalty on the size of parameters: added to the loss, its gradient to that of the loss.

design: where the blocks of parameters lie is not known when a call is recorded, only how many there
are. Each is cut from its start into pieces of one size, and piece p of block b has the number
first // PIECE + b + p, for `first` the block's first parameter: these differ, and rise with b. So
sums of a block are made in one order, whatever lies around it. The subgradient of |w| at 0 is 0.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, block_sum, device, finite, number, part
from fastgrad.backends.cuda.lanes import lane_sum
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, kernel, rows
from fastgrad.backends.cuda.target import cuda

PIECE = 2048  # parameters
LANES = min(32, BLOCK)  # that add up one block's pieces


@device
def _first_piece(m: Memory, blocks: int, b: int) -> int:
    """The number of the first piece of block b."""
    return m.ints[blocks + b] // PIECE + b


@device
def _block_of(m: Memory, blocks: int, count: int, piece: int) -> int:
    """The last block whose pieces do not start behind that one; 0 where there is none."""
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if _first_piece(m, blocks, middle) <= piece:
            low = middle
        else:
            high = middle
    return low


@device
def _penalize(m: Memory, w: int, k: int) -> None:
    pieces, count, blocks, status = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 8]
    for piece in range(cuda.blockIdx.x, pieces, cuda.gridDim.x):
        b = _block_of(m, blocks, count, piece)
        start = m.ints[blocks + b] + (piece - _first_piece(m, blocks, b)) * PIECE
        stop = min(start + PIECE, m.ints[blocks + b + 1])
        l1, l2 = m.doubles[m.ints[w + 3] + b], m.doubles[m.ints[w + 4] + b]
        if start >= m.ints[blocks] and start < stop and (l1 != 0 or l2 != 0):
            x, g = part(m.reals, m.ints[w + 5], stop), part(m.reals, m.ints[w + 6], stop)
            zero, size = number(m.reals, 0), number(m.reals, l1)
            slope = number(m.reals, 2 * l2)
            sizes, squares = 0.0, 0.0
            for i in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
                if l1 != 0:
                    sizes += np.float64(abs(x[i]))
                    below = -size if x[i] < zero else x[i]  # itself where it is 0 or NaN
                    g[i] += size if x[i] > zero else below
                if l2 != 0:
                    squares += np.float64(x[i]) * np.float64(x[i])
                    g[i] += slope * x[i]
                if status != 0 and not finite(g[i]):
                    m.ints[status] = 1
            found = l1 * sizes + l2 * squares
            found = block_sum(m, found)
            if cuda.threadIdx.x == 0:
                m.doubles[m.ints[w + 7] + piece] = found


@device
def _sums(m: Memory, w: int, k: int) -> None:
    """Of each block, its pieces'; for one block of threads."""
    count, blocks, partial, sums = m.ints[w], m.ints[w + 1], m.ints[w + 4], m.ints[w + 5]
    own, lane = cuda.threadIdx.x // LANES, cuda.threadIdx.x % LANES
    some = cuda.blockDim.x // LANES
    for first in range(0, count, some):
        b = first + own
        found, pieces = 0.0, 0
        if b < count and (m.doubles[m.ints[w + 2] + b] != 0 or m.doubles[m.ints[w + 3] + b] != 0):
            pieces = (m.ints[blocks + b + 1] - m.ints[blocks + b] + PIECE - 1) // PIECE
        for p in range(lane, pieces, LANES):
            found += m.doubles[partial + _first_piece(m, blocks, b) + p]
        found = lane_sum(m, found, LANES)
        if b < count and lane == 0:
            m.doubles[sums + b] = found


@device
def _add_up(m: Memory, w: int, k: int) -> None:
    """Pieces to blocks, and these to the loss."""
    count, sums, loss, status = m.ints[w], m.ints[w + 5], m.ints[w + 6], m.ints[w + 7]
    if cuda.blockIdx.x == 0:
        _sums(m, w, k)
        cuda.syncthreads()
        total = 0.0
        for b in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            total += m.doubles[sums + b]
        total = block_sum(m, total)
        if cuda.threadIdx.x == 0:
            m.doubles[loss] += total
            if status != 0 and not finite(m.doubles[loss]):
                m.ints[status] = 1


@kernel
def penalty(
    w: Array, blocks: Array, l1: Array, l2: Array, g: Array, sums: Array, loss: Array,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    count = len(l1)
    pieces = len(w) // PIECE + count if count else 0
    partial = Scratch(np.float64, pieces)
    found = pieces, count, blocks, l1, l2, w, g, partial, status
    return [
        rows(_penalize, pieces, 4 * min(PIECE, len(w)), *found),
        rows(_add_up, 1, pieces, count, blocks, l1, l2, partial, sums, loss, status),
    ]
