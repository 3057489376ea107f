"""The probe's notes of each step: row step % K of a ring is that of the step."""

from __future__ import annotations

import math
from math import inf, nan

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_max, block_sum, device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.phase import rows as row_phase
from fastgrad.backends.cuda.seen import SHARED, block_sums, norm_of
from fastgrad.backends.cuda.target import cuda


@device
def _note_update(m: Memory, w: int, k: int) -> None:
    """A block of threads takes a tensor, whose blocks' norms are those of the tensor's parts."""
    n, groups, step = m.ints[w], m.ints[w + 4], m.ints[w + 8]
    row = m.ints[step] % m.ints[w + 1]
    for s in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        first = m.ints[groups + s]
        count = m.ints[groups + s + 1] - first
        seen = part(m.doubles, m.ints[w + 2] + 5 * first, 5 * count)
        moved = part(m.doubles, m.ints[w + 3] + 2 * first, 2 * count)
        zeros, denormals, bad, top = 0.0, 0.0, 0.0, 0.0
        squares, weights, steps = 0.0, 0.0, 0.0
        for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            squares += seen[5 * i] * seen[5 * i]
            top = max(top, seen[5 * i + 1])
            zeros += seen[5 * i + 2]
            denormals += seen[5 * i + 3]
            bad += seen[5 * i + 4]
            weights += moved[2 * i] * moved[2 * i]
            steps += moved[2 * i + 1] * moved[2 * i + 1]
        zero, denormal, odd, total = block_sums(m, zeros, denormals, bad, squares)
        weight, change, _, _ = block_sums(m, weights, steps, 0.0, 0.0)
        largest = block_max(m, top)
        norm = norm_of(m, total, seen[::5], seen[::5], False)
        norm_before = norm_of(m, weight, moved[::2], moved[::2], False)
        norm_step = norm_of(m, change, moved[1::2], moved[1::2], False)
        if cuda.threadIdx.x == 0:
            out = part(m.doubles, m.ints[w + 9] + 7 * (row * n + s), 7)
            out[0] = norm
            out[1] = inf if odd != 0 else largest
            out[2] = zero - m.ints[m.ints[w + 5] + s]
            out[3] = denormal
            out[4] = odd
            out[5] = norm_before
            out[6] = norm_step
    if cuda.grid(1) == 0:
        losses = part(m.doubles, m.ints[w + 10] + 2 * row, 2)
        losses[0], losses[1] = m.doubles[m.ints[w + 6]], m.doubles[m.ints[w + 7]]


@kernel
def note_update(
    seen: Array, moved: Array, groups: Array, spare: Array, loss: Array, rate: Array, step: Array,
    tensors: Array, losses: Array,
) -> list[Phase]:  # fmt: skip
    n, ring = len(spare), len(tensors)
    words = n, ring, seen, moved, groups, spare, loss, rate, step, tensors, losses
    return [row_phase(_note_update, n, len(seen) // max(1, n), *words, shared=SHARED)]


@device
def _note_outputs(m: Memory, w: int, k: int) -> None:
    """A block of threads takes a layer."""
    n, layers = m.ints[w], m.ints[w + 2]
    row = m.ints[m.ints[w + 9]] % m.ints[w + 1]
    zero, one = number(m.reals, 0.0), number(m.reals, 1.0)
    for p in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        start = m.ints[m.ints[w + 5] + 2 * p]
        count = m.ints[m.ints[w + 5] + 2 * p + 1] - start
        parts = part(m.doubles, m.ints[w + 3] + 3 * start, 3 * count)
        sums = part(m.doubles, m.ints[w + 4] + start, count)
        first, second, living, delta = 0.0, 0.0, 0.0, 0.0
        for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            first += parts[3 * i]
            second += parts[3 * i + 1]
            living += parts[3 * i + 2]
            delta += sums[i]
        total, squares, lives, gradient = block_sums(m, first, second, living, delta)
        unit = m.ints[m.ints[w + 6] + 2 * p]
        units = m.ints[m.ints[w + 6] + 2 * p + 1] - unit
        alive = part(m.reals, m.ints[w + 10] + unit, units)
        lived = part(m.reals, m.ints[w + 11] + unit, units)
        found = 0
        for u in range(cuda.threadIdx.x, units, cuda.blockDim.x):
            if alive[u] != zero:
                found += 1
                lived[u] = one
            alive[u] = zero
        awake = block_sum(m, found)
        if cuda.threadIdx.x == 0:
            elements, place = m.doubles[m.ints[w + 7] + p], m.ints[m.ints[w + 8] + p]
            out = part(m.doubles, m.ints[w + 12] + 5 * (row * layers + place), 5)
            mean = total / elements
            spread = squares / elements - mean * mean
            out[0] = mean
            out[1] = math.sqrt(max(spread, 0.0)) if finite(mean) and finite(squares) else inf
            out[2] = 1 - lives / elements if units > 0 else nan
            out[3] = 1 - awake / units if units > 0 else nan
            out[4] = math.sqrt(gradient)


@kernel
def note_outputs(
    parts: Array, sums: Array, rows: Array, units: Array, elements: Array, places: Array,
    step: Array, alive: Array, lived: Array, ring: Array,
) -> list[Phase]:  # fmt: skip
    n, (steps, layers, _) = len(places), ring.shape
    words = parts, sums, rows, units, elements, places, step, alive, lived, ring
    width = (len(parts) + len(alive)) // max(1, n)
    return [row_phase(_note_outputs, n, width, n, steps, layers, *words, shared=SHARED)]


@device
def _note_flow(m: Memory, w: int, k: int) -> None:
    n, step = m.ints[w], m.ints[m.ints[w + 3]]
    row = step % m.ints[w + 1]
    flow, ring = part(m.doubles, m.ints[w + 2], n), part(m.doubles, m.ints[w + 4] + row * n, n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        ring[i] = flow[i]
    if cuda.grid(1) == 0:
        m.ints[m.ints[w + 5] + row] = step


@kernel
def note_flow(flow: Array, step: Array, ring: Array, stamps: Array) -> list[Phase]:
    return [over(_note_flow, flow.size, flow.size, len(ring), flow, step, ring, stamps)]
