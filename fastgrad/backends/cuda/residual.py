"""The way around some layers, and its gradient."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_sum, device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.phase import rows as row_phase
from fastgrad.backends.cuda.target import cuda


@device
def _add(m: Memory, w: int, k: int) -> None:
    n = m.ints[w]
    x, y = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 2], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        y[i] += x[i]


@kernel
def add(x: Array, y: Array) -> list[Phase]:
    return [over(_add, x.size, x.size, x, y)]


@device
def _residual(m: Memory, w: int, k: int) -> None:
    n, given = m.ints[w], m.ints[w + 3]
    x, f = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 2], n)
    y = part(m.reals, m.ints[w + 5], n)
    scale = m.reals[given] if given != 0 else number(m.reals, m.doubles[w + 4])
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        y[i] = x[i] + scale * f[i]


@kernel
def residual_forward(
    x: Array, f: Array, scale: Array | None, factor: float, y: Array
) -> list[Phase]:
    return [over(_residual, x.size, x.size, x, f, scale, float(factor), y)]


@device
def _residual_backward(m: Memory, w: int, k: int) -> None:
    """A block takes a row: df, and where there is a scale the row's part of its gradient."""
    n, width, given = m.ints[w], m.ints[w + 1], m.ints[w + 4]
    scale = m.reals[given] if given != 0 else number(m.reals, m.doubles[w + 5])
    wanted = m.ints[w + 7] != 0
    for r in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        f = part(m.reals, m.ints[w + 2] + r * width, width)
        dy = part(m.reals, m.ints[w + 3] + r * width, width)
        df = part(m.reals, m.ints[w + 6] + r * width, width)
        found = 0.0
        for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
            found += np.float64(f[j]) * np.float64(dy[j])
            df[j] = scale * dy[j]
        if wanted:
            found = block_sum(m, found)
            if cuda.threadIdx.x == 0:
                m.doubles[m.ints[w + 8] + r] = found


@device
def _scale_gradient(m: Memory, w: int, k: int) -> None:
    n, status = m.ints[w], m.ints[w + 3]
    if cuda.blockIdx.x == 0:
        found = 0.0
        for r in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            found += m.doubles[m.ints[w + 1] + r]
        found = block_sum(m, found)
        if cuda.threadIdx.x == 0:
            m.reals[m.ints[w + 2]] = found
            if status != 0 and not finite(m.reals[m.ints[w + 2]]):
                m.ints[status] = 1


@kernel
def residual_backward(
    f: Array, dy: Array, scale: Array | None, factor: float, df: Array, dscale: Array | None,
    rows: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    n, width = f.shape
    words = n, width, f, dy, scale, float(factor), df, dscale, rows
    phases = [row_phase(_residual_backward, n, width, *words)]
    if dscale is not None:
        phases.append(row_phase(_scale_gradient, 1, n, n, rows, dscale, status))
    return phases
