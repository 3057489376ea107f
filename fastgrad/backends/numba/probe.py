"""What the probe sees: gradients, updates, outputs and their gradients, and its notes of each step.

design: as src/probe.pxi.
 a) Kernels that see write sums of whole blocks, whatever the number of threads; kernels that note
    add these in one order, write a row of a ring, and belong to one thread.
 b) Row step % K of a ring is that of the step.
 c) Other threads may write `alive`, too, but nobody writes anything but 1, and only where it is so.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import SUMS, inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import flat, given, number, part
from fastgrad.backends.numba.seen import (
    look_at_gradient,
    look_at_update,
    sum_exactly,
    sum_squares,
    within,
)
from fastgrad.backends.numba.team import Team, share

ROWS = 8  # of outputs, whose sums are one part
PIECE = 2048  # elements whose sums are taken in the dtype of y


@kernel(work="P")
def see_gradient(team: Team, g: Array, blocks: Array, seen: Array) -> None:
    low, high = share(team, len(seen), 1)
    for i in range(low, high):
        first, last = blocks[i], blocks[i + 1]
        look_at_gradient(part(g, first, last - first), part(seen, 5 * i, 5))


@kernel(work="P")
def see_update(team: Team, p: Array, before: Array, blocks: Array, moved: Array) -> None:
    low, high = share(team, len(moved), 1)
    for i in range(low, high):
        first, n = blocks[i], blocks[i + 1] - blocks[i]
        look_at_update(part(p, first, n), part(before, first, n), part(moved, 2 * i, 2))


@inline
def _norm_of(norms: Array, first: int, last: int, column: int) -> float:
    """The norm of blocks with these norms, whose squares may leave float64."""
    if last - first == 1:
        return float(norms[first, column])
    top = 0.0
    for i in range(first, last):
        if not np.isfinite(norms[i, column]):
            return float(norms[i, column])
        top = max(top, norms[i, column])
    if top == 0:
        return 0.0
    found = 0.0
    for i in range(first, last):
        ratio = norms[i, column] / top
        found += ratio * ratio
    return float(top * np.sqrt(found))


@kernel
def note_update(
    team: Team,
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
    for s in range(len(spare)):
        out = part(tensors, 7 * (row * tensors.shape[1] + s), 7)
        first, last = groups[s], groups[s + 1]
        out[0] = _norm_of(seen, first, last, 0)
        for j in range(1, 5):
            out[j] = 0
        for i in range(first, last):
            out[1] = max(out[1], seen[i, 1])
            for j in range(2, 5):
                out[j] += seen[i, j]
        out[2] -= spare[s]
        if out[4] > 0:
            out[1] = inf
        out[5] = _norm_of(moved, first, last, 0)
        out[6] = _norm_of(moved, first, last, 1)
    losses[row, 0] = loss[0]
    losses[row, 1] = rate[0]


@inline(fastmath=SUMS)
def _moments(y: Array) -> tuple[float, float]:
    """Sum and sum of squares, in the dtype of y."""
    first = number(y, 0.0)
    second = number(y, 0.0)
    for j in range(len(y)):
        first += y[j]
        second += y[j] * y[j]
    return first, second


@inline
def _is_alive(q: float, squared: bool, sign: float, center: float, least: float) -> bool:
    distance = q - center
    return (sign * (distance * distance) if squared else q) > least


@inline(fastmath=SUMS)
def _living(
    q: Array, columns: int, squared: bool, sign: float, center: float, least: float, alive: Array
) -> float:
    """How many elements are alive in the rows of q; alive becomes 1 where one is."""
    one, zero = number(q, 1.0), number(q, 0.0)
    found = 0.0
    for r in range(len(q) // columns):
        row = part(q, r * columns, columns)
        living = zero
        for j in range(columns):
            lives = _is_alive(row[j], squared, sign, center, least)
            living += one if lives else zero
            if lives and alive[j] == zero:
                alive[j] = one
        found += living
    return found


@inline(fastmath=SUMS)
def _living_of_eight(
    q: Array, n: int, squared: bool, sign: float, center: float, least: float, alive: Array
) -> float:
    """The same of eight rows, side by side."""
    one, zero = number(q, 1.0), number(q, 0.0)
    living = zero
    q0, q1, q2, q3 = part(q, 0, n), part(q, n, n), part(q, 2 * n, n), part(q, 3 * n, n)
    q4, q5, q6, q7 = part(q, 4 * n, n), part(q, 5 * n, n), part(q, 6 * n, n), part(q, 7 * n, n)
    for j in range(n):
        some = one if _is_alive(q0[j], squared, sign, center, least) else zero
        some += one if _is_alive(q1[j], squared, sign, center, least) else zero
        some += one if _is_alive(q2[j], squared, sign, center, least) else zero
        some += one if _is_alive(q3[j], squared, sign, center, least) else zero
        some += one if _is_alive(q4[j], squared, sign, center, least) else zero
        some += one if _is_alive(q5[j], squared, sign, center, least) else zero
        some += one if _is_alive(q6[j], squared, sign, center, least) else zero
        some += one if _is_alive(q7[j], squared, sign, center, least) else zero
        living += some
        if some > zero and alive[j] == zero:
            alive[j] = one
    return np.float64(living)


@kernel(work="N * F")
def see_output(
    team: Team,
    y: Array,
    slope: Array | None,
    low: float,
    high: float,
    alive: Array | None,
    parts: Array,
) -> None:
    rows, columns = y.shape
    r0, r1 = share(team, rows, ROWS)
    for r in range(r0, r1, ROWS):
        last = min(r + ROWS, r1)
        own = flat(y, r, last)
        first, second = 0.0, 0.0
        for i in range(0, len(own), PIECE):
            a, b = _moments(part(own, i, min(PIECE, len(own) - i)))
            first += a
            second += b
        # what is left of the squares beside the mean is lost where it is a small part of them
        rest = len(own) * second - first * first
        if not (within(second, y.itemsize) and rest > 1e-4 * len(own) * second):
            first, second = sum_exactly(own)
        out = part(parts, 3 * (r // ROWS), 3)
        out[0], out[1], out[2] = first, second, 0.0
    if not given(alive):
        return
    # low and high in the dtype of y, as the reference has them
    a, b = number(y, low), number(y, high)
    squared = given(slope) or high < inf
    sign, center, least = number(y, 1.0), number(y, 0.0), a
    if squared and not given(slope):
        half = number(y, (b - a) / 2)
        sign, center = number(y, -1.0), number(y, (a + b) / 2)
        least = number(y, -half * half)
    for r in range(r0, r1, ROWS):
        last = min(r + ROWS, r1)
        own = flat(slope, r, last) if given(slope) else flat(y, r, last)
        if last - r == ROWS:
            living = _living_of_eight(own, columns, squared, sign, center, least, alive)
        else:
            living = _living(own, columns, squared, sign, center, least, alive)
        parts[r // ROWS, 2] = living


@kernel(work="N * F")
def see_delta(team: Team, dy: Array, sums: Array) -> None:
    low, high = share(team, len(dy), ROWS)
    for r in range(low, high, ROWS):
        sums[r // ROWS] = sum_squares(flat(dy, r, min(r + ROWS, high)))


@kernel
def note_outputs(
    team: Team,
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
    row = step[0] % len(ring)
    for p in range(len(places)):
        first, second, living, delta = 0.0, 0.0, 0.0, 0.0
        for i in range(rows[p, 0], rows[p, 1]):
            first += parts[i, 0]
            second += parts[i, 1]
            living += parts[i, 2]
            delta += sums[i]
        out = part(ring, 5 * (row * ring.shape[1] + places[p]), 5)
        mean = first / elements[p]
        spread = second / elements[p] - mean * mean
        out[0] = mean
        out[1] = np.sqrt(max(spread, 0.0))
        if not np.isfinite(mean) or not np.isfinite(second):
            out[1] = inf
        out[2], out[3] = nan, nan
        out[4] = np.sqrt(delta)
        low, high = units[p, 0], units[p, 1]
        if high > low:
            count = 0
            for u in range(low, high):
                if alive[u] != 0:
                    count += 1
                    lived[u] = 1
                alive[u] = 0
            out[2] = 1 - living / elements[p]
            out[3] = 1 - count / (high - low)


@kernel
def note_flow(team: Team, flow: Array, step: Array, ring: Array, stamps: Array) -> None:
    row = step[0] % len(ring)
    for t in range(flow.shape[0]):
        for j in range(flow.shape[1]):
            ring[row, t, j] = flow[t, j]
    stamps[row] = step[0]
