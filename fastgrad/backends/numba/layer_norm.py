"""Rows normalized over their features: layer norm, and without centering RMS norm.

design: as src/layer_norm.pxi and src/fg_norm.h.
 a) Statistics of a row are in float64. x - mean is (x - high) - low, with the mean as two numbers
    of x's dtype, so that nothing is lost by not being in float64.
 b) Forward, threads share rows. Backward, they share columns first, for the gradients of weight
    and bias, then rows for dx, which may lie where dy does.
 c) Float32 sums take few terms before they go on: 8 rows, or `PIECE` columns in many lanes.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import SUMS, inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import address, given, number, part, raise_flag
from fastgrad.backends.numba.sums import add_rows, all_finite, total, variation
from fastgrad.backends.numba.team import Team, share, wait

COLUMNS = 32  # a share of columns is a whole number of cache lines
ROWS = 8  # whose sums over columns are added before the rest's
PIECE = 512  # columns


@inline
def _normalize(x: Array, mean: float, scale: float, y: Array) -> None:
    high = number(x, mean)
    low, factor = number(x, mean - high), number(x, scale)
    for i in range(len(x)):
        y[i] = ((x[i] - high) - low) * factor


@inline
def _affine(
    x: Array, weight: Array | None, bias: Array | None, mean: float, scale: float, y: Array
) -> None:
    high = number(x, mean)
    low, factor = number(x, mean - high), number(x, scale)
    n = len(x)
    if given(weight) and given(bias):
        for i in range(n):
            y[i] = ((x[i] - high) - low) * factor * weight[i] + bias[i]
    elif given(weight):
        for i in range(n):
            y[i] = ((x[i] - high) - low) * factor * weight[i]
    else:
        _normalize(x, mean, scale, y)
        if given(bias):
            for i in range(n):
                y[i] += bias[i]


@kernel(work="20 * R * F")
def layer_norm_forward(
    team: Team,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    center: int,
    eps: float,
    offsets: Array | None,
    y: Array,
    mean: Array,
    scale: Array,
) -> None:
    rows, n = x.shape
    if given(offsets):
        rows = offsets[len(offsets) - 1]
    low, high = share(team, rows, 1)
    for i in range(low, high):
        row = part(x, i * n, n)
        m = 0.0
        if center:
            m = total(row) / n
        s = 1 / np.sqrt(variation(row, m) / n + eps)
        mean[i], scale[i] = m, s
        _affine(row, weight, bias, m, s, part(y, i * n, n))


@inline
def _clear(x: Array) -> None:
    for j in range(len(x)):
        x[j] = number(x, 0.0)


@inline
def _split(like: Array, mean: float, scale: float) -> tuple[float, float, float]:
    """The mean as two numbers of the dtype, and the scale."""
    high = number(like, mean)
    return high, number(like, mean - high), number(like, scale)


@inline
def _add_products(
    x: Array, g: Array, mean: Array, scale: Array, first: int, last: int, c: int, sums: Array
) -> None:
    """sums += columns c and following of rows of g times the normalized x, four side by side."""
    width, n, r = x.shape[1], len(sums), first
    while r + 4 <= last:
        at = r * width + c
        x0, x1 = part(x, at, n), part(x, at + width, n)
        x2, x3 = part(x, at + 2 * width, n), part(x, at + 3 * width, n)
        g0, g1 = part(g, at, n), part(g, at + width, n)
        g2, g3 = part(g, at + 2 * width, n), part(g, at + 3 * width, n)
        high0, low0, factor0 = _split(x, mean[r], scale[r])
        high1, low1, factor1 = _split(x, mean[r + 1], scale[r + 1])
        high2, low2, factor2 = _split(x, mean[r + 2], scale[r + 2])
        high3, low3, factor3 = _split(x, mean[r + 3], scale[r + 3])
        for j in range(n):
            upper = g0[j] * (((x0[j] - high0) - low0) * factor0)
            upper += g1[j] * (((x1[j] - high1) - low1) * factor1)
            lower = g2[j] * (((x2[j] - high2) - low2) * factor2)
            lower += g3[j] * (((x3[j] - high3) - low3) * factor3)
            sums[j] += upper + lower
        r += 4
    for i in range(r, last):
        at = i * width + c
        row, gradient = part(x, at, n), part(g, at, n)
        high, low, factor = _split(x, mean[i], scale[i])
        for j in range(n):
            sums[j] += gradient[j] * (((row[j] - high) - low) * factor)


@inline(fastmath=SUMS)
def _terms(x: Array, g: Array, high: float, low: float, factor: float) -> tuple[float, float]:
    """Sums of g, and of g times the normalized x."""
    one = number(x, 0.0)
    dot = number(x, 0.0)
    for i in range(len(x)):
        one += g[i]
        dot += g[i] * (((x[i] - high) - low) * factor)
    return one, dot


@inline(fastmath=SUMS)
def _weighted_terms(
    x: Array, weight: Array, dy: Array, high: float, low: float, factor: float
) -> tuple[float, float]:
    """The same for g = dy weight."""
    one = number(x, 0.0)
    dot = number(x, 0.0)
    for i in range(len(x)):
        g = dy[i] * weight[i]
        one += g
        dot += g * (((x[i] - high) - low) * factor)
    return one, dot


@inline
def _row_back(
    x: Array, weight: Array | None, center: int, mean: float, scale: float, dy: Array, dx: Array
) -> None:
    """With v the normalized row and g = dy w: dx = scale (g - mean(g) - v mean(g v))."""
    n = len(x)
    high, low, factor = _split(x, mean, scale)
    one, dot = 0.0, 0.0
    for c in range(0, n, PIECE):
        some = min(PIECE, n - c)
        own, g = part(x, c, some), part(dy, c, some)
        if given(weight):
            a, b = _weighted_terms(own, part(weight, c, some), g, high, low, factor)
        else:
            a, b = _terms(own, g, high, low, factor)
        one += a
        dot += b
    shift = number(x, scale * one / n if center else 0.0)
    along = number(x, scale * dot / n)
    if given(weight):
        for i in range(n):
            v = ((x[i] - high) - low) * factor
            dx[i] = dy[i] * weight[i] * factor - (v * along + shift)
    else:
        for i in range(n):
            v = ((x[i] - high) - low) * factor
            dx[i] = dy[i] * factor - (v * along + shift)


@inline
def _rows_back(
    x: Array, weight: Array | None, center: int, mean: Array, scale: Array, dy: Array, dx: Array,
    low: int, high: int,
) -> None:  # fmt: skip
    n = x.shape[1]
    for i in range(low, high):
        row, own = part(x, i * n, n), part(dx, i * n, n)
        if address(dx) == address(dy):  # as one array, or else LLVM makes no vectors
            _row_back(row, weight, center, mean[i], scale[i], own, own)
        else:
            gradient = part(dy, i * n, n)
            _row_back(row, weight, center, mean[i], scale[i], gradient, own)


@kernel(work="20 * R * F")
def layer_norm_backward(
    team: Team,
    x: Array,
    weight: Array | None,
    center: int,
    mean: Array,
    scale: Array,
    dy: Array,
    offsets: Array | None,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
    status: Array | None,
) -> None:
    rows, columns = x.shape
    if given(offsets):
        rows = offsets[len(offsets) - 1]
    alone = team.used == 1
    if given(dweight) or given(dbias):
        c0, c1 = share(team, columns, COLUMNS)
        if given(dweight):
            _clear(part(dweight, c0, c1 - c0))
        if given(dbias):
            _clear(part(dbias, c0, c1 - c0))
        for r in range(0, rows, ROWS):
            last = min(rows, r + ROWS)
            if given(dweight):
                _add_products(x, dy, mean, scale, r, last, c0, part(dweight, c0, c1 - c0))
            if given(dbias):
                own = part(dbias, c0, c1 - c0)
                add_rows(dy, columns, r * columns + c0, last - r, own)
            if alone and given(dx):  # while what both read is in cache
                _rows_back(x, weight, center, mean, scale, dy, dx, r, last)
        if given(dweight) and not all_finite(part(dweight, c0, c1 - c0)):
            raise_flag(status)
        if given(dbias) and not all_finite(part(dbias, c0, c1 - c0)):
            raise_flag(status)
        if alone:
            return
        wait(team)
    if given(dx):
        low, high = share(team, rows, 1)
        _rows_back(x, weight, center, mean, scale, dy, dx, low, high)
