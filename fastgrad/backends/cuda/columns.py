"""Some columns of a wider array, and columns with a scale of their own."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.target import cuda


@device
def _put_columns(m: Memory, w: int, k: int) -> None:
    n, width, wide = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    x, y = part(m.reals, m.ints[w + 3], n * width), part(m.reals, m.ints[w + 5], n * wide)
    start = m.ints[w + 4]
    for i in range(cuda.grid(1), n * width, cuda.gridsize(1)):
        row = i // width
        y[row * wide + start + i - row * width] = x[i]


@kernel
def put_columns(x: Array, start: int, y: Array) -> list[Phase]:
    n, width = x.shape
    return [over(_put_columns, x.size, n, width, y.shape[1], x, start, y)]


@device
def _take_columns(m: Memory, w: int, k: int) -> None:
    n, width, wide = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    y, x = part(m.reals, m.ints[w + 3], n * wide), part(m.reals, m.ints[w + 5], n * width)
    start = m.ints[w + 4]
    for i in range(cuda.grid(1), n * width, cuda.gridsize(1)):
        row = i // width
        x[i] = y[row * wide + start + i - row * width]


@kernel
def take_columns(y: Array, start: int, x: Array) -> list[Phase]:
    n, width = x.shape
    return [over(_take_columns, x.size, n, width, y.shape[1], y, start, x)]


@device
def _standardize(m: Memory, w: int, k: int) -> None:
    n, width = m.ints[w], m.ints[w + 1]
    x, y = part(m.reals, m.ints[w + 2], n), part(m.reals, m.ints[w + 5], n)
    mean, scale = part(m.reals, m.ints[w + 3], width), part(m.reals, m.ints[w + 4], width)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        column = i % width
        y[i] = (x[i] - mean[column]) / scale[column]


@kernel
def standardize_forward(x: Array, mean: Array, scale: Array, y: Array) -> list[Phase]:
    return [over(_standardize, x.size, x.size, x.shape[1], x, mean, scale, y)]


@device
def _standardize_backward(m: Memory, w: int, k: int) -> None:
    n, width = m.ints[w], m.ints[w + 1]
    dy, dx = part(m.reals, m.ints[w + 2], n), part(m.reals, m.ints[w + 4], n)
    scale = part(m.reals, m.ints[w + 3], width)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        dx[i] = dy[i] / scale[i % width]


@kernel
def standardize_backward(dy: Array, scale: Array, dx: Array) -> list[Phase]:
    return [over(_standardize_backward, dy.size, dy.size, dy.shape[1], dy, scale, dx)]
