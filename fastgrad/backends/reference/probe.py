"""What the probe sees of gradients, updates and outputs, and its notes of each step."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array

ROWS = 8  # of outputs, whose sums are one part


def _norm(x: Array) -> float:
    top = float(np.abs(x).max(initial=0))
    if top == 0 or not math.isfinite(top):
        return top
    return top * math.sqrt(((x.astype(np.float64) / top) ** 2).sum())


def see_gradient(g: Array, blocks: Array, seen: Array) -> None:
    tiny = np.finfo(g.dtype).smallest_normal
    for i, (first, last) in enumerate(itertools.pairwise(blocks)):
        x = g[first:last]
        finite, size = np.isfinite(x), np.abs(x)
        top = size.max(initial=0)
        denormals = ((size > 0) & (size < tiny)).sum()
        seen[i] = _norm(x), top, (x == 0).sum(), denormals, (~finite).sum()


def see_update(p: Array, before: Array, blocks: Array, moved: Array) -> None:
    for i, (first, last) in enumerate(itertools.pairwise(blocks)):
        own = slice(first, last)
        step = p[own].astype(np.float64) - before[own]
        moved[i] = _norm(before[own]), _norm(step)


def watched(update: Callable[..., None]) -> Callable[..., None]:
    """An update of p that is looked at: ``(g, hyper, step, p, *state)`` takes blocks before p, and
    seen and moved at its end."""

    def call(
        g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, *others: Array | None
    ) -> None:
        *state, seen, moved = others
        before = p.copy()
        update(g, hyper, step, p, *state)
        if blocks is not None and seen is not None:
            see_gradient(g, blocks, seen)
        if blocks is not None and moved is not None:
            see_update(p, before, blocks, moved)

    names = list(inspect.signature(update).parameters)
    names = [*names[:3], "blocks", *names[3:], "seen", "moved"]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def note_update(
    seen: Array,
    moved: Array,
    groups: Array,
    spare: Array,
    loss: Array,
    rate: Array,
    step: Array,
    tensors: Array,
    losses: Array,
) -> None:
    row = step[0] % len(tensors)
    for s, (first, last) in enumerate(itertools.pairwise(groups)):
        own, change = seen[first:last], moved[first:last]
        top = own[:, 1].max(initial=0)
        zeros, denormals, bad = own[:, 2:].sum(axis=0)
        tensors[row, s] = (
            _norm(own[:, 0]),
            math.inf if bad else top,
            zeros - spare[s],
            denormals,
            bad,
            _norm(change[:, 0]),
            _norm(change[:, 1]),
        )
    losses[row] = loss[0], rate[0]


def see_output(
    y: Array,
    slope: Array | None,
    low: float,
    high: float,
    alive: Array | None,
    parts: Array,
) -> None:
    real = y.dtype.type
    if alive is None:
        living = np.zeros(y.shape, bool)
    elif slope is not None:
        living = slope**2 > real(low)
    elif high == math.inf:
        living = y > real(low)
    else:
        middle, half = (real(low) + real(high)) / 2, (real(high) - real(low)) / 2
        living = (y - middle) ** 2 < half**2
    if alive is not None:
        alive[living.any(axis=0)] = 1
    for i, start in enumerate(range(0, len(y), ROWS)):
        own = slice(start, start + ROWS)
        rows = y[own].astype(np.float64)
        parts[i] = rows.sum(), (rows**2).sum(), living[own].sum()


def see_delta(dy: Array, sums: Array) -> None:
    for i, start in enumerate(range(0, len(dy), ROWS)):
        sums[i] = (dy[start : start + ROWS].astype(np.float64) ** 2).sum()


@np.errstate(invalid="ignore")  # of no elements there is no mean
def note_outputs(
    parts: Array,
    sums: Array,
    rows: Array,
    units: Array,
    elements: Array,
    places: Array,
    step: Array,
    alive: Array,
    lived: Array,
    ring: Array,
) -> None:
    for p, place in enumerate(places):
        own, unit = slice(*rows[p]), slice(*units[p])
        total, squares, living = parts[own].sum(axis=0)
        mean = total / elements[p]
        std = math.inf
        if math.isfinite(squares) and elements[p]:
            std = math.sqrt(max(squares / elements[p] - mean**2, 0))
        saturated = dead = math.nan
        if unit.stop > unit.start:
            saturated, dead = 1 - living / elements[p], 1 - alive[unit].mean()
            lived[unit][alive[unit] != 0] = 1
            alive[unit] = 0
        norm = math.sqrt(sums[own].sum())
        ring[step[0] % len(ring), place] = mean, std, saturated, dead, norm


def note_flow(flow: Array, step: Array, ring: Array, stamps: Array) -> None:
    row = step[0] % len(ring)
    ring[row] = flow
    stamps[row] = step[0]
