"""Sums and means of whole flat vectors, the values of a schedule, and whether all is finite."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.target import cuda


@device
def _check_finite(m: Memory, w: int, k: int) -> None:
    n = m.ints[w]
    g = part(m.reals, m.ints[w + 1], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        if not finite(g[i]):
            m.ints[m.ints[w + 2]] = 1


@kernel
def check_finite(g: Array, status: Array) -> list[Phase]:
    return [over(_check_finite, g.size, g.size, g, status)]


@device
def _blend(m: Memory, w: int, k: int) -> None:
    n, keep = m.ints[w], m.doubles[w + 2]
    x, y = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 4], n)
    kept, added = number(m.reals, keep), number(m.reals, m.doubles[w + 3])
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        if keep == 0:  # what is there may be no number
            y[i] = added * x[i]
        else:
            y[i] = kept * y[i] + added * x[i]


@kernel
def blend(x: Array, keep: float, add: float, y: Array) -> list[Phase]:
    return [over(_blend, x.size, x.size, x, float(keep), float(add), y)]


@device
def _average(m: Memory, w: int, k: int) -> None:
    n, decay, step = m.ints[w], m.doubles[w + 2], m.ints[m.ints[w + 3]]
    p, mean = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 4], n)
    if cuda.threadIdx.x == 0 and step > 0:  # it takes long in float64
        m.sums[0] = (1.0 - decay) / (1.0 - decay ** float(step + 1))
    cuda.syncthreads()
    weight = number(m.reals, m.sums[0])
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        if step == 0:  # what is there may be no number
            mean[i] = p[i]
        else:
            mean[i] += weight * (p[i] - mean[i])


@kernel
def average(p: Array, decay: float, step: Array, mean: Array) -> list[Phase]:
    return [over(_average, p.size, p.size, p, float(decay), step, mean)]


@device
def _schedule(m: Memory, w: int, k: int) -> None:
    table, rows, columns = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    row = min(max(m.ints[m.ints[w + 5]] - m.ints[m.ints[w + 4]], 0), rows - 1)
    for c in range(cuda.grid(1), columns, cuda.gridsize(1)):
        place = m.ints[m.ints[w + 3] + c]
        m.doubles[m.ints[w + 6] + place] = m.doubles[table + row * columns + c]


@kernel
def schedule(table: Array, places: Array, first: Array, step: Array, values: Array) -> list[Phase]:
    return [over(_schedule, places.size, table, *table.shape, places, first, step, values)]
