"""Expectations over a normal variable, to about 12 digits, whatever kinks the function has.

Gauss-Hermite rules err by 1e-2 at the kink of relu. Here intervals are halved until a rule agrees
with itself on both halves: a kink ends up in an interval of no weight.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from fastgrad.initializers.checks import Array

# takes arguments, a row for each interval, and half the width of each, as a column; gives values,
# and how far rounding may have taken them
Integrand: TypeAlias = Callable[[Array, Array], tuple[Array, Array | float]]

_NODES = 17  # odd, as the rule below needs
LIMIT = 12.0  # deviations; less than 4e-33 of the mass lies beyond
_TOLERANCE = 1e-13  # of each interval's error, relative to the integral of |f|
_TOLERABLE = 1e-8  # of all errors together where halving has to end
_HALVINGS = 50  # of an interval, whose ends then differ in the last bits
_INTERVALS = 1 << 14


def expectation(f: Integrand, q: float) -> float:
    """E[f(sqrt(q) z)] for z ~ N(0, 1).

    Parameters
    ----------
    f : callable
        ``f(u, half)`` for u of shape (intervals, nodes) and half of shape (intervals, 1), which
        is what `slopes` needs. Returns values and their errors by rounding, 0 where these are as
        small as those of the sum.
    q : float
        Greater than 0.

    Raises
    ------
    ValueError
        If f jumps about too much for 16384 intervals, or the expectation is not finite.
    """
    nodes, weights, _ = _rule()
    root = math.sqrt(q)

    def integrals(starts: Array, ends: Array) -> tuple[Array, Array, Array]:
        middle, half = (starts + ends)[:, None] / 2, (ends - starts)[:, None] / 2
        z = middle + half * nodes
        density = np.exp(-z * z / 2) * (half * weights)
        with np.errstate(all="ignore"):
            values, roundings = f(root * z, root * half)
            terms = values * density
        sums, sizes = terms.sum(axis=1), np.abs(terms).sum(axis=1)
        if not np.isfinite(sizes).all():
            raise ValueError(f"the expectation is not finite for q = {q:g}")
        return sums, sizes, (roundings * density).sum(axis=1)

    # finer towards 0, where a kink is likely and where a large q draws everything together
    ladder = LIMIT * 0.5 ** np.arange(40.0)
    edges = np.concatenate([-ladder, [0.0], ladder[::-1]])
    starts, ends = edges[:-1], edges[1:]
    whole, sizes, _ = integrals(starts, ends)
    scale = float(sizes.sum())
    total = 0.0
    for halving in range(_HALVINGS + 1):
        middle = (starts + ends) / 2
        starts, ends = np.concatenate([starts, middle]), np.concatenate([middle, ends])
        halves, _, roundings = integrals(starts, ends)
        refined = halves.reshape(2, -1).sum(axis=0)
        errors = np.abs(refined - whole)
        # half the width would not reduce what rounding does to slopes
        rough = errors > _TOLERANCE * scale + roundings.reshape(2, -1).sum(axis=0)
        if halving == _HALVINGS or rough.sum() > _INTERVALS:
            if errors[rough].sum() > _TOLERABLE * scale:
                raise ValueError(f"too many jumps to integrate over, for q = {q:g}")
            rough[:] = False
        total += float(refined[~rough].sum())
        if not rough.any():
            break
        again = np.concatenate([rough, rough])
        starts, ends, whole = starts[again], ends[again], halves[again]
    return total / math.sqrt(2.0 * math.pi)


def slopes(values: Array, half: Array) -> tuple[Array, Array]:
    """The slope of a function at the nodes of each interval, from its values there.

    It is that of the polynomial through them: exact where the function is smooth, but for the
    roundings of the values, whose effect is the second array.
    """
    matrix = _rule()[2]
    # einsum calls no BLAS, whose last bits depend on its number of threads
    found = np.einsum("ij,kj->ik", values, matrix)
    eps = float(np.finfo(np.float64).eps)
    return found / half, eps * np.einsum("ij,kj->ik", np.abs(values), np.abs(matrix)) / half


@functools.cache
def _rule() -> tuple[Array, Array, Array]:
    """Nodes in [-1, 1], weights, and the matrix that differentiates the interpolant.

    Clenshaw & Curtis 1960: the ends are nodes, so that a kink close to one does not go unseen.
    Berrut & Trefethen 2004, "Barycentric Lagrange interpolation", section 9.3, for the matrix.
    """
    n = _NODES - 1
    k = np.arange(_NODES)
    at_end = (k == 0) | (k == n)
    x = -np.cos(np.pi * k / n)
    j = np.arange(1, n // 2 + 1)
    cosines = np.cos(2 * np.pi / n * np.multiply.outer(k, j))
    terms = np.where(j == n // 2, 1, 2) / (4 * j * j - 1) * cosines
    w = np.where(at_end, 1, 2) / n * (1 - terms.sum(axis=1))
    v = np.where(at_end, 0.5, 1) * (-1.0) ** k
    gaps = x[:, None] - x + np.eye(_NODES)
    matrix = v / v[:, None] / gaps * (1 - np.eye(_NODES))
    matrix -= np.diag(matrix.sum(axis=1))
    return x, w, matrix
