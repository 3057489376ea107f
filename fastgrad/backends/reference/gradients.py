"""The check for what is not finite, and clipping."""

from __future__ import annotations

import itertools
import math

import numpy as np

from fastgrad.arena import Array


def check_finite(g: Array, status: Array | None) -> None:
    if status is not None and not np.isfinite(g).all():
        status[0] = 1


def clip_value(limit: float, g: Array, report: Array) -> None:
    outside = np.abs(g) > limit
    np.clip(g, -limit, limit, out=g)
    report[:2] += 1, outside.any()
    report[2:] = outside.sum(), g.size


def _norm(x: Array) -> tuple[float, float]:
    """The norm in two factors, whose product may leave float64 where neither does."""
    top = float(np.abs(x).max(initial=0))
    if top == 0 or not math.isfinite(top):
        return top, 1.0
    return top, math.sqrt(((x.astype(np.float64) / top) ** 2).sum())


def clip_norm(
    low: float,
    high: float,
    blocks: Array,
    groups: Array,
    g: Array,
    squares: Array,
    factors: Array,
    report: Array,
) -> None:
    largest, farthest = 0.0, 1.0
    for group, (first, last) in enumerate(itertools.pairwise(groups)):
        part = g[blocks[first] : blocks[last]]
        top, root = _norm(part)
        norm = top * root
        lift, factor = 1.0, 1.0
        if top > 0 and math.isfinite(top) and not low <= norm <= high:
            lift = 2.0**600 if top < 1e-290 else 1.0  # one float64 may not reach all the way
            factor = (high if norm > high else low) / (top * lift) / root
            part[...] = part.astype(np.float64) * lift * factor
        factors[group] = lift, factor
        largest = max(largest, norm)
        farthest = max(farthest, lift * factor, key=lambda f: abs(math.log(f)))
        for block in range(first, last):
            squares[block] = (g[blocks[block] : blocks[block + 1]].astype(np.float64) ** 2).sum()
    report[:2] += 1, (factors != 1).any()
    report[2:] = largest, farthest
