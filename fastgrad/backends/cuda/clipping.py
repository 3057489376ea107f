"""Clipping: the rescaling of groups of elements into bounds of their norms, and of values."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_max, block_sum, device, finite, number, part, place
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.norms import add_blocks, group_of, norm_of_block
from fastgrad.backends.cuda.phase import Phase, kernel, rows
from fastgrad.backends.cuda.squares import UP, add_square
from fastgrad.backends.cuda.target import cuda

MOST = sys.float_info.max


@device
def _away(factor: float) -> float:
    """How far a factor is from 1, above or below."""
    return math.inf if factor == 0 else max(factor, np.float64(1) / factor)


@device
def _note(report: Any, acted: bool, norm: float, factor: float, kept: float) -> None:
    """One step more in the account of a clip."""
    if report[0] == 0 or _away(factor) > _away(report[5]):
        report[5] = factor
    report[0] += 1
    report[1] += 1 if acted else 0
    report[2] = norm
    report[3] = factor
    report[4] += kept


@device
def _factors(norms: Any, bounds: Any, s: int) -> tuple[float, float]:
    """A group is multiplied with the first, then with the second; exact for every finite one."""
    scale, root, low, high = norms[2 * s], norms[2 * s + 1], bounds[2 * s], bounds[2 * s + 1]
    size = scale * root
    if scale == 0 or not finite(scale) or low <= size <= high:
        return 1.0, 1.0
    wanted = high if size > high else low
    lift = UP if size < 1e-290 else 1.0  # one float64 may not reach from there to the bounds
    return lift, wanted / root / (scale * lift)


@device
def _after(norms: Any, bounds: Any, s: int, most: float) -> float:
    """A group's norm when it is rescaled, over `most`; 0 of one that is not finite."""
    if not finite(norms[2 * s]):
        return 0.0
    lift, factor = _factors(norms, bounds, s)
    return norms[2 * s] / most * norms[2 * s + 1] * factor * lift


@device
def _kept(m: Memory, norms: Any, bounds: Any, count: int, most: float) -> float:
    """The norm of all groups together, after / before."""
    before, after, top = 0.0, 0.0, 0.0
    for s in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        if finite(norms[2 * s]):
            share = norms[2 * s] / most * norms[2 * s + 1]
            before += share * share
        top = max(top, _after(norms, bounds, s, most))
    before, top = block_sum(m, before), block_max(m, top)
    if top == 0:
        return 0.0
    for s in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        share = _after(norms, bounds, s, most) / top
        after += share * share
    return top * sqrt(block_sum(m, after) / before)


@device
def _account(m: Memory, norms: Any, bounds: Any, count: int, report: Any) -> None:
    """A block's work: largest norm, factor farthest from 1, and what is kept of all groups."""
    largest, most, away = 0.0, 0.0, 1.0
    for s in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        norm = norms[2 * s] * norms[2 * s + 1]
        largest = max(largest, norm)
        if finite(norms[2 * s]):
            most = max(most, norm)
        lift, factor = _factors(norms, bounds, s)
        away = max(away, _away(lift * factor))
    largest, most, away = block_max(m, largest), block_max(m, most), block_max(m, away)
    first, farthest = count, np.float64(1)
    for s in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        lift, factor = _factors(norms, bounds, s)
        if s < first and _away(lift * factor) == away:
            first = s
    first = -int(block_max(m, -first))
    if away > 1 and first < count:
        lift, factor = _factors(norms, bounds, first)
        farthest = lift * factor
    kept = farthest
    if count > 1 and away > 1:
        kept = _kept(m, norms, bounds, count, min(most, MOST))
    if cuda.threadIdx.x == 0:
        _note(report, away > 1, largest, farthest, kept)


@device
def _rescale(m: Memory, w: int, k: int) -> None:
    count, tensors, blocks = m.ints[w], m.ints[w + 1], m.ints[w + 4]
    norms = part(m.doubles, m.ints[w + 2], 2 * tensors)
    bounds = part(m.doubles, m.ints[w + 3], 2 * tensors)
    groups = part(m.ints, m.ints[w + 5], tensors + 1)
    if cuda.blockIdx.x == 0:
        _account(m, norms, bounds, tensors, part(m.doubles, m.ints[w + 7], 6))
    for block in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        s = group_of(groups, block)
        if 0 <= s < tensors:
            lift, factor = _factors(norms, bounds, s)
            if lift * factor != 1:
                start = m.ints[blocks + block]
                n = m.ints[blocks + block + 1] - start
                g = part(m.reals, m.ints[w + 6] + start, n)
                for j in range(cuda.threadIdx.x, n, cuda.blockDim.x):
                    i = place(j)
                    g[i] = np.float64(g[i]) * lift * factor


@kernel
def rescale(
    norms: Array, bounds: Array, blocks: Array, groups: Array, g: Array, report: Array
) -> list[Phase]:
    count = len(blocks) - 1
    words = count, len(norms), norms, bounds, blocks, groups, g, report
    return [rows(_rescale, count, -(-g.size // max(count, 1)), *words)]


@device
def _clip_blocks(m: Memory, w: int, k: int) -> None:
    """Clip, and write the pairs of each block before and after, and how many were outside."""
    count, blocks, most = m.ints[w + 1], m.ints[w + 2], number(m.reals, m.doubles[w])
    sums = part(m.doubles, m.ints[w + 4], 5 * count)
    for block in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        start = m.ints[blocks + block]
        n = m.ints[blocks + block + 1] - start
        g, outside = part(m.reals, m.ints[w + 3] + start, n), 0
        before, after = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        for j in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            i = place(j)
            x = g[i]
            bounded = -most if x < -most else x
            bounded = most if x > most else bounded
            outside += 1 if abs(x) > most else 0
            before = add_square(m, before, np.float64(x))
            after = add_square(m, after, np.float64(bounded))
            g[i] = bounded
        scale, root = norm_of_block(m, before)
        scale_after, root_after = norm_of_block(m, after)
        found = block_sum(m, outside)
        if cuda.threadIdx.x == 0:
            row = part(sums, 5 * block, 5)
            row[0], row[1], row[2], row[3], row[4] = scale, root, scale_after, root_after, found


@device
def _clip_report(m: Memory, w: int, k: int) -> None:
    if cuda.blockIdx.x == 0:
        count, outside = m.ints[w], 0.0
        sums = part(m.doubles, m.ints[w + 1], 5 * count)
        scale, root = add_blocks(m, sums, 5, 0, count)
        scale_after, root_after = add_blocks(m, part(sums, 2, 5 * count - 2), 5, 0, count)
        for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            outside += sums[5 * i + 4]
        acted, kept = block_sum(m, outside) > 0, 1.0
        if acted and finite(scale):
            kept = root_after / root * scale_after / scale
        if cuda.threadIdx.x == 0:
            _note(part(m.doubles, m.ints[w + 2], 6), acted, scale * root, kept, kept)


@kernel
def clip_value(
    limit: float, blocks: Array, g: Array, sums: Array, report: Array
) -> list[Phase]:  # fmt: skip
    count = len(sums)
    width = -(-g.size // max(count, 1))
    return [
        rows(_clip_blocks, count, width, float(limit), count, blocks, g, sums),
        rows(_clip_report, 1, count, count, sums, report),
    ]
