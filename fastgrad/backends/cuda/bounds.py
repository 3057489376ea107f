"""Bounds of norms: of the norms of parameters, and of those that were seen before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_sum, device, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over, rows
from fastgrad.backends.cuda.target import cuda


@device
def _relative(m: Memory, w: int, k: int) -> None:
    n, factor, eps = m.ints[w], m.doubles[w + 2], m.doubles[w + 3]
    norms = part(m.doubles, m.ints[w + 1], 2 * n)
    bounds = part(m.doubles, m.ints[w + 4], 2 * n)
    for s in range(cuda.grid(1), n, cuda.gridsize(1)):
        bounds[2 * s] = 0
        bounds[2 * s + 1] = factor * max(norms[2 * s] * norms[2 * s + 1], eps)


@kernel
def relative_bounds(norms: Array, factor: float, eps: float, bounds: Array) -> list[Phase]:
    n = len(norms)
    return [over(_relative, n, n, norms, float(factor), float(eps), bounds)]


@device
def _count_below(m: Memory, x: Any, limit: float) -> int:
    """How many elements are; all threads of the block must come here."""
    found = 0
    for i in range(cuda.threadIdx.x, len(x), cuda.blockDim.x):
        found += 1 if x[i] < limit else 0
    return int(block_sum(m, found))


@device
def _remember(m: Memory, norm: float, arrived: Any, ordered: Any, seen: int) -> int:
    """Put a norm into both lists, which the oldest one leaves when they are full; a block's work.

    How many there are then. What lies between the place that is left and the one that is taken
    moves by one, as many elements at once as there are threads.
    """
    place, n = seen % len(arrived), min(seen, len(arrived))
    now = part(ordered, 0, n)
    hole, target = n, _count_below(m, now, norm)
    if n == len(arrived):
        oldest = arrived[place]
        hole = min(_count_below(m, now, oldest), n - 1)
        target -= 1 if oldest < norm else 0
    side = 1 if target > hole else -1
    distance = abs(target - hole)
    for start in range(0, distance, cuda.blockDim.x):
        offset = start + cuda.threadIdx.x
        i, moved = hole + side * offset, 0.0
        if offset < distance:
            moved = ordered[i + side]
        cuda.syncthreads()
        if offset < distance:
            ordered[i] = moved
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        ordered[target] = norm
        arrived[place] = norm
    cuda.syncthreads()
    return min(seen + 1, len(arrived))


@device
def _percentile(m: Memory, w: int, k: int) -> None:
    if cuda.blockIdx.x == 0:
        size, pair, percentile = m.ints[w], m.ints[w + 1], m.doubles[w + 2]
        bounds, count = part(m.doubles, m.ints[w + 3], 2), m.ints[w + 6]
        arrived = part(m.doubles, m.ints[w + 4], size)
        ordered = part(m.doubles, m.ints[w + 5], size)
        norm, seen = m.doubles[pair] * m.doubles[pair + 1], max(m.ints[count], 0)
        n, counts = min(seen, size), 0 < norm < math.inf
        cuda.syncthreads()
        if counts:
            n = _remember(m, norm, arrived, ordered, seen)
        if cuda.threadIdx.x == 0:
            bounds[0], bounds[1] = 0, math.inf
            if counts:
                m.ints[count] = seen + 1
            if n > 0:
                at = percentile / 100 * (n - 1)
                i = min(int(at), n - 1)
                low, high = ordered[i], ordered[min(i + 1, n - 1)]
                bounds[1] = low + (high - low) * (at - i)


@kernel
def percentile_bounds(
    norms: Array, percentile: float, bounds: Array, arrived: Array, ordered: Array, count: Array
) -> list[Phase]:
    n = arrived.size
    words = n, norms, float(percentile), bounds, arrived, ordered, count
    return [rows(_percentile, 1, 3 * n, *words)]


@device
def _z_score(m: Memory, w: int, k: int) -> None:
    if cuda.grid(1) == 0:
        pair, warmup = m.ints[w], m.ints[w + 3]
        threshold, alpha = m.doubles[w + 1], m.doubles[w + 2]
        min_std, max_norm = m.doubles[w + 4], m.doubles[w + 5]
        bounds = part(m.doubles, m.ints[w + 6], 2)
        moments = part(m.doubles, m.ints[w + 7], 3)
        norm, limit = m.doubles[pair] * m.doubles[pair + 1], math.inf
        seen, mean, std = moments[0], moments[1], moments[2]
        spread = max(std, min_std * mean)
        if seen >= warmup and spread > 0 and norm > mean + threshold * spread:
            limit = mean + threshold * spread * (threshold * spread / (norm - mean))
        if norm < math.inf:
            norm = min(norm, limit)
            change = norm - mean
            # neither form squares a norm, which may leave float64
            if seen < warmup:
                mean += change / (seen + 1)
                std = np.hypot(std * sqrt(seen / (seen + 1)), change * (sqrt(seen) / (seen + 1)))
            else:
                mean = alpha * mean + (1 - alpha) * norm
                std = np.hypot(sqrt(alpha) * std, sqrt(1 - alpha) * (norm - mean))
            moments[0], moments[1], moments[2] = seen + 1, mean, std
        bounds[0], bounds[1] = 0, min(limit, max_norm)


@kernel
def z_score_bounds(
    norms: Array, threshold: float, alpha: float, warmup: int, min_std: float, max_norm: float,
    bounds: Array, moments: Array,
) -> list[Phase]:  # fmt: skip
    words = norms, float(threshold), float(alpha), int(warmup), float(min_std), float(max_norm)
    return [over(_z_score, 1, *words, bounds, moments)]
