"""Clipping: norms of groups of elements, bounds for them, and the rescaling into these bounds."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np

from fastgrad.arena import Array


def _norm(x: Array) -> tuple[float, float]:
    """The norm in two factors, whose product may leave float64 where neither does."""
    top = float(np.abs(x).max(initial=0))
    if top == 0:
        return 0.0, 1.0
    if not math.isfinite(top):
        return math.inf, 1.0
    return top, math.sqrt(((x.astype(np.float64) / top) ** 2).sum())


def group_norms(x: Array, blocks: Array, groups: Array, sums: Array, norms: Array) -> None:
    for i, (first, last) in enumerate(itertools.pairwise(blocks)):
        scale, root = _norm(x[first:last])
        sums[i] = scale, root**2
    for s, (first, last) in enumerate(itertools.pairwise(groups)):
        norms[s] = _norm(x[blocks[first] : blocks[last]])


def _factors(norm: Array, bound: Array) -> tuple[float, float]:
    """What a group is multiplied with, in two steps: one float64 may not reach all the way."""
    scale, root = norm.tolist()
    low, high = bound.tolist()
    if scale == 0 or not math.isfinite(scale) or low <= scale * root <= high:
        return 1.0, 1.0
    lift = 2.0**600 if scale < 1e-290 else 1.0
    wanted = high if scale * root > high else low
    return lift, wanted / (scale * lift) / root


def _away(factor: float) -> float:
    """How far a factor is from 1, above or below."""
    return math.inf if factor == 0 else max(factor, 1 / factor)


def _note(report: Array, acted: bool, norm: float, factor: float, kept: float) -> None:
    """One step more in the account of a clip."""
    farthest = factor if report[0] == 0 else max(float(report[5]), factor, key=_away)
    report[:] = report[0] + 1, report[1] + acted, norm, factor, report[4] + kept, farthest


def rescale(
    norms: Array, bounds: Array, blocks: Array, groups: Array, g: Array, report: Array
) -> None:
    largest, farthest, finite = 0.0, 1.0, []
    for s, (first, last) in enumerate(itertools.pairwise(groups)):
        scale, root = norms[s].tolist()
        lift, factor = _factors(norms[s], bounds[s])
        if lift * factor != 1:
            part = g[blocks[first] : blocks[last]]
            part[...] = part.astype(np.float64) * lift * factor
        largest = max(largest, scale * root)
        farthest = max(farthest, lift * factor, key=_away)
        if math.isfinite(scale):
            finite.append((scale, root, lift * factor))
    kept = farthest
    if len(norms) > 1 and farthest != 1:
        most = min(max(scale * root for scale, root, _ in finite), sys.float_info.max)
        after = math.hypot(*(scale / most * root * factor for scale, root, factor in finite))
        kept = after / math.hypot(*(scale / most * root for scale, root, _ in finite))
    _note(report, farthest != 1, largest, farthest, kept)


def relative_bounds(norms: Array, factor: float, eps: float, bounds: Array) -> None:
    bounds[:, 0] = 0
    with np.errstate(over="ignore"):
        bounds[:, 1] = factor * np.maximum(norms.prod(axis=1), eps)


def percentile_bounds(
    norms: Array, percentile: float, bounds: Array, arrived: Array, ordered: Array, count: Array
) -> None:
    norm = float(norms[0, 0]) * float(norms[0, 1])
    if 0 < norm < math.inf:
        arrived[count[0] % len(arrived)] = norm
        count[0] += 1
    n = min(int(count[0]), len(arrived))
    ordered[:n] = np.sort(arrived[:n])
    bounds[0] = 0, np.percentile(arrived[:n], percentile) if n else math.inf


def z_score_bounds(
    norms: Array,
    threshold: float,
    alpha: float,
    warmup: int,
    min_std: float,
    max_norm: float,
    bounds: Array,
    moments: Array,
) -> None:
    norm, limit = float(norms[0, 0]) * float(norms[0, 1]), math.inf
    seen, mean, std = moments.tolist()
    spread = max(std, min_std * mean)
    if seen >= warmup and spread > 0 and norm > mean + threshold * spread:
        score = (norm - mean) / spread
        limit = mean + threshold * spread / (score / threshold)
    if math.isfinite(norm):
        norm = min(norm, limit)
        change = norm - mean
        if seen < warmup:
            mean += change / (seen + 1)
            kept = math.sqrt(seen / (seen + 1))
            std = math.hypot(kept * std, math.sqrt(seen) / (seen + 1) * change)
        else:
            mean = alpha * mean + (1 - alpha) * norm
            std = math.hypot(math.sqrt(alpha) * std, math.sqrt(1 - alpha) * (norm - mean))
        moments[:] = seen + 1, mean, std
    bounds[0] = 0, min(limit, max_norm)


def clip_value(limit: float, blocks: Array, g: Array, sums: Array, report: Array) -> None:
    part = g[blocks[0] : blocks[-1]]
    before, acted = _norm(part), bool((np.abs(part) > limit).any())
    np.clip(part, -limit, limit, out=part)
    after, kept = _norm(part), 1.0
    if acted and math.isfinite(before[0]):
        kept = after[0] / before[0] * (after[1] / before[1])
    _note(report, acted, before[0] * before[1], kept, kept)
