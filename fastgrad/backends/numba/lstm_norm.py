"""The layer-normalized LSTM (Ba et al. 2016), blocks i, f, g, o.

design: as src/lstm_norm.pxi and src/fg_norm.h.
 a) A row is normalized over the sums of all units, so that threads share sequences only.
 b) Sums are in float64. x - mean is (x - high) - low with the mean as two numbers of x's dtype, so
    that nothing is lost where x and the mean are close.
"""

from __future__ import annotations

import math as exact

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.compiling import SUMS, apart, inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.flow import finish_flow, note, note_cell
from fastgrad.backends.numba.matrices import multiply_panels
from fastgrad.backends.numba.memory import given, number, part
from fastgrad.backends.numba.recurrent import (
    multiply_backward,
    must_pack,
    pack_backward,
    pack_forward,
    packed_now,
    rows_of,
    share_steps,
    start_back,
    weight_gradient,
    zero_row,
)
from fastgrad.backends.numba.sums import total, variation
from fastgrad.backends.numba.team import Team, wait


@inline
def _moments(x: Array, eps: float) -> tuple[float, float]:
    """The mean of a row, and what brings its variance to 1."""
    n = max(1, len(x))
    mean = total(x) / n
    return mean, 1 / exact.sqrt(variation(x, mean) / n + eps)


@apart
def _add_normed(x: Array, weight: Array, mean: float, scale: float, y: Array) -> None:
    high = number(x, mean)
    low, by = number(x, mean - high), number(x, scale)
    for k in range(len(x)):
        y[k] = ((x[k] - high) - low) * by * weight[k] + y[k]


@apart
def _norm(x: Array, weight: Array, bias: Array, mean: float, scale: float, y: Array) -> None:
    high = number(x, mean)
    low, by = number(x, mean - high), number(x, scale)
    for k in range(len(x)):
        y[k] = ((x[k] - high) - low) * by * weight[k] + bias[k]


@apart
def _normed(x: Array, mean: float, scale: float, y: Array) -> None:
    high = number(x, mean)
    low, by = number(x, mean - high), number(x, scale)
    for k in range(len(x)):
        y[k] = ((x[k] - high) - low) * by


@inline(fastmath=SUMS)
def _dots(weight: Array, dy: Array, normed: Array) -> tuple[float, float]:
    sum_of, dot = 0.0, 0.0
    for k in range(len(dy)):
        g = dy[k] * weight[k]
        sum_of += np.float64(g)
        dot += np.float64(g * normed[k])
    return sum_of, dot


@apart
def _norm_dx(
    weight: Array, dy: Array, normed: Array, scale: float, sum_of: float, dot: float, dx: Array
) -> None:
    by, mean, along = number(dx, scale), number(dx, sum_of), number(dx, dot)
    for k in range(len(dx)):
        dx[k] = dy[k] * weight[k] * by - (normed[k] * along + mean)


@inline
def _norm_back(
    x: Array, weight: Array, dy: Array, mean: float, scale: float, spare: Array, dx: Array
) -> None:
    """With v the normalized row and g = dy weight: dx = scale (g - mean(g) - v mean(g v))."""
    n = max(1, len(x))
    normed = part(spare, 0, len(x))
    _normed(x, mean, scale, normed)
    sum_of, dot = _dots(weight, dy, normed)
    _norm_dx(weight, dy, normed, scale, scale * sum_of / n, scale * dot / n, dx)


@apart
def _cell_row(i: Array, f: Array, g: Array, o: Array, before: Array, cells: Array) -> None:
    for k in range(len(i)):
        write, keep, new = math.sigmoid(i[k]), math.sigmoid(f[k]), math.tanh(g[k])
        i[k], f[k], g[k], o[k] = write, keep, new, math.sigmoid(o[k])
        cells[k] = keep * before[k] + write * new


@apart
def _out_row(o: Array, seen: Array, h: Array) -> None:
    """seen becomes its tanh."""
    for k in range(len(o)):
        t = math.tanh(seen[k])
        seen[k], h[k] = t, o[k] * t


@apart
def _out_back_row(carried: Array, dy: Array, o: Array, seen: Array, dh: Array) -> None:
    """dh is what reaches h; o and seen become the gradients of what they are functions of."""
    one = number(o, 1.0)
    for k in range(len(o)):
        out, t = o[k], seen[k]
        d = carried[k] + dy[k]
        dh[k] = d
        o[k] = d * t * out * (one - out)
        seen[k] = d * out * (one - t * t)


@apart
def _cell_back_row(i: Array, f: Array, g: Array, before: Array, dc_on: Array, dc: Array) -> None:
    """dc is what comes to c through h, then all of it; dc_on what is handed on."""
    one = number(i, 1.0)
    for k in range(len(i)):
        write, keep, new = i[k], f[k], g[k]
        e = dc_on[k] + dc[k]
        dc[k], dc_on[k] = e, e * keep
        i[k] = e * new * write * (one - write)
        f[k] = e * before[k] * keep * (one - keep)
        g[k] = e * write * (one - new * new)


@kernel(work="R * 4 * H * H")
def lstm_norm_forward(
    team: Team,
    offsets: Array,
    w: Array,
    norm_h: Array,
    norm_c: Array,
    bias_c: Array,
    eps: float,
    gates: Array,
    h: Array,
    c: Array,
    sums: Array,
    seen: Array,
    mean_h: Array,
    scale_h: Array,
    mean_c: Array,
    scale_c: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    H, N = w.shape[1], len(h) - len(gates)
    s = share_steps(team, offsets, N, 4, H, False)
    if must_pack(ready, s):
        pack_forward(team, s, w, 0, 4, H, panels, 0)
    wait(team)
    packed_now(ready, s, team)
    before = 0
    for t in range(len(offsets) - 1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        if low < high:
            states, to = h[before + low : before + high], sums[first + low : first + high]
            multiply_panels(states, panels, 0, None, 0, to, team.scratch)
        for r in range(low, high):
            row = first + r
            at, own = row * 4 * H, part(sums, row * 4 * H, 4 * H)
            mean_h[row], scale_h[row] = _moments(own, eps)
            _add_normed(own, norm_h, mean_h[row], scale_h[row], part(gates, at, 4 * H))
            i, f = part(gates, at, H), part(gates, at + H, H)
            g, o = part(gates, at + 2 * H, H), part(gates, at + 3 * H, H)
            cells, view = part(c, (N + row) * H, H), part(seen, row * H, H)
            _cell_row(i, f, g, o, part(c, (before + r) * H, H), cells)
            mean_c[row], scale_c[row] = _moments(cells, eps)
            _norm(cells, norm_c, bias_c, mean_c[row], scale_c[row], view)
            _out_row(o, view, part(h, (N + row) * H, H))
        before = N + first


@kernel(work="R * 4 * H * H")
def lstm_norm_backward(
    team: Team,
    offsets: Array,
    w: Array,
    norm_h: Array,
    norm_c: Array,
    h: Array,
    c: Array,
    sums: Array,
    mean_h: Array,
    scale_h: Array,
    mean_c: Array,
    scale_c: Array,
    dy: Array | None,
    dh_last: Array | None,
    dc_last: Array | None,
    initial: int,
    gates: Array,
    seen: Array,
    d_sums: Array,
    dw: Array,
    dh0: Array,
    dc0: Array,
    flow: Array,
    squares: Array,
    panels: Array,
    status: Array | None,
) -> None:
    N, H, scratch = len(dh0), w.shape[1], team.scratch
    s = share_steps(team, offsets, N, 4, H, False)
    start_back(s, H, dh_last, dh0)
    start_back(s, H, dc_last, dc0)
    pack_backward(team, s, w, 0, 4, H, panels, 0)
    wait(team)
    zeros, dh, dc = zero_row(scratch, H), part(scratch, 0, H), part(scratch, H, H)
    spare = part(scratch, 2 * H, 4 * H)
    for t in range(len(offsets) - 2, -1, -1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        then = N + offsets[t - 1] if t else 0
        for r in range(low, high):
            row, at = first + r, (first + r) * 4 * H
            i, f = part(gates, at, H), part(gates, at + H, H)
            g, o = part(gates, at + 2 * H, H), part(gates, at + 3 * H, H)
            carried, dc_on = part(dh0, r * H, H), part(dc0, r * H, H)
            above = part(dy, row * H, H) if given(dy) else zeros
            view, cells = part(seen, row * H, H), part(c, (N + row) * H, H)
            _out_back_row(carried, above, o, view, dh)
            _norm_back(cells, norm_c, view, mean_c[row], scale_c[row], spare, dc)
            _cell_back_row(i, f, g, part(c, (then + r) * H, H), dc_on, dc)
            dz, to = part(gates, at, 4 * H), part(d_sums, at, 4 * H)
            own = part(sums, at, 4 * H)
            _norm_back(own, norm_h, dz, mean_h[row], scale_h[row], spare, to)
            note(offsets, squares, t, r, dh, carried)
            note_cell(offsets, squares, t, r, dc, dc_on)
        if low < high and (t or initial):
            z = d_sums[first + low : first + high]
            multiply_backward(s, z, panels, 0, 0, dh0[low:high], scratch)
    wait(team)
    if team.rank == 0:
        finish_flow(offsets, initial, dh0, dc_last, True, squares, flow)
    weight_gradient(team, offsets, d_sums, 0, 4, h, dw, status)
