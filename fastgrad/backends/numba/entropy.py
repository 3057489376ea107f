"""Cross-entropy over classes, with its gradient in the same pass.

design: as src/losses.pxi.
 a) Exponentials run over rows laid end to end: with 10 classes a loop along one row would leave
    most of a vector idle.
 b) Sums over a row and over the batch are in float64. Threads share rows.
 c) Smoothing mixes the targets with the uniform distribution where they are read. With class
    weights every class of a row then counts with its own, so that they are part of the row's loss,
    and only the sum of weights knows the row's own class.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.compiling import SUMS, inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import doubles, given, number, part, raise_flag
from fastgrad.backends.numba.sums import dot, total
from fastgrad.backends.numba.team import Team, share, wait

SHORT = 16  # columns that are too few for vectors
ROWS, PIECE = 64, 4096  # rows worked on at a time, and their elements


@inline(fastmath={"contract", "reassoc", "nnan", "nsz"})
def _top(x: Array) -> Any:
    """The largest; where one is NaN, any."""
    found = x[0]
    for j in range(1, len(x)):
        found = x[j] if x[j] > found else found
    return found


@inline(fastmath=SUMS)
def _weighted_sum(weight: Array, x: Array) -> float:
    """0 * -inf is a class that neither is nor can be."""
    found = 0.0
    for j in range(len(x)):
        term = np.float64(weight[j]) * np.float64(x[j])
        found += term if weight[j] != 0 else 0.0
    return found


@inline
def _short_top(x: Array) -> Any:
    found = x[0]
    for j in range(1, len(x)):
        found = x[j] if x[j] > found else found
    return found


@inline
def _short_total(x: Array) -> float:
    found = 0.0
    for j in range(len(x)):
        found += np.float64(x[j])
    return found


@inline
def _below_top(z: Array, dz: Array, columns: int, rows: int) -> None:
    """dz = z less the largest of its row."""
    for j in range(len(dz)):
        dz[j] = z[j]
    for i in range(rows):
        row = part(dz, i * columns, columns)
        top = _short_top(row) if columns < SHORT else _top(row)
        for j in range(columns):
            row[j] -= top


@inline
def _exponentials(dz: Array) -> None:
    for j in range(len(dz)):
        dz[j] = math.exp(dz[j])


@inline
def _scale(x: Array, factor: float) -> None:
    scale = number(x, factor)
    for j in range(len(x)):
        x[j] *= scale


@inline
def _finish(mass: Array, score: Array, sums: Array, rows: Array) -> None:
    for i in range(len(rows)):
        rows[i] = mass[i] * math.log(sums[i]) - score[i]


@inline
def _even(dz: Array, class_weight: Array | None) -> tuple[float, float]:
    """Sums over all classes of their weights, and of these times dz."""
    if given(class_weight):
        return total(class_weight), _weighted_sum(class_weight, dz)
    return float(len(dz)), total(dz)


@inline
def _weight(
    i: int, target: Array, class_weight: Array | None, sample_weight: Array | None
) -> float:
    """What the row counts in the sum of weights."""
    weight = 1.0
    if given(sample_weight):
        weight = np.float64(sample_weight[i])
    if given(class_weight):
        weight *= class_weight[target[i]]
    return weight


@inline
def _factor(
    i: int,
    target: Array,
    class_weight: Array | None,
    sample_weight: Array | None,
    smoothing: float,
) -> float:
    """What the row's loss is multiplied with."""
    if not (given(class_weight) and smoothing != 0):
        return float(_weight(i, target, class_weight, sample_weight))
    factor = 1.0
    if given(sample_weight):
        factor = np.float64(sample_weight[i])
    return factor


@inline
def _own_target(label: int, class_weight: Array | None, smoothing: float) -> float:
    """The target of the row's class, which smoothing adds to."""
    own = 1 - smoothing
    if given(class_weight) and smoothing != 0:
        own *= class_weight[label]
    return own


@inline
def _mean(
    target: Array,
    class_weight: Array | None,
    sample_weight: Array | None,
    smoothing: float,
    everything: float,
    rows: Array,
) -> float:
    found = 0.0
    if not given(sample_weight) and not given(class_weight):
        found = total(rows)
    else:
        for i in range(len(rows)):
            found += _factor(i, target, class_weight, sample_weight, smoothing) * rows[i]
    return found / everything if len(rows) else 0.0


@kernel(work="20 * N * C")
def cross_entropy(
    team: Team,
    z: Array,
    target: Array,
    class_weight: Array | None,
    sample_weight: Array | None,
    smoothing: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    n, columns = z.shape
    even = smoothing / columns
    everything = float(n)
    if given(sample_weight) or given(class_weight):
        everything = 0.0
        for i in range(n):
            everything += _weight(i, target, class_weight, sample_weight)
        if everything == 0:  # rows without weight: no loss and no gradient
            everything = inf
    wide = doubles(team.scratch)
    low, high = share(team, n, 1)
    some = min(ROWS, max(1, PIECE // columns))
    for r in range(low, high, some):
        count = min(some, high - r)
        start, size = r * columns, count * columns
        mass, score, sums = (
            part(wide, 0, count),
            part(wide, ROWS, count),
            part(wide, 2 * ROWS, count),
        )
        gradient = part(dz, start, size)
        _below_top(part(z, start, size), gradient, columns, count)
        for i in range(count):
            label = target[r + i]
            own = _own_target(label, class_weight, smoothing)
            mass[i] = own
            score[i] = own * gradient[i * columns + label] if own != 0 else 0.0
            if even != 0:
                all_mass, all_score = _even(part(gradient, i * columns, columns), class_weight)
                mass[i] += even * all_mass
                score[i] += even * all_score
        _exponentials(gradient)
        for i in range(count):
            label = target[r + i]
            row = part(gradient, i * columns, columns)
            sums[i] = _short_total(row) if columns < SHORT else total(row)
            factor = _factor(r + i, target, class_weight, sample_weight, smoothing)
            own_share = factor / everything
            _scale(row, own_share * mass[i] / sums[i])
            own = _own_target(label, class_weight, smoothing)
            row[label] -= number(z, own_share * own)
            if even != 0:
                rest = number(z, own_share * even)
                if given(class_weight):
                    for j in range(columns):
                        row[j] -= rest * class_weight[j]
                else:
                    for j in range(columns):
                        row[j] -= rest
        _finish(mass, score, sums, part(rows, r, count))
    wait(team)
    if team.rank == 0:
        loss[0] = _mean(target, class_weight, sample_weight, smoothing, everything, rows)
        if not np.isfinite(loss[0]):
            raise_flag(status)


@kernel(work="20 * N * C")
def soft_cross_entropy(
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
    n, columns = z.shape
    keep, even = 1 - smoothing, smoothing / columns
    everything = float(n)
    if given(sample_weight):
        everything = total(sample_weight)
        if everything == 0:
            everything = inf
    wide = doubles(team.scratch)
    low, high = share(team, n, 1)
    some = min(ROWS, max(1, PIECE // columns))
    for r in range(low, high, some):
        count = min(some, high - r)
        start, size = r * columns, count * columns
        mass, score, sums = (
            part(wide, 0, count),
            part(wide, ROWS, count),
            part(wide, 2 * ROWS, count),
        )
        gradient = part(dz, start, size)
        _below_top(part(z, start, size), gradient, columns, count)
        for i in range(count):
            soft, row = (
                part(target, start + i * columns, columns),
                part(gradient, i * columns, columns),
            )
            mass[i] = keep * total(soft)
            score[i] = keep * _weighted_sum(soft, row)
            if even != 0:
                mass[i] += even * columns
                score[i] += even * total(row)
        _exponentials(gradient)
        for i in range(count):
            soft, row = (
                part(target, start + i * columns, columns),
                part(gradient, i * columns, columns),
            )
            sums[i] = _short_total(row) if columns < SHORT else total(row)
            own_share = 1 / everything
            if given(sample_weight):
                own_share = sample_weight[r + i] / everything
            scale, less = number(z, own_share * mass[i] / sums[i]), number(z, own_share * keep)
            rest = number(z, own_share * even)
            for j in range(columns):
                row[j] = row[j] * scale - less * soft[j] - rest
        _finish(mass, score, sums, part(rows, r, count))
    wait(team)
    if team.rank == 0:
        if given(sample_weight):
            loss[0] = dot(sample_weight, rows) / everything if n else 0.0
        else:
            loss[0] = total(rows) / everything if n else 0.0
        if not np.isfinite(loss[0]):
            raise_flag(status)
