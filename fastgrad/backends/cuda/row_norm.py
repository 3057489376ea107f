"""A row that a block normalizes within a step of a recurrent layer.

x - mean is (x - high) - low with the mean as two numbers of x's dtype, so that nothing is lost
where x and the mean are close. Sums are in float64.
"""

from __future__ import annotations

import numpy as np

from fastgrad.backends.cuda.device import block_sum, device, number, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import cuda


@device
def find_moments(m: Memory, row: int, n: int, eps: float, mean_at: int, scale_at: int) -> None:
    """The mean of n numbers, and what brings their variance to 1."""
    x, total, spread = part(m.reals, row, n), 0.0, 0.0
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        total += np.float64(x[i])
    mean = block_sum(m, total) / n
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        away = np.float64(x[i]) - mean
        spread += away * away
    scale = 1 / sqrt(block_sum(m, spread) / n + eps)
    if cuda.threadIdx.x == 0:
        m.doubles[mean_at], m.doubles[scale_at] = mean, scale
    cuda.syncthreads()


@device
def normed(m: Memory, x: float, mean: float, scale: float) -> float:
    """(x - mean) scale."""
    high = number(m.reals, mean)
    return ((x - high) - number(m.reals, mean - high)) * number(m.reals, scale)


@device
def norm_back(m: Memory, g: float, v: float, scale: float, shift: float, along: float) -> float:
    """scale (g - shift - v along): the gradient of x for that of v, and the means of g and g v."""
    by, rest = number(m.reals, scale), number(m.reals, scale * shift)
    return g * by - (v * number(m.reals, scale * along) + rest)
