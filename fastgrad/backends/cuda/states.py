"""Rows of the states of sequences: in another order, all alike, and the gradient of such a row."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.column_sums import pieces_of, sum_down
from fastgrad.backends.cuda.device import device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.target import cuda


@device
def _take_rows(m: Memory, w: int, k: int) -> None:
    n, columns, wide, add = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 6] != 0
    x, order = part(m.reals, m.ints[w + 3], n * wide), part(m.ints, m.ints[w + 5], n)
    y = part(m.reals, m.ints[w + 7], n * columns)
    for i in range(cuda.grid(1), n * columns, cuda.gridsize(1)):
        row = i // columns
        value = x[order[row] * wide + m.ints[w + 4] + i - row * columns]
        y[i] = y[i] + value if add else value


@kernel
def take_rows(x: Array, start: int, order: Array, add: int, y: Array) -> list[Phase]:
    n, columns = y.shape
    return [over(_take_rows, y.size, n, columns, x.shape[1], x, start, order, add, y)]


@device
def _put_rows(m: Memory, w: int, k: int) -> None:
    n, columns = m.ints[w], m.ints[w + 1]
    x, order = part(m.reals, m.ints[w + 2], n * columns), part(m.ints, m.ints[w + 3], n)
    y = part(m.reals, m.ints[w + 4], n * columns)
    for i in range(cuda.grid(1), n * columns, cuda.gridsize(1)):
        row = i // columns
        y[(order[row] - row) * columns + i] = x[i]


@kernel
def put_rows(x: Array, order: Array, y: Array) -> list[Phase]:
    return [over(_put_rows, y.size, *y.shape, x, order, y)]


@device
def _fill_rows(m: Memory, w: int, k: int) -> None:
    n, columns, given = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    row, y = part(m.reals, given, columns if given != 0 else 0), part(m.reals, m.ints[w + 3], n)
    zero = number(m.reals, 0.0)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        y[i] = row[i % columns] if given != 0 else zero


@kernel
def fill_rows(row: Array | None, y: Array) -> list[Phase]:
    return [over(_fill_rows, y.size, y.size, y.shape[1], row, y)]


@device
def _sum_rows(m: Memory, w: int, k: int) -> None:
    rows, columns, status = m.ints[w], m.ints[w + 1], m.ints[w + 4]
    sums = part(m.reals, m.ints[w + 3], columns)
    for j in range(cuda.grid(1), columns, cuda.gridsize(1)):
        sums[j] = sum_down(m, m.ints[w + 2], rows, columns, j)
        if status != 0 and not finite(sums[j]):
            m.ints[status] = 1


@kernel
def sum_rows(x: Array, sums: Array, status: Array | None) -> list[Phase]:
    phases, pieces, height = pieces_of(x)
    columns, work = len(sums), height * len(sums)
    last = over(_sum_rows, columns, height, columns, pieces, sums, status, work=work)
    return [*phases, last]
