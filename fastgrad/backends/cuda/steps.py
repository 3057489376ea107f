"""Steps of sequences: which rows they have, and where the states before them lie.

The rows of step t are those of `offsets[t]` to `offsets[t + 1]`. States start with the initial ones
of all sequences. Row i of a step follows row i of the step before.
"""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, device, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, rows
from fastgrad.backends.cuda.target import cuda

SQUARE = 32 if BLOCK > 32 else 4  # rows and columns that a block turns at once


@device
def rows_of(m: Memory, offsets: int, steps: int, t: int) -> int:
    """Rows of step t; none before the first and behind the last."""
    if t < 0 or t >= steps:
        return 0
    return m.ints[offsets + t + 1] - m.ints[offsets + t]


@device
def state_before(m: Memory, offsets: int, sequences: int, t: int) -> int:
    """The row of the states that row 0 of step t follows."""
    return sequences + m.ints[offsets + t - 1] if t > 0 else 0


@device
def _turn(m: Memory, w: int, k: int) -> None:
    """Blocks take squares, by way of shared memory, so that threads read and write along rows.

    Rows are one element longer there, which keeps a column in different banks.
    """
    n, H = m.ints[w], m.ints[w + 1]
    x, y = part(m.reals, m.ints[w + 2], n * H), part(m.reals, m.ints[w + 3], n * H)
    across = (H + SQUARE - 1) // SQUARE
    for square in range(cuda.blockIdx.x, (n + SQUARE - 1) // SQUARE * across, cuda.gridDim.x):
        top, left = square // across * SQUARE, square % across * SQUARE
        for i in range(cuda.threadIdx.x, SQUARE * SQUARE, cuda.blockDim.x):
            row, column = top + i // SQUARE, left + i % SQUARE
            if row < n and column < H:
                m.shared[i // SQUARE * (SQUARE + 1) + i % SQUARE] = x[row * H + column]
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, SQUARE * SQUARE, cuda.blockDim.x):
            row, column = top + i % SQUARE, left + i // SQUARE
            if row < n and column < H:
                y[column * n + row] = m.shared[i % SQUARE * (SQUARE + 1) + i // SQUARE]
        cuda.syncthreads()


def turned(w: Array) -> tuple[Scratch, Phase]:
    """w'."""
    (n, H), found = w.shape, Scratch(w.dtype, *w.shape)
    squares, shared = -(-n // SQUARE) * -(-H // SQUARE), 8 * SQUARE * (SQUARE + 1)
    return found, rows(_turn, squares, SQUARE * SQUARE, n, H, w, found, shared=shared)
