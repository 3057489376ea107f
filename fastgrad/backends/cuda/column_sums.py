"""Sums of columns over many rows, which do not depend on how many blocks there are.

design: a thread takes a column of a piece of the rows, and in another phase one adds the pieces.
A few rows are one phase: each is a piece by itself.
"""

from __future__ import annotations

import math

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, over
from fastgrad.backends.cuda.target import cuda

FEW = 64  # rows that are not worth a phase of their own


@device
def _sum_pieces(m: Memory, w: int, k: int) -> None:
    columns, pieces, height, x = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    count = m.ints[m.ints[w + 5]] if m.ints[w + 5] != 0 else m.ints[w + 4]
    sums = part(m.reals, m.ints[w + 6], pieces * columns)
    for i in range(cuda.grid(1), pieces * columns, cuda.gridsize(1)):
        start = i // columns * height
        rows = max(0, min(height, count - start))
        sums[i] = sum_down(m, x + start * columns, rows, columns, i % columns)


@device
def sum_down(m: Memory, x: int, rows: int, columns: int, column: int) -> float:
    """The sum of a column of so many rows from there on, in the call's dtype."""
    own, found = part(m.reals, x, rows * columns), number(m.reals, 0.0)
    for i in range(column, rows * columns, columns):
        found += own[i]
    return found


def pieces_of(x: Array, count: Array | None = None) -> tuple[list[Phase], Array | Scratch, int]:
    """Phases after which the column sums of an array are those of x; and that array and its rows.

    Only the first `count[0]` rows of x count; the others may hold anything. Few rows of x, all of
    which count, are that array themselves.
    """
    height, columns = x.shape
    if count is None and height <= FEW:
        return [], x, height
    each = max(FEW, math.isqrt(height))
    pieces = -(-height // each)
    sums = Scratch(x.dtype, pieces, columns)
    words = columns, pieces, each, x, height, count, sums
    phase = over(_sum_pieces, pieces * columns, *words, work=x.size)
    return [phase], sums, pieces
