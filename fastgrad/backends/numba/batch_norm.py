"""Batch normalization over the rows of a batch.

design: as src/batch_norm.pxi. Statistics are those of a column, in float64, the mean before the
squares; threads share columns, so they never wait for each other, and a block of columns goes
through all its passes while it is in cache. Rows are added some at a time, side by side.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import address, doubles, given, part, raise_flag
from fastgrad.backends.numba.sums import all_finite
from fastgrad.backends.numba.team import Team, share

SHARE, BLOCK = 64, 256  # columns: a share's are a multiple of the first


@inline
def _add_rows(x: Array, c: int, sums: Array) -> None:
    """sums += the columns of x from c on, four rows side by side."""
    rows, columns = x.shape
    n, r = len(sums), 0
    while r + 4 <= rows:
        at = r * columns + c
        x0, x1 = part(x, at, n), part(x, at + columns, n)
        x2, x3 = part(x, at + 2 * columns, n), part(x, at + 3 * columns, n)
        for j in range(n):
            upper = np.float64(x0[j]) + np.float64(x1[j])
            sums[j] += upper + (np.float64(x2[j]) + np.float64(x3[j]))
        r += 4
    for i in range(r, rows):
        row = part(x, i * columns + c, n)
        for j in range(n):
            sums[j] += row[j]


@inline
def _add_squares(x: Array, c: int, mean: Array, sums: Array) -> None:
    """sums += the squares of their distances to the mean."""
    rows, columns = x.shape
    n, r = len(sums), 0
    while r + 4 <= rows:
        at = r * columns + c
        x0, x1 = part(x, at, n), part(x, at + columns, n)
        x2, x3 = part(x, at + 2 * columns, n), part(x, at + 3 * columns, n)
        for j in range(n):
            d0, d1 = x0[j] - mean[j], x1[j] - mean[j]
            d2, d3 = x2[j] - mean[j], x3[j] - mean[j]
            sums[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        r += 4
    for i in range(r, rows):
        row = part(x, i * columns + c, n)
        for j in range(n):
            d = row[j] - mean[j]
            sums[j] += d * d


@inline
def _add_products(x: Array, dy: Array, c: int, center: Array, scale: Array, sums: Array) -> None:
    """sums += dy times what is normalized, two rows side by side."""
    rows, columns = x.shape
    n, r = len(sums), 0
    while r + 2 <= rows:
        at = r * columns + c
        x0, x1 = part(x, at, n), part(x, at + columns, n)
        g0, g1 = part(dy, at, n), part(dy, at + columns, n)
        for j in range(n):
            first = np.float64(g0[j] * ((x0[j] - center[j]) * scale[j]))
            sums[j] += first + np.float64(g1[j] * ((x1[j] - center[j]) * scale[j]))
        r += 2
    for i in range(r, rows):
        row, gradient = part(x, i * columns + c, n), part(dy, i * columns + c, n)
        for j in range(n):
            sums[j] += gradient[j] * ((row[j] - center[j]) * scale[j])


@inline
def _set_scale(var: Array, eps: float, weight: Array | None, c: int, scale: Array) -> None:
    """scale = weight / sqrt(var + eps); weights of columns from c on."""
    if given(weight):
        own = part(weight, c, len(scale))
        for j in range(len(scale)):
            scale[j] = np.float64(own[j]) / np.sqrt(np.float64(var[j]) + eps)
    else:
        for j in range(len(scale)):
            scale[j] = 1 / np.sqrt(np.float64(var[j]) + eps)


@inline
def _set_shift(bias: Array | None, c: int, shift: Array) -> None:
    n = len(shift)
    own = part(bias, c, n)
    if given(bias):
        for j in range(n):
            shift[j] = own[j]
    else:
        for j in range(n):
            shift[j] = 0


@inline
def _affine(x: Array, center: Array, scale: Array, shift: Array, y: Array) -> None:
    for j in range(len(y)):
        y[j] = (x[j] - center[j]) * scale[j] + shift[j]


@inline
def _repeat(x: Array, n: int, times: int) -> None:
    """The first n numbers of x, so many times."""
    first = part(x, 0, n)
    for k in range(1, times):
        following = part(x, k * n, n)
        for j in range(n):
            following[j] = first[j]


@inline
def _affine_rows(x: Array, rows: tuple[int, int], c: int, n: int, scratch: Array, y: Array) -> None:
    """Rows of n columns from c on; center, scale and shift lie in scratch, BLOCK apart.

    Several rows that are short and whole are one long one.
    """
    columns, some = x.shape[1], 1
    if n == columns and n <= BLOCK // 4:
        some = max(1, min(BLOCK // n, rows[1] - rows[0]))
        for k in range(3):
            _repeat(part(scratch, k * BLOCK, BLOCK), n, some)
    for r in range(rows[0], rows[1], some):
        at, size = r * columns + c, min(some, rows[1] - r) * n
        center, scale = part(scratch, 0, size), part(scratch, BLOCK, size)
        _affine(part(x, at, size), center, scale, part(scratch, 2 * BLOCK, size), part(y, at, size))


@kernel(work="8 * N * F")
def batch_norm_forward(
    team: Team,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    y: Array,
    mean: Array,
    var: Array,
) -> None:
    rows, columns = x.shape
    low, high = share(team, columns, SHARE)
    for c in range(low, high, BLOCK):
        n = min(BLOCK, high - c)
        means, squares = part(mean, c, n), part(var, c, n)
        center, scale, shift = (
            part(team.scratch, 0, n),
            part(team.scratch, BLOCK, n),
            part(team.scratch, 2 * BLOCK, n),
        )
        for j in range(n):
            means[j] = 0
            squares[j] = 0
        _add_rows(x, c, means)
        for j in range(n):
            means[j] /= rows
        _add_squares(x, c, means, squares)
        for j in range(n):
            squares[j] /= rows
            center[j] = means[j]
        _set_scale(squares, eps, weight, c, scale)
        _set_shift(bias, c, shift)
        _affine_rows(x, (0, rows), c, n, team.scratch, y)


@inline
def _back(
    x: Array, dy: Array, center: Array, scale: Array, shift: Array, slope: Array, dx: Array
) -> None:
    for j in range(len(dx)):
        dx[j] = scale[j] * (dy[j] - shift[j] - (x[j] - center[j]) * slope[j])


@kernel(work="8 * N * F")
def batch_norm_backward(
    team: Team,
    x: Array,
    weight: Array | None,
    mean: Array,
    var: Array,
    dy: Array,
    eps: float,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
    status: Array | None,
) -> None:
    rows, columns = x.shape
    low, high = share(team, columns, SHARE)
    wide = doubles(team.scratch)
    for c in range(low, high, BLOCK):
        n = min(BLOCK, high - c)
        sums, products, inverse = (
            part(wide, 0, n),
            part(wide, BLOCK, n),
            part(wide, 2 * BLOCK, n),
        )
        means, spread = part(mean, c, n), part(var, c, n)
        center, scale = part(team.scratch, 6 * BLOCK, n), part(team.scratch, 7 * BLOCK, n)
        shift, slope = part(team.scratch, 8 * BLOCK, n), part(team.scratch, 9 * BLOCK, n)
        for j in range(n):
            sums[j] = 0
            products[j] = 0
            inverse[j] = 1 / np.sqrt(spread[j] + eps)
            center[j] = means[j]
            scale[j] = inverse[j]
        _add_rows(dy, c, sums)
        _add_products(x, dy, c, center, scale, products)
        if given(dweight):
            own = part(dweight, c, n)
            for j in range(n):
                own[j] = products[j]
            if not all_finite(own):
                raise_flag(status)
        if given(dbias):
            own = part(dbias, c, n)
            for j in range(n):
                own[j] = sums[j]
            if not all_finite(own):
                raise_flag(status)
        if not given(dx):
            continue
        for j in range(n):
            shift[j] = sums[j] / rows
            slope[j] = products[j] / rows * inverse[j]
        if given(weight):
            factor = part(weight, c, n)
            for j in range(n):
                scale[j] = np.float64(factor[j]) * inverse[j]
        for i in range(rows):
            at = i * columns + c
            row, target = part(x, at, n), part(dx, at, n)
            if address(dx) == address(dy):  # as one array, or else LLVM makes no vectors
                _back(row, target, center, scale, shift, slope, target)
            else:
                _back(row, part(dy, at, n), center, scale, shift, slope, target)


@kernel
def batch_norm_update(
    team: Team,
    mean: Array,
    var: Array,
    rows: int,
    momentum: float,
    running_mean: Array,
    running_var: Array,
) -> None:
    unbiased = rows / (rows - 1)
    for j in range(len(mean)):
        running_mean[j] = (1 - momentum) * running_mean[j] + momentum * mean[j]
        running_var[j] = (1 - momentum) * running_var[j] + momentum * unbiased * var[j]


@kernel(work="N * F")
def batch_norm_predict(
    team: Team,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    eps: float,
    y: Array,
) -> None:
    rows, columns = x.shape
    low, high = share(team, rows, 1)
    for c in range(0, columns, BLOCK):
        n = min(BLOCK, columns - c)
        center, scale, shift = (
            part(team.scratch, 0, n),
            part(team.scratch, BLOCK, n),
            part(team.scratch, 2 * BLOCK, n),
        )
        means = part(running_mean, c, n)
        for j in range(n):
            center[j] = means[j]
        _set_scale(part(running_var, c, n), eps, weight, c, scale)
        _set_shift(bias, c, shift)
        _affine_rows(x, (low, high), c, n, team.scratch, y)
