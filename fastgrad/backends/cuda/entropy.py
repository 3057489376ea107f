"""Cross-entropy over classes, with its gradient in the same phase.

design: the gradient holds the row's exponentials first. Terms are in the call's dtype, their sums
over a row and over the batch in float64.
 a) Smoothing mixes the targets with the uniform distribution where they are read. With class
    weights every class of a row then counts with its own, so that they are part of the row's loss,
    and only the sum of weights knows the row's own class.
 b) Of -inf, a class that cannot be, 0 times is 0: of what neither is nor can be.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_sum, device, number, part
from fastgrad.backends.cuda.elementary import exp, log
from fastgrad.backends.cuda.lanes import lane_max, lane_sum, shared_rows
from fastgrad.backends.cuda.mean_loss import mean_loss, row_weight, total_weight
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel
from fastgrad.backends.cuda.target import cuda


@device
def _top(m: Memory, inside: bool, start: int, width: int, lane: int, lanes: int) -> float:
    """The largest number of the row; where one is NaN, any."""
    top = number(m.reals, -math.inf)
    if inside:
        z = part(m.reals, start, width)
        for j in range(lane, width, lanes):
            if z[j] > top:
                top = z[j]
    return lane_max(m, top, lanes)


@device
def _exponentials(
    m: Memory, inside: bool, start: int, target: int, top: float, width: int, lane: int, lanes: int
) -> float:  # fmt: skip
    """exp(z - top), to the row of `target`, and their sum over the row."""
    total = 0.0
    if inside:
        z, out = part(m.reals, start, width), part(m.reals, target, width)
        for j in range(lane, width, lanes):
            out[j] = exp(z[j] - top)
            total += np.float64(out[j])
    return lane_sum(m, total, lanes)


@device
def _weighted_scores(
    m: Memory, inside: bool, weights: int, start: int, top: float, width: int, lane: int, lanes: int
) -> float:  # fmt: skip
    """The sum over the row of z - top, each times its weight, if there are weights."""
    total, zero = 0.0, number(m.reals, 0)
    if inside:
        z, weight = part(m.reals, start, width), part(m.reals, weights, width)
        for j in range(lane, width, lanes):
            score = z[j] - top
            if weights != 0:
                score = weight[j] * score if weight[j] != 0 else zero
            total += np.float64(score)
    return lane_sum(m, total, lanes)


@device
def _all_classes(m: Memory, weights: int, width: int) -> float:
    """The sum of their weights."""
    total = np.float64(width)
    if weights != 0:
        found = 0.0
        for j in range(cuda.threadIdx.x, width, cuda.blockDim.x):
            found += np.float64(m.reals[weights + j])
        total = block_sum(m, found)
    return total


@device
def _cross_entropy(m: Memory, w: int, k: int) -> None:
    n, width, lanes = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    sample, classes, labels, counted = m.ints[w + 3], m.ints[w + 4], m.ints[w + 5], m.ints[w + 6]
    smoothing = m.doubles[w + 8]
    even = smoothing / width
    share = 1 / total_weight(m, n, sample, classes, labels)
    everyone = even * _all_classes(m, classes, width)
    own, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
    some = cuda.blockDim.x // lanes
    for first in range(cuda.blockIdx.x * some, n, cuda.gridDim.x * some):
        r = first + own
        inside = r < n
        source, target = m.ints[w + 7] + r * width, m.ints[w + 9] + r * width
        top = _top(m, inside, source, width, lane, lanes)
        score = 0.0
        if even != 0:
            score = even * _weighted_scores(m, inside, classes, source, top, width, lane, lanes)
        total = _exponentials(m, inside, source, target, top, width, lane, lanes)
        if inside:
            label, mine = m.ints[labels + r], 1 - smoothing
            if classes != 0 and smoothing != 0:
                mine *= np.float64(m.reals[classes + label])
            if mine != 0:
                score += mine * np.float64(m.reals[source + label] - top)
            mass = mine + everyone
            part_of_loss = row_weight(m, r, sample, counted, labels) * share
            scale = number(m.reals, part_of_loss * mass / total)
            less = number(m.reals, part_of_loss * mine)
            rest = number(m.reals, part_of_loss * even)
            dz, weight = part(m.reals, target, width), part(m.reals, classes, width)
            for j in range(lane, width, lanes):
                aim = rest * weight[j] if classes != 0 else rest
                if j == label:
                    aim += less
                dz[j] = dz[j] * scale - aim
            if lane == 0:
                m.doubles[m.ints[w + 10] + r] = mass * log(total) - score


@kernel
def cross_entropy(
    z: Array, target: Array, class_weight: Array | None, sample_weight: Array | None,
    smoothing: float, dz: Array, rows: Array, loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    counted = None if smoothing else class_weight
    weights = sample_weight, class_weight, target, counted
    return [
        shared_rows(_cross_entropy, *z.shape, *weights, z, float(smoothing), dz, rows),
        mean_loss(rows, sample_weight, loss, status, class_weight, target, counted),
    ]


@device
def _soft_cross_entropy(m: Memory, w: int, k: int) -> None:
    n, width, lanes, sample = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    smoothing = m.doubles[w + 6]
    keep, even = 1 - smoothing, smoothing / width
    share = 1 / total_weight(m, n, sample, 0, 0)
    own, lane = cuda.threadIdx.x // lanes, cuda.threadIdx.x % lanes
    some = cuda.blockDim.x // lanes
    for first in range(cuda.blockIdx.x * some, n, cuda.gridDim.x * some):
        r = first + own
        inside = r < n
        source, aims = m.ints[w + 4] + r * width, m.ints[w + 5] + r * width
        target = m.ints[w + 7] + r * width
        soft, dz = part(m.reals, aims, width), part(m.reals, target, width)
        top = _top(m, inside, source, width, lane, lanes)
        score = keep * _weighted_scores(m, inside, aims, source, top, width, lane, lanes)
        if even != 0:
            score += even * _weighted_scores(m, inside, 0, source, top, width, lane, lanes)
        mass = 0.0
        if inside:
            for j in range(lane, width, lanes):
                mass += np.float64(soft[j])
        mass = keep * lane_sum(m, mass, lanes) + smoothing
        total = _exponentials(m, inside, source, target, top, width, lane, lanes)
        if inside:
            part_of_loss = row_weight(m, r, sample, 0, 0) * share
            scale = number(m.reals, part_of_loss * mass / total)
            less, rest = number(m.reals, part_of_loss * keep), number(m.reals, part_of_loss * even)
            for j in range(lane, width, lanes):
                dz[j] = dz[j] * scale - less * soft[j] - rest
            if lane == 0:
                m.doubles[m.ints[w + 8] + r] = mass * log(total) - score


@kernel
def soft_cross_entropy(
    z: Array, target: Array, sample_weight: Array | None, smoothing: float, dz: Array, rows: Array,
    loss: Array, status: Array | None,
) -> list[Phase]:  # fmt: skip
    words = sample_weight, z, target, float(smoothing), dz, rows
    return [
        shared_rows(_soft_cross_entropy, *z.shape, *words),
        mean_loss(rows, sample_weight, loss, status),
    ]
