"""Batch normalization: every column over the rows of the batch.

design: statistics are in float64. Of a piece of rows these are its mean, and the squares of its
distances to that: put together so, they lose nothing. Elements are computed in the call's dtype.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, kernel, over
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.tile import (
    OWN,
    Tiles,
    column_of,
    column_sum,
    count_of,
    elements_of,
    first_of_column,
    leave_sums,
    piece_of,
    set_gradient,
    sum_of_pieces,
)


@device
def _piece_statistics(m: Memory, w: int, k: int) -> None:
    n, width, tiles, own = m.ints[w], m.ints[w + 1], m.ints[w + 2], w + OWN
    x = part(m.reals, m.ints[own], n * width)
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c, piece = column_of(m, w, tile), piece_of(m, w, tile)
        count = count_of(m, w, piece, n)
        start, stop, step = elements_of(m, w, tile, n)
        found = 0.0
        for i in range(start, stop, step):
            found += np.float64(x[i])
        mean = column_sum(m, w, found) / count
        found = 0.0
        for i in range(start, stop, step):
            d = np.float64(x[i]) - mean
            found += d * d
        found = column_sum(m, w, found)
        if first_of_column(m, w, tile):
            m.doubles[m.ints[own + 1] + piece * width + c] = mean
            m.doubles[m.ints[own + 2] + piece * width + c] = found


@device
def _statistics(m: Memory, w: int, c: int, means: int, squares: int) -> tuple[float, float]:
    """Mean and variance of column c, of those of its pieces."""
    n, width, pieces = m.ints[w], m.ints[w + 1], m.ints[w + 2] // m.ints[w + 3]
    mean = 0.0
    for piece in range(pieces):
        mean += m.doubles[means + piece * width + c] * count_of(m, w, piece, n)
    mean /= n
    found = 0.0
    for piece in range(pieces):
        d = m.doubles[means + piece * width + c] - mean
        found += m.doubles[squares + piece * width + c] + d * d * count_of(m, w, piece, n)
    return mean, found / n


@device
def _affine(m: Memory, w: int, tile: int, own: int, mean: float, var: float) -> None:
    """The tile of y; words from `own` on are x, weight, bias, eps, y."""
    n, width, c = m.ints[w], m.ints[w + 1], column_of(m, w, tile)
    weight, bias = m.ints[own + 1], m.ints[own + 2]
    x, y = part(m.reals, m.ints[own], n * width), part(m.reals, m.ints[own + 4], n * width)
    factor = np.float64(m.reals[weight + c]) if weight != 0 else 1.0
    center = number(m.reals, mean)
    scale = number(m.reals, factor / sqrt(var + m.doubles[own + 3]))
    shift = m.reals[bias + c] if bias != 0 else number(m.reals, 0)
    start, stop, step = elements_of(m, w, tile, n)
    for i in range(start, stop, step):
        y[i] = (x[i] - center) * scale + shift


@device
def _normalize(m: Memory, w: int, k: int) -> None:
    width, tiles, own = m.ints[w + 1], m.ints[w + 2], w + OWN
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c = column_of(m, w, tile)
        if c < width:
            mean, var = _statistics(m, w, c, m.ints[own + 5], m.ints[own + 6])
            _affine(m, w, tile, own, mean, var)
            if piece_of(m, w, tile) == 0 and first_of_column(m, w, tile):
                m.doubles[m.ints[own + 7] + c] = mean
                m.doubles[m.ints[own + 8] + c] = var


@kernel
def batch_norm_forward(
    x: Array, weight: Array | None, bias: Array | None, eps: float, y: Array, mean: Array,
    var: Array,
) -> list[Phase]:  # fmt: skip
    tiles = Tiles(*x.shape)
    means, squares = (Scratch(np.float64, tiles.pieces, tiles.width) for _ in range(2))
    words = x, weight, bias, float(eps), y, means, squares, mean, var
    return [tiles.phase(_piece_statistics, x, means, squares), tiles.phase(_normalize, *words)]


@device
def _piece_products(m: Memory, w: int, k: int) -> None:
    """Sums of dy, and of dy times the normalized x."""
    n, width, tiles, own = m.ints[w], m.ints[w + 1], m.ints[w + 2], w + OWN
    x, dy = part(m.reals, m.ints[own], n * width), part(m.reals, m.ints[own + 1], n * width)
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c = column_of(m, w, tile)
        inside = c < width
        mean = m.doubles[m.ints[own + 2] + c] if inside else 0.0
        var = m.doubles[m.ints[own + 3] + c] if inside else 1.0
        center, scale = number(m.reals, mean), number(m.reals, 1 / sqrt(var + m.doubles[own + 4]))
        start, stop, step = elements_of(m, w, tile, n)
        found, products = 0.0, 0.0
        for i in range(start, stop, step):
            g = dy[i]
            found += np.float64(g)
            products += np.float64(g * ((x[i] - center) * scale))
        leave_sums(m, w, tile, found, products, m.ints[own + 5], m.ints[own + 6])


@device
def _back(m: Memory, w: int, k: int) -> None:
    n, width, tiles, own = m.ints[w], m.ints[w + 1], m.ints[w + 2], w + OWN
    pieces = tiles // m.ints[w + 3]
    weight, dx, status = m.ints[own + 7], m.ints[own + 8], m.ints[own + 11]
    x, dy = part(m.reals, m.ints[own], n * width), part(m.reals, m.ints[own + 1], n * width)
    target = part(m.reals, dx, n * width)
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c = column_of(m, w, tile)
        if c < width:
            total = sum_of_pieces(m, m.ints[own + 5], c, width, pieces)
            products = sum_of_pieces(m, m.ints[own + 6], c, width, pieces)
            if piece_of(m, w, tile) == 0 and first_of_column(m, w, tile):
                set_gradient(m, m.ints[own + 9], c, products, status)
                set_gradient(m, m.ints[own + 10], c, total, status)
            if dx != 0:
                inverse = 1 / sqrt(m.doubles[m.ints[own + 3] + c] + m.doubles[own + 4])
                factor = np.float64(m.reals[weight + c]) if weight != 0 else 1.0
                center = number(m.reals, m.doubles[m.ints[own + 2] + c])
                scale = number(m.reals, factor * inverse)
                shift = number(m.reals, total / n)
                slope = number(m.reals, products / n * inverse)
                start, stop, step = elements_of(m, w, tile, n)
                for i in range(start, stop, step):
                    target[i] = scale * (dy[i] - shift - (x[i] - center) * slope)


@kernel
def batch_norm_backward(
    x: Array, weight: Array | None, mean: Array, var: Array, dy: Array, eps: float,
    dx: Array | None, dweight: Array | None, dbias: Array | None, status: Array | None,
) -> list[Phase]:  # fmt: skip
    tiles = Tiles(*x.shape)
    sums, products = (Scratch(np.float64, tiles.pieces, tiles.width) for _ in range(2))
    words = x, dy, mean, var, float(eps), sums, products
    return [
        tiles.phase(_piece_products, *words),
        tiles.phase(_back, *words, weight, dx, dweight, dbias, status),
    ]


@device
def _update(m: Memory, w: int, k: int) -> None:
    """A step of the running statistics towards those of the batch, whose variance is biased."""
    n, momentum, unbiased = m.ints[w], m.doubles[w + 3], m.doubles[w + 4]
    running_mean = part(m.reals, m.ints[w + 5], n)
    running_var = part(m.reals, m.ints[w + 6], n)
    for j in range(cuda.grid(1), n, cuda.gridsize(1)):
        mean, var = m.doubles[m.ints[w + 1] + j], m.doubles[m.ints[w + 2] + j]
        keep = 1 - momentum
        running_mean[j] = keep * np.float64(running_mean[j]) + momentum * mean
        running_var[j] = keep * np.float64(running_var[j]) + momentum * unbiased * var


@kernel
def batch_norm_update(
    mean: Array, var: Array, rows: int, momentum: float, running_mean: Array, running_var: Array
) -> list[Phase]:
    n, unbiased = len(mean), rows / (rows - 1) if rows > 1 else math.inf
    words = mean, var, float(momentum), unbiased, running_mean, running_var
    return [over(_update, n, n, *words)]


@device
def _predict(m: Memory, w: int, k: int) -> None:
    width, tiles, own = m.ints[w + 1], m.ints[w + 2], w + OWN
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c = column_of(m, w, tile)
        if c < width:
            mean, var = m.reals[m.ints[own + 5] + c], np.float64(m.reals[m.ints[own + 6] + c])
            _affine(m, w, tile, own, mean, var)


@kernel
def batch_norm_predict(
    x: Array, weight: Array | None, bias: Array | None, running_mean: Array, running_var: Array,
    eps: float, y: Array,
) -> list[Phase]:  # fmt: skip
    words = x, weight, bias, float(eps), y, running_mean, running_var
    return [Tiles(*x.shape).phase(_predict, *words)]
