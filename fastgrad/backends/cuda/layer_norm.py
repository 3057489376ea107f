"""Rows normalized over their features: layer norm, and without centering RMS norm.

design: statistics and sums are in float64, elements in the call's dtype.
 a) x - mean is (x - high) - low, with the mean as two numbers of x's dtype, so that nothing is lost
    by not being in float64.
 b) Backward, the gradients of weight and bias are summed over pieces of rows in a phase before that
    of dx, which may lie where dy does.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.lanes import lane_sum, shared_rows
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, kernel
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.tile import (
    OWN,
    Tiles,
    column_of,
    leave_sums,
    rows_of,
    set_gradient,
    sum_of_pieces,
)


def _end(offsets: Array | None) -> Array | None:
    """Where steps end: how many of the rows count."""
    return None if offsets is None else offsets[-1:]


@device
def _rows(m: Memory, w: int, end: int) -> int:
    """How many rows count."""
    return m.ints[end] if end != 0 else m.ints[w]


@device
def _split(m: Memory, mean: float, scale: float) -> tuple[float, float, float]:
    """The mean as two numbers of the dtype, and the scale."""
    high = number(m.reals, mean)
    return high, number(m.reals, mean - np.float64(high)), number(m.reals, scale)


@device
def _forward(m: Memory, w: int, k: int) -> None:
    n, width, lanes = _rows(m, w, m.ints[w + 3]), m.ints[w + 1], m.ints[w + 2]
    weight, bias, centered, eps = m.ints[w + 5], m.ints[w + 6], m.ints[w + 7], m.doubles[w + 8]
    own, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
    some = cuda.blockDim.x // lanes
    for first in range(cuda.blockIdx.x * some, n, cuda.gridDim.x * some):
        r = first + own
        inside = r < n
        x = part(m.reals, m.ints[w + 4] + r * width, width)
        mean, found = 0.0, 0.0
        if centered != 0:
            if inside:
                for j in range(lane, width, lanes):
                    found += np.float64(x[j])
            mean = lane_sum(m, found, lanes) / width
        found = 0.0
        if inside:
            for j in range(lane, width, lanes):
                d = np.float64(x[j]) - mean
                found += d * d
        scale = 1 / sqrt(lane_sum(m, found, lanes) / width + eps)
        if inside:
            high, low, factor = _split(m, mean, scale)
            y = part(m.reals, m.ints[w + 9] + r * width, width)
            for j in range(lane, width, lanes):
                z = ((x[j] - high) - low) * factor
                if weight != 0:
                    z *= m.reals[weight + j]
                if bias != 0:
                    z += m.reals[bias + j]
                y[j] = z
            if lane == 0:
                m.doubles[m.ints[w + 10] + r] = mean
                m.doubles[m.ints[w + 11] + r] = scale


@kernel
def layer_norm_forward(
    x: Array, weight: Array | None, bias: Array | None, center: int, eps: float,
    offsets: Array | None, y: Array, mean: Array, scale: Array,
) -> list[Phase]:  # fmt: skip
    words = _end(offsets), x, weight, bias, center, float(eps), y, mean, scale
    return [shared_rows(_forward, *x.shape, *words)]


@device
def _piece_gradients(m: Memory, w: int, k: int) -> None:
    """Sums over the rows of dy, and of dy times the normalized x."""
    width, tiles, own = m.ints[w + 1], m.ints[w + 2], w + OWN
    n = _rows(m, w, m.ints[own])
    x, dy = part(m.reals, m.ints[own + 1], n * width), part(m.reals, m.ints[own + 2], n * width)
    means, scales = m.ints[own + 3], m.ints[own + 4]
    for tile in range(cuda.blockIdx.x, tiles, cuda.gridDim.x):
        c = column_of(m, w, tile)
        start, stop, step = rows_of(m, w, tile, n)
        found, products = 0.0, 0.0
        for r in range(start, stop, step):
            high, low, factor = _split(m, m.doubles[means + r], m.doubles[scales + r])
            g = dy[r * width + c]
            found += np.float64(g)
            products += np.float64(g * (((x[r * width + c] - high) - low) * factor))
        leave_sums(m, w, tile, found, products, m.ints[own + 5], m.ints[own + 6])


@device
def _add_pieces(m: Memory, w: int, width: int) -> None:
    """The gradients of weight and bias."""
    pieces, status = m.ints[w], m.ints[w + 5]
    for c in range(cuda.grid(1), width, cuda.gridsize(1)):
        total = sum_of_pieces(m, m.ints[w + 1], c, width, pieces)
        products = sum_of_pieces(m, m.ints[w + 2], c, width, pieces)
        set_gradient(m, m.ints[w + 3], c, products, status)
        set_gradient(m, m.ints[w + 4], c, total, status)


@device
def _backward(m: Memory, w: int, k: int) -> None:
    """With v the normalized row and g = dy weight: dx = scale (g - mean(g) - v mean(g v))."""
    n, width, lanes = _rows(m, w, m.ints[w + 3]), m.ints[w + 1], m.ints[w + 2]
    weight, centered, dx = m.ints[w + 6], m.ints[w + 7], m.ints[w + 10]
    _add_pieces(m, w + 11, width)
    if dx == 0:
        n = 0
    own, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
    some = cuda.blockDim.x // lanes
    one = number(m.reals, 1)
    for first in range(cuda.blockIdx.x * some, n, cuda.gridDim.x * some):
        r = first + own
        inside = r < n
        x = part(m.reals, m.ints[w + 4] + r * width, width)
        dy = part(m.reals, m.ints[w + 5] + r * width, width)
        high, low, factor = one, one, one
        found, products, scale = 0.0, 0.0, 0.0
        if inside:
            scale = m.doubles[m.ints[w + 9] + r]
            high, low, factor = _split(m, m.doubles[m.ints[w + 8] + r], scale)
            for j in range(lane, width, lanes):
                g = dy[j] * (m.reals[weight + j] if weight != 0 else one)
                found += np.float64(g)
                products += np.float64(g * (((x[j] - high) - low) * factor))
        found = lane_sum(m, found, lanes)
        products = lane_sum(m, products, lanes)
        if inside:
            shift = number(m.reals, scale * found / width if centered != 0 else 0.0)
            along = number(m.reals, scale * products / width)
            target = part(m.reals, dx + r * width, width)
            for j in range(lane, width, lanes):
                g = dy[j] * (m.reals[weight + j] if weight != 0 else one)
                v = ((x[j] - high) - low) * factor
                target[j] = g * factor - (v * along + shift)


@kernel
def layer_norm_backward(
    x: Array, weight: Array | None, center: int, mean: Array, scale: Array, dy: Array,
    offsets: Array | None, dx: Array | None, dweight: Array | None, dbias: Array | None,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    tiles, end, phases = Tiles(*x.shape), _end(offsets), []
    pieces = tiles.pieces if dweight is not None or dbias is not None else 0
    sums, products = (Scratch(np.float64, pieces, tiles.width) for _ in range(2))
    if pieces:
        phases.append(tiles.phase(_piece_gradients, end, x, dy, mean, scale, sums, products))
    gradients = pieces, sums, products, dweight, dbias, status
    words = end, x, dy, weight, center, mean, scale, dx, *gradients
    return [*phases, shared_rows(_backward, *x.shape, *words)]
