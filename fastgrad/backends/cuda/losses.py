"""The losses of regression and of single probabilities, each with its gradient in the same phase.

design: terms are computed in the call's dtype, sums over a row and over the batch in float64. A
phase is made of the formula for one output and its target, which gives the loss and its derivative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import exp, log1p
from fastgrad.backends.cuda.lanes import lane_sum, shared_rows
from fastgrad.backends.cuda.mean_loss import mean_loss, row_weight, total_weight
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.users import loss_of
from fastgrad.custom import LossFunction

Formula = Callable[..., tuple[float, float]]  # of Memory, an output, its target, and a constant


@device
def _square(m: Memory, z: float, target: float, unused: float) -> tuple[float, float]:
    d = z - target
    return d * d, d + d


@device
def _size(m: Memory, z: float, target: float, unused: float) -> tuple[float, float]:
    d, one = z - target, number(m.reals, 1)
    below = -one if d < 0 else d  # 0 or NaN
    return abs(d), one if d > 0 else below


@device
def _huber(m: Memory, z: float, target: float, edge: float) -> tuple[float, float]:
    d, half = z - target, number(m.reals, 0.5)
    size = abs(d)
    value = half * size * size if size <= edge else edge * (size - half * edge)
    above = edge if d > edge else d
    return value, -edge if d < -edge else above


@device
def _binary(m: Memory, z: float, target: float, smoothing: float) -> tuple[float, float]:
    zero, one = number(m.reals, 0), number(m.reals, 1)
    aim = target + smoothing * (number(m.reals, 0.5) - target)
    e = exp(-abs(z))
    value = (zero if z < 0 else z) - z * aim + log1p(e)
    return value, (e if z < 0 else one) / (one + e) - aim


@functools.cache
def _rows_of(formula: Formula) -> Callable[..., None]:
    """What makes the rows' losses and the gradient of their mean."""

    @device
    def loss_rows(m: Memory, w: int, k: int) -> None:
        n, width, lanes, sample = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
        constant = number(m.reals, m.doubles[w + 6])
        share = 1 / total_weight(m, n, sample, 0, 0) / width
        own, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
        some = cuda.blockDim.x // lanes
        for first in range(cuda.blockIdx.x * some, n, cuda.gridDim.x * some):
            r = first + own
            found = 0.0
            if r < n:
                z = part(m.reals, m.ints[w + 4] + r * width, width)
                target = part(m.reals, m.ints[w + 5] + r * width, width)
                dz = part(m.reals, m.ints[w + 7] + r * width, width)
                scale = number(m.reals, row_weight(m, r, sample, 0, 0) * share)
                for j in range(lane, width, lanes):
                    value, slope = formula(m, z[j], target[j], constant)
                    found += np.float64(value)
                    dz[j] = scale * slope
            found = lane_sum(m, found, lanes)
            if r < n and lane == 0:
                m.doubles[m.ints[w + 8] + r] = found / width

    return loss_rows


def _phases(
    formula: Formula, z: Array, target: Array, sample_weight: Array | None, constant: float,
    dz: Array, rows: Array, loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    words = sample_weight, z, target, float(constant), dz, rows
    return [
        shared_rows(_rows_of(formula), *z.shape, *words),
        mean_loss(rows, sample_weight, loss, status),
    ]


@kernel
def mse(
    z: Array, target: Array, sample_weight: Array | None, dz: Array, rows: Array, loss: Array,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    return _phases(_square, z, target, sample_weight, 0, dz, rows, loss, status)


@kernel
def mae(
    z: Array, target: Array, sample_weight: Array | None, dz: Array, rows: Array, loss: Array,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    return _phases(_size, z, target, sample_weight, 0, dz, rows, loss, status)


@kernel
def huber(
    z: Array, target: Array, sample_weight: Array | None, delta: float, dz: Array, rows: Array,
    loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    return _phases(_huber, z, target, sample_weight, delta, dz, rows, loss, status)


@kernel
def binary_cross_entropy(
    z: Array, target: Array, sample_weight: Array | None, smoothing: float, dz: Array, rows: Array,
    loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    return _phases(_binary, z, target, sample_weight, smoothing, dz, rows, loss, status)


@functools.cache
def _own(formula: LossFunction) -> Formula:
    """A user's formula, in the manner of those above."""
    found = loss_of(formula)

    @device
    def own(m: Memory, z: float, target: float, unused: float) -> tuple[float, float]:
        return found(m, z, target)

    return own


@kernel
def elementwise_loss(
    z: Array, target: Array, sample_weight: Array | None, formula: LossFunction, dz: Array,
    rows: Array, loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    return _phases(_own(formula), z, target, sample_weight, 0, dz, rows, loss, status)
