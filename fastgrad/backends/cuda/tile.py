"""Sums over rows: a block of threads takes some columns, and of these a piece of the rows.

design: neighbouring threads take neighbouring columns; those of one column take every so many rows,
and their sums are added in shared memory. How rows are cut is said on the host, by the shape alone.
What is left of each piece, a number for each column, is added up in the next phase, by every block
for its own columns: there are so few pieces that this takes less than a meeting of all blocks.
"""

from __future__ import annotations

from collections.abc import Callable

from fastgrad.backends.cuda.device import BLOCK, device, finite
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Word
from fastgrad.backends.cuda.target import SIMULATED, cuda

WIDEST = 2 if SIMULATED else 32  # columns of a tile, at most
LEAST, MOST = 8, 64  # rows for each thread of a piece, and pieces


class Tiles:
    """How an array of rows is cut.

    Attributes
    ----------
    columns : int
        Of a tile; a power of two.
    across : int
        Tiles side by side.
    rows : int
        Of a piece.
    pieces : int
        At least 1.
    """

    def __init__(self, n: int, width: int) -> None:
        self.n, self.width = n, width
        self.columns = 1
        while self.columns < min(WIDEST, width):
            self.columns *= 2
        self.across = -(-width // self.columns)
        self.rows = max(LEAST * BLOCK // self.columns, -(-n // MOST))
        self.pieces = max(1, -(-n // self.rows))

    def phase(self, function: Callable[..., None], *words: Word) -> Phase:
        """A block for each tile.

        The first words are n, width, and what the functions below read; `words` start at `OWN`.
        """
        tiles = self.across * self.pieces
        cut = self.n, self.width, tiles, self.across, self.columns, self.rows
        return Phase(function, (*cut, *words), tiles, float(self.n) * self.width, 1, 8 * BLOCK)


OWN = 6


@device
def column_of(m: Memory, w: int, tile: int) -> int:
    """The thread's column, which may lie behind the last one."""
    columns = m.ints[w + 4]
    return tile % m.ints[w + 3] * columns + cuda.threadIdx.x % columns


@device
def piece_of(m: Memory, w: int, tile: int) -> int:
    """Which of the pieces its rows are."""
    return tile // m.ints[w + 3]


@device
def count_of(m: Memory, w: int, piece: int, n: int) -> int:
    """How many rows the piece has, if there are n of them in all."""
    rows = m.ints[w + 5]
    return max(0, min(rows, n - piece * rows))


@device
def rows_of(m: Memory, w: int, tile: int, n: int) -> tuple[int, int, int]:
    """The thread's rows, as the arguments of range; none, where its column is none."""
    piece, columns = piece_of(m, w, tile), m.ints[w + 4]
    start = piece * m.ints[w + 5]
    stop = start + count_of(m, w, piece, n)
    if column_of(m, w, tile) >= m.ints[w + 1]:
        stop = start
    return start + cuda.threadIdx.x // columns, stop, cuda.blockDim.x // columns


@device
def elements_of(m: Memory, w: int, tile: int, n: int) -> tuple[int, int, int]:
    """The elements of the thread's rows in its column, in the same manner."""
    start, stop, step = rows_of(m, w, tile, n)
    width, c = m.ints[w + 1], column_of(m, w, tile)
    return start * width + c, stop * width + c, step * width


@device
def first_of_column(m: Memory, w: int, tile: int) -> bool:
    """Whether the thread is the one that writes what its column's threads have found."""
    return cuda.threadIdx.x < m.ints[w + 4] and column_of(m, w, tile) < m.ints[w + 1]


@device
def column_sum(m: Memory, w: int, value: float) -> float:
    """The sum over the threads of a column, in float64; all of the block must come here."""
    columns, i = m.ints[w + 4], cuda.threadIdx.x
    m.sums[i] = value
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half >= columns:
        if i < half:
            m.sums[i] += m.sums[i + half]
        cuda.syncthreads()
        half //= 2
    total = m.sums[i % columns]
    cuda.syncthreads()
    return total


@device
def leave_sums(
    m: Memory, w: int, tile: int, one: float, other: float, ones: int, others: int
) -> None:
    """Add up two numbers of each thread of a column, and leave the sums with the piece's."""
    one, other = column_sum(m, w, one), column_sum(m, w, other)
    if first_of_column(m, w, tile):
        at = piece_of(m, w, tile) * m.ints[w + 1] + column_of(m, w, tile)
        m.doubles[ones + at], m.doubles[others + at] = one, other


@device
def sum_of_pieces(m: Memory, place: int, c: int, width: int, pieces: int) -> float:
    """What is left of the pieces of column c, added up."""
    total = 0.0
    for piece in range(pieces):
        total += m.doubles[place + piece * width + c]
    return total


@device
def set_gradient(m: Memory, gradient: int, c: int, value: float, status: int) -> None:
    """That of a parameter for column c, where it is asked for; and the status."""
    if gradient != 0:
        m.reals[gradient + c] = value
        if status != 0 and not finite(m.reals[gradient + c]):
            m.ints[status] = 1
