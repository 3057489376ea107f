"""Norms, sizes and counts of parts of gradients and parameters, each by a block of threads.

Squares are added in float64, where those of float32 cannot leave its range. Those of float64 can:
where the sum shows it, the norm is taken once more, scaled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad.backends.cuda.device import BLOCK, block_max, block_sum, device, finite, number
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import cuda

SHARED = 4 * 8 * BLOCK  # bytes that `block_sums` needs
LOW, HIGH = 1e-280, 1e280  # a sum of squares between them has lost nothing that counts


@device
def block_sums(
    m: Memory, a: float, b: float, c: float, d: float
) -> tuple[float, float, float, float]:
    """Four sums over the threads of a block, of which each must come here; in float64."""
    i, wide = cuda.threadIdx.x, cuda.blockDim.x
    m.sums[i] = a
    m.sums[wide + i] = b
    m.sums[2 * wide + i] = c
    m.sums[3 * wide + i] = d
    cuda.syncthreads()
    half = wide // 2
    while half > 0:
        if i < half:
            for at in range(i, 4 * wide, wide):
                m.sums[at] += m.sums[at + half]
        cuda.syncthreads()
        half //= 2
    found = m.sums[0], m.sums[wide], m.sums[2 * wide], m.sums[3 * wide]
    cuda.syncthreads()
    return found


@device
def _element(x: Any, y: Any, apart: bool, i: int) -> float:
    """Of x - y where `apart`, else of x; in float64."""
    return np.float64(x[i]) - np.float64(y[i]) if apart else np.float64(x[i])


@device
def norm_of(m: Memory, squares: float, x: Any, y: Any, apart: bool) -> float:
    """The norm of x - y where `apart`, else of x, whose squares add up to that or leave float64."""
    if (squares > LOW and squares < HIGH) or squares != squares:
        return math.sqrt(squares)
    top = 0.0
    for i in range(cuda.threadIdx.x, len(x), cuda.blockDim.x):
        top = max(top, abs(_element(x, y, apart, i)))
    largest = block_max(m, top)
    if largest == 0 or not finite(largest):
        return np.float64(largest)
    found = 0.0
    for i in range(cuda.threadIdx.x, len(x), cuda.blockDim.x):
        ratio = _element(x, y, apart, i) / largest
        found += ratio * ratio
    return np.float64(largest) * math.sqrt(block_sum(m, found))


@device
def look_at_gradient(m: Memory, x: Any, least: float, seen: Any) -> None:
    """A block's work. seen: norm, largest size, and how many are 0, denormal, and not finite.

    `least` is the smallest normal number.
    """
    nothing, infinite = number(m.reals, 0.0), number(m.reals, math.inf)
    normal, top, squares = number(m.reals, least), nothing, 0.0
    zeros, denormals, bad = 0, 0, 0
    for i in range(cuda.threadIdx.x, len(x), cuda.blockDim.x):
        size = abs(x[i])
        squares += np.float64(size) * np.float64(size)
        top = size if size > top else top
        if size == nothing:
            zeros += 1
        elif size < normal:
            denormals += 1
        elif not size < infinite:  # nor is NaN
            bad += 1
    total, zero, denormal, odd = block_sums(m, squares, zeros, denormals, bad)
    largest = block_max(m, top)
    norm = norm_of(m, total, x, x, False)
    if cuda.threadIdx.x == 0:
        seen[0] = norm
        seen[1] = largest if total == total else total  # which NaN alone makes NaN
        seen[2] = zero
        seen[3] = denormal
        seen[4] = odd


@device
def look_at_update(m: Memory, x: Any, before: Any, moved: Any) -> None:
    """A block's work. moved: the norm of `before`, and that of x - before."""
    squares, steps = 0.0, 0.0
    for i in range(cuda.threadIdx.x, len(x), cuda.blockDim.x):
        old, step = np.float64(before[i]), _element(x, before, True, i)
        squares += old * old
        steps += step * step
    squares, steps, _, _ = block_sums(m, squares, steps, 0.0, 0.0)
    norm = norm_of(m, squares, before, before, False)
    change = norm_of(m, steps, x, before, True)
    if cuda.threadIdx.x == 0:
        moved[0] = norm
        moved[1] = change
