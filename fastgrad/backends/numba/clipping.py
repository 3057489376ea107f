"""Clipping: norms of groups of elements, bounds for them, and the rescaling into these bounds.

design: as src/clipping.pxi.
 a) A norm is a pair, scale and root, whose product it is. scale is 1 unless squares leave float64,
    0 where all elements are, and infinite where one of them is not finite.
 b) Work is shared in whole blocks, so that every sum is the same whatever the number of threads.
    Histories and accounts are written by the first thread alone.
 c) Denormal numbers count: a gradient may be lifted from there, or need such a factor.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.denormals import keep_denormals, set_mode
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import number, part
from fastgrad.backends.numba.sums import all_finite, squares
from fastgrad.backends.numba.team import Team, share, wait

MOST = sys.float_info.max


@inline
def sum_block(x: Array) -> tuple[float, float]:
    """Scale, as of a), and what the sum of squares is times its square."""
    square = squares(x)
    if 1e-280 < square < 1e280:
        return 1.0, square
    if not all_finite(x):
        return math.inf, square
    top = 0.0
    for i in range(len(x)):
        top = max(top, np.float64(abs(x[i])))
    square = 0.0
    if top > 0:
        for i in range(len(x)):
            square += (np.float64(x[i]) / top) ** 2
    return top, square


@inline
def add_blocks(sums: Array, column: int, first: int, last: int) -> tuple[float, float]:
    """The norm of some blocks, whose sums stand in two columns."""
    top, square = 0.0, 0.0
    for i in range(first, last):
        top = max(top, sums[i, column])
    if top == 0 or not top < math.inf:
        return top, 1.0
    for i in range(first, last):
        square += (sums[i, column] / top) ** 2 * sums[i, column + 1]
    return top, math.sqrt(square)


@kernel(work="P")
def group_norms(
    team: Team, x: Array, blocks: Array, groups: Array, sums: Array, norms: Array
) -> None:
    mode = keep_denormals()
    low, high = share(team, len(blocks) - 1, 1)
    for i in range(low, high):
        sums[i, 0], sums[i, 1] = sum_block(part(x, blocks[i], blocks[i + 1] - blocks[i]))
    wait(team)
    low, high = share(team, len(groups) - 1, 1)
    for s in range(low, high):
        norms[s, 0], norms[s, 1] = add_blocks(sums, 0, groups[s], groups[s + 1])
    set_mode(mode)


@inline
def away(factor: float) -> float:
    """How far a factor is from 1, above or below."""
    return math.inf if factor == 0 else max(factor, 1 / factor)


@inline
def note(report: Array, acted: bool, norm: float, factor: float, kept: float) -> None:
    """One step more in the account of a clip."""
    if report[0] == 0 or away(factor) > away(report[5]):
        report[5] = factor
    report[0] += 1
    report[1] += 1 if acted else 0
    report[2] = norm
    report[3] = factor
    report[4] += kept


@inline
def find_factor(norms: Array, bounds: Array, s: int) -> tuple[float, float]:
    """A group is multiplied with the first, then with the second; exact for every finite one."""
    scale, root = norms[s, 0], norms[s, 1]
    size = scale * root
    if scale == 0 or not scale < math.inf or bounds[s, 0] <= size <= bounds[s, 1]:
        return 1.0, 1.0
    lift = 1.0
    wanted = bounds[s, 1] if size > bounds[s, 1] else bounds[s, 0]
    if scale < 1e-290:  # one float64 may not reach from there to where the norm is wanted
        lift = 2.0**600
    return lift, wanted / (scale * lift) / root


@inline
def account(norms: Array, bounds: Array, report: Array) -> None:
    """Largest norm, factor farthest from 1, and the norm of all groups together, after / before."""
    largest, most, farthest, acted = 0.0, 0.0, 1.0, False
    for s in range(len(norms)):
        norm = norms[s, 0] * norms[s, 1]
        largest = max(largest, norm)
        if norms[s, 0] < math.inf:
            most = max(most, norm)
        lift, factor = find_factor(norms, bounds, s)
        factor *= lift
        acted = acted or factor != 1
        if away(factor) > away(farthest):
            farthest = factor
    kept = farthest
    if len(norms) > 1 and acted:
        before, after = 0.0, 0.0
        for s in range(len(norms)):
            if norms[s, 0] < math.inf:
                norm = norms[s, 0] / min(most, MOST) * norms[s, 1]
                lift, factor = find_factor(norms, bounds, s)
                before = math.hypot(before, norm)
                after = math.hypot(after, factor * lift * norm)
        kept = after / before
    note(report, acted, largest, farthest, kept)


@kernel(work="P")
def rescale(
    team: Team, norms: Array, bounds: Array, blocks: Array, groups: Array, g: Array, report: Array
) -> None:
    mode = keep_denormals()
    if team.rank == 0:
        account(norms, bounds, report)
    low, high = share(team, len(blocks) - 1, 1)
    for s in range(len(norms)):
        first, last = max(low, groups[s]), min(high, groups[s + 1])
        if first < last:
            lift, factor = find_factor(norms, bounds, s)
            if lift * factor != 1:
                own = part(g, blocks[first], blocks[last] - blocks[first])
                for i in range(len(own)):
                    own[i] = np.float64(own[i]) * lift * factor
    set_mode(mode)


@kernel
def relative_bounds(team: Team, norms: Array, factor: float, eps: float, bounds: Array) -> None:
    mode = keep_denormals()
    for s in range(len(norms)):
        bounds[s, 0] = 0
        bounds[s, 1] = factor * max(norms[s, 0] * norms[s, 1], eps)
    set_mode(mode)


@inline
def remember(norm: float, arrived: Array, ordered: Array, count: Array) -> None:
    """Put a norm into both lists; the oldest one leaves them when they are full."""
    seen = max(count[0], 0)
    place, n = seen % len(arrived), min(seen, len(arrived))
    i = n
    if n < len(arrived):
        n += 1
    else:
        i = 0
        while i < n - 1 and ordered[i] < arrived[place]:
            i += 1
    while i > 0 and ordered[i - 1] > norm:
        ordered[i] = ordered[i - 1]
        i -= 1
    while i < n - 1 and ordered[i + 1] < norm:
        ordered[i] = ordered[i + 1]
        i += 1
    ordered[i] = norm
    arrived[place] = norm
    count[0] = seen + 1


@kernel
def percentile_bounds(
    team: Team,
    norms: Array,
    percentile: float,
    bounds: Array,
    arrived: Array,
    ordered: Array,
    count: Array,
) -> None:
    mode = keep_denormals()
    norm = norms[0, 0] * norms[0, 1]
    if 0 < norm < math.inf:
        remember(norm, arrived, ordered, count)
    bounds[0, 0], bounds[0, 1] = 0, math.inf
    n = min(count[0], len(arrived))
    if n > 0:
        place = percentile / 100 * (n - 1)
        i = min(int(place), n - 1)
        low, high = ordered[i], ordered[min(i + 1, n - 1)]
        bounds[0, 1] = low + (high - low) * (place - i)
    set_mode(mode)


@kernel
def z_score_bounds(
    team: Team,
    norms: Array,
    threshold: float,
    alpha: float,
    warmup: int,
    min_std: float,
    max_norm: float,
    bounds: Array,
    moments: Array,
) -> None:
    mode = keep_denormals()
    norm, limit = norms[0, 0] * norms[0, 1], math.inf
    seen, mean, std = moments[0], moments[1], moments[2]
    spread = max(std, min_std * mean)
    if seen >= warmup and spread > 0 and norm > mean + threshold * spread:
        limit = mean + threshold * spread * (threshold * spread / (norm - mean))
    if norm < math.inf:
        norm = min(norm, limit)
        change = norm - mean
        # neither form squares a norm, which may leave float64
        if seen < warmup:
            mean += change / (seen + 1)
            kept = math.sqrt(seen / (seen + 1))
            std = math.hypot(std * kept, change * (math.sqrt(seen) / (seen + 1)))
        else:
            mean = alpha * mean + (1 - alpha) * norm
            std = math.hypot(math.sqrt(alpha) * std, math.sqrt(1 - alpha) * (norm - mean))
        moments[0], moments[1], moments[2] = seen + 1, mean, std
    bounds[0, 0], bounds[0, 1] = 0, min(limit, max_norm)
    set_mode(mode)


@kernel(work="2 * P")
def clip_value(
    team: Team, limit: float, blocks: Array, g: Array, sums: Array, report: Array
) -> None:
    mode = keep_denormals()
    most = number(g, limit)
    least = -most
    low, high = share(team, len(blocks) - 1, 1)
    for block in range(low, high):
        own = part(g, blocks[block], blocks[block + 1] - blocks[block])
        scale, square = sum_block(own)
        sums[block, 0], sums[block, 1] = scale, square
        outside = 0
        for i in range(len(own)):
            x = own[i]
            outside += 1 if abs(x) > most else 0
            bounded = least if x < least else x
            own[i] = most if x > most else bounded
        if outside:
            scale, square = sum_block(own)
        sums[block, 2], sums[block, 3], sums[block, 4] = scale, square, outside
    wait(team)
    if team.rank == 0:
        scale, root = add_blocks(sums, 0, 0, len(sums))
        scale_after, root_after = add_blocks(sums, 2, 0, len(sums))
        acted, kept = False, 1.0
        for block in range(len(sums)):
            acted = acted or sums[block, 4] > 0
        if acted and scale < math.inf:
            kept = scale_after / scale * (root_after / root)
        note(report, acted, scale * root, kept, kept)
    set_mode(mode)
