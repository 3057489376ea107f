"""Sums in double precision, and whether numbers are finite."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import SUMS, apart, inline
from fastgrad.backends.numba.memory import number, part

# float() of a float32 is a float32 to Numba: np.float64 is what widens


@inline(fastmath=SUMS)
def squares(x: Array) -> float:
    """The sum of squares, in float64."""
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@inline(fastmath=SUMS)
def total(x: Array) -> float:
    """The sum, in float64."""
    result = 0.0
    for i in range(len(x)):
        result += np.float64(x[i])
    return result


@inline(fastmath=SUMS)
def sizes(x: Array) -> float:
    """The sum of absolute values, in float64."""
    result = 0.0
    for i in range(len(x)):
        result += np.float64(abs(x[i]))
    return result


@inline(fastmath=SUMS)
def dot(x: Array, y: Array) -> float:
    """The sum of products, in float64."""
    result = 0.0
    for i in range(len(x)):
        result += np.float64(x[i]) * np.float64(y[i])
    return result


@inline(fastmath=SUMS)
def variation(x: Array, mean: float) -> float:
    """The sum of (x - mean)^2."""
    found = 0.0
    for i in range(len(x)):
        d = np.float64(x[i]) - mean
        found += d * d
    return found


@inline(fastmath=SUMS)
def all_finite(x: Array) -> bool:
    """Whether no number is infinite or NaN: only of those x - x is not 0."""
    bad = number(x, 0.0)
    for i in range(len(x)):
        bad += abs(x[i] - x[i])
    return bool(bad == 0)


@apart
def add_row(row: Array, sums: Array) -> None:
    """sums += a row, which lies apart."""
    for j in range(len(sums)):
        sums[j] += row[j]


@apart
def _add_eight(
    a: Array, b: Array, c: Array, d: Array, e: Array, f: Array, g: Array, h: Array, sums: Array
) -> None:
    for j in range(len(sums)):
        upper = (a[j] + b[j]) + (c[j] + d[j])
        sums[j] += upper + ((e[j] + f[j]) + (g[j] + h[j]))


@inline
def add_rows(x: Array, width: int, start: int, rows: int, sums: Array) -> None:
    """sums += what lies there of rows of that width, eight of them side by side."""
    n, r = len(sums), 0
    while r + 8 <= rows:
        at = start + r * width
        _add_eight(
            part(x, at, n), part(x, at + width, n),
            part(x, at + 2 * width, n), part(x, at + 3 * width, n),
            part(x, at + 4 * width, n), part(x, at + 5 * width, n),
            part(x, at + 6 * width, n), part(x, at + 7 * width, n), sums,
        )  # fmt: skip
        r += 8
    for i in range(r, rows):
        add_row(part(x, start + i * width, n), sums)
