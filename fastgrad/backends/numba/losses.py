"""The losses of regression and of single probabilities, each with its gradient in the same pass.

design: as src/losses.pxi, but terms and gradients are made side by side, over rows laid end to end.
 a) Terms are computed in the call's dtype, sums over a row and over the batch in float64.
 b) Threads share rows; the mean over rows is one sum in one order.
"""

from __future__ import annotations

from math import inf

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.calling import FIRST_ADDRESS, call_loss
from fastgrad.backends.numba.compiling import SUMS, inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import given, number, part, raise_flag
from fastgrad.backends.numba.sums import total
from fastgrad.backends.numba.team import Team, share, wait

PIECE = 1024  # elements whose terms stay in L1
MSE, MAE, HUBER, BINARY_CROSS_ENTROPY = range(4)


@inline
def _terms(
    kind: int, delta: float, smoothing: float, factor: float, z: Array, t: Array, dz: Array,
    terms: Array,
) -> None:  # fmt: skip
    """Terms of the loss, and their derivatives times factor."""
    n = len(z)
    zero, half, one, scale = number(z, 0.0), number(z, 0.5), number(z, 1.0), number(z, factor)
    twice, edge, mixed = number(z, 2 * factor), number(z, delta), number(z, smoothing)
    if kind >= FIRST_ADDRESS:
        call_loss(kind, z, t, terms, dz)
        for j in range(n):
            dz[j] *= scale
    elif kind == MSE:
        for j in range(n):
            d = z[j] - t[j]
            terms[j] = d * d
            dz[j] = twice * d
    elif kind == MAE:
        for j in range(n):
            d = z[j] - t[j]
            terms[j] = abs(d)
            below = -scale if d < zero else scale * d  # 0 or NaN
            dz[j] = scale if d > zero else below
    elif kind == HUBER:
        for j in range(n):
            d = z[j] - t[j]
            size = abs(d)
            terms[j] = half * size * size if size <= edge else edge * (size - half * edge)
            above = edge if d > edge else d
            dz[j] = scale * (-edge if d < -edge else above)
    else:
        for j in range(n):
            x = z[j]
            aim = t[j] + mixed * (half - t[j])  # which smoothing moves
            e = math.exp(-abs(x))
            terms[j] = (zero if x < zero else x) - x * aim + math.log1p(e)
            dz[j] = scale * ((e if x < zero else one) / (one + e) - aim)


@inline(fastmath=SUMS)
def mean_loss(rows: Array, weight: Array | None, everything: float) -> float:
    found = 0.0
    if given(weight):
        for i in range(len(rows)):
            found += weight[i] * rows[i]
    else:
        for i in range(len(rows)):
            found += rows[i]
    return found / everything if len(rows) else 0.0


@inline
def _regression(
    team: Team, kind: int, z: Array, target: Array, sample_weight: Array | None, delta: float,
    smoothing: float, dz: Array, rows: Array, loss: Array, status: Array | None,
) -> None:  # fmt: skip
    n, columns = z.shape
    everything = float(max(n, 1))
    if given(sample_weight):
        everything = total(sample_weight)
        if everything == 0:  # rows without weight: no loss and no gradient
            everything = inf
    low, high = share(team, n, 1)
    # one product in either case, so that weights of 1 are none
    factor = 1.0 if given(sample_weight) else 1 / everything / columns
    some = max(1, PIECE // max(1, columns))
    for r in range(low, high, some):
        own = min(some, high - r)
        for i in range(own):
            rows[r + i] = 0
        start, size = r * columns, own * columns
        for c in range(0, size, PIECE):  # more than one of a row that is long
            m = min(PIECE, size - c)
            terms = part(team.scratch, 0, m)
            at = start + c
            _terms(
                kind, delta, smoothing, factor, part(z, at, m), part(target, at, m),
                part(dz, at, m), terms,
            )  # fmt: skip
            if columns == 1:
                for i in range(own):
                    rows[r + i] = terms[i]
            else:
                width = min(columns, m)
                for i in range(own):
                    rows[r + i] += total(part(terms, i * width, width)) / columns
        if given(sample_weight):
            for i in range(r, r + own):
                share_of_row = number(z, sample_weight[i] / everything / columns)
                gradient = part(dz, i * columns, columns)
                for j in range(columns):
                    gradient[j] *= share_of_row
    wait(team)
    if team.rank == 0:
        loss[0] = mean_loss(rows, sample_weight, everything)
        if not np.isfinite(loss[0]):
            raise_flag(status)


@kernel(work="20 * N * O")
def mse(
    team: Team,
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    _regression(team, MSE, z, target, sample_weight, 0.0, 0.0, dz, rows, loss, status)


@kernel(work="20 * N * O")
def mae(
    team: Team,
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    _regression(team, MAE, z, target, sample_weight, 0.0, 0.0, dz, rows, loss, status)


@kernel(work="20 * N * O")
def huber(
    team: Team,
    z: Array,
    target: Array,
    sample_weight: Array | None,
    delta: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    _regression(team, HUBER, z, target, sample_weight, delta, 0.0, dz, rows, loss, status)


@kernel(work="20 * N * O")
def binary_cross_entropy(
    team: Team,
    z: Array,
    target: Array,
    sample_weight: Array | None,
    smoothing: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    kind = BINARY_CROSS_ENTROPY
    _regression(team, kind, z, target, sample_weight, 0.0, smoothing, dz, rows, loss, status)


@kernel(work="20 * N * O")
def elementwise_loss(
    team: Team,
    z: Array,
    target: Array,
    sample_weight: Array | None,
    formula: int,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    _regression(team, formula, z, target, sample_weight, 0.0, 0.0, dz, rows, loss, status)
