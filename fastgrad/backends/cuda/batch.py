"""Cutting a minibatch out of the data, its weights, its end and a step's."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_sum, device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.phase import rows as row_phase
from fastgrad.backends.cuda.target import cuda


@device
def _gather_rows(m: Memory, w: int, k: int) -> None:
    n, width, size = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    source, out = part(m.reals, m.ints[w + 3], size), part(m.reals, m.ints[w + 6], n * width)
    own = part(m.ints, m.ints[w + 4] + m.ints[m.ints[w + 5]], n)
    for i in range(cuda.grid(1), n * width, cuda.gridsize(1)):
        row = i // width
        out[i] = source[own[row] * width + i - row * width]


@kernel
def gather_rows(source: Array, order: Array, cursor: Array, out: Array) -> list[Phase]:
    n, width = out.shape
    return [over(_gather_rows, out.size, n, width, source.size, source, order, cursor, out)]


@device
def _gather_labels(m: Memory, w: int, k: int) -> None:
    n, size = m.ints[w], m.ints[w + 1]
    source, out = part(m.ints, m.ints[w + 2], size), part(m.ints, m.ints[w + 5], n)
    own = part(m.ints, m.ints[w + 3] + m.ints[m.ints[w + 4]], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        out[i] = source[own[i]]


@kernel
def gather_labels(source: Array, order: Array, cursor: Array, out: Array) -> list[Phase]:
    return [over(_gather_labels, out.size, out.size, source.size, source, order, cursor, out)]


@device
def _sequence_weights(m: Memory, w: int, k: int) -> None:
    n, steps, lengths, weights = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    weight = part(m.reals, m.ints[w + 4], n * steps)
    zero, one = number(m.reals, 0.0), number(m.reals, 1.0)
    for i in range(cuda.grid(1), n * steps, cuda.gridsize(1)):
        row = i // steps
        value = m.reals[weights + row] if weights != 0 else one
        length = m.ints[lengths + row] if lengths != 0 else steps
        weight[i] = value if i - row * steps < length else zero


@kernel
def sequence_weights(
    lengths: Array | None, sample_weight: Array | None, weight: Array
) -> list[Phase]:
    n, steps = weight.shape
    return [over(_sequence_weights, weight.size, n, steps, lengths, sample_weight, weight)]


@device
def _end_batch(m: Memory, w: int, k: int) -> None:
    """The first block adds lengths up: integers, so that any order gives the same sum."""
    n, loss, count, total = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 4]
    if cuda.blockIdx.x == 0:
        counted = float(count)
        if m.ints[w + 3] != 0:
            lengths = part(m.ints, m.ints[w + 3], n)
            steps = 0.0
            for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                steps += float(lengths[i])
            counted = block_sum(m, steps)
        if cuda.threadIdx.x == 0:
            m.doubles[total] += counted * m.doubles[loss]
            m.doubles[total + 1] += counted
            m.ints[m.ints[w + 5]] += count
            m.ints[m.ints[w + 6]] += 1


@kernel
def end_batch(
    loss: Array, rows: int, lengths: Array | None, total: Array, cursor: Array, batches: Array
) -> list[Phase]:
    n = 0 if lengths is None else lengths.size
    return [row_phase(_end_batch, 1, n, n, loss, rows, lengths, total, cursor, batches)]


@device
def _end_step(m: Memory, w: int, k: int) -> None:
    if cuda.grid(1) == 0:
        m.ints[m.ints[w]] += 1


@kernel
def end_step(step: Array) -> list[Phase]:
    return [over(_end_step, 1, step)]
