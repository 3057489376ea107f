"""Long short-term memory: blocks i, f, g, o."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.flow import finish_flow, note, note_cell, note_rows
from fastgrad.backends.numba.lstm_rows import (
    back_row,
    lstm_row,
    peephole_back_row,
    peephole_row,
)
from fastgrad.backends.numba.memory import copy, doubles, given, part, raise_flag
from fastgrad.backends.numba.recurrent import (
    UNITS,
    Share,
    input_panels,
    multiply_backward,
    multiply_forward,
    must_pack,
    pack_backward,
    pack_forward,
    packed_now,
    rows_of,
    share_steps,
    spare_rows,
    start_back,
    weight_gradient,
    zero_row,
)
from fastgrad.backends.numba.sums import all_finite
from fastgrad.backends.numba.team import Team, share, wait


@inline
def _of_units(s: Share, p: Array | None, scratch: Array) -> Array:
    """This thread's part of a peephole, zeros where it is left out."""
    n = s.u1 - s.u0
    own: Array = part(p, s.u0, n) if given(p) else zero_row(scratch, n)
    return own


@kernel(work="R * 4 * H * H * (Q - R >= 16 or (Q - R) * 4 * H * H >= 32768)")
def lstm_forward(
    team: Team,
    offsets: Array,
    x: Any,
    w_ih: Any,
    bias: Any,
    w: Array,
    p_i: Array | None,
    p_f: Array | None,
    p_o: Array | None,
    gates: Array,
    h: Array,
    c: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    H, N, scratch = w.shape[1], len(h) - len(gates), team.scratch
    s = share_steps(team, offsets, N, 4, H, True)
    inputs = input_panels(4, H, N)
    if must_pack(ready, s):
        if given(x):
            pack_forward(team, s, w_ih, 0, 4, H, panels, inputs)
        pack_forward(team, s, w, 0, 4, H, panels, 0)
    wait(team)
    packed_now(ready, s, team)
    n = s.u1 - s.u0
    peep = given(p_i) or given(p_f) or given(p_o)
    own_i, own_f, own_o = (
        _of_units(s, p_i, scratch),
        _of_units(s, p_f, scratch),
        _of_units(s, p_o, scratch),
    )
    before = 0
    for t in range(len(offsets) - 1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        if low < high:
            z, states = gates[first + low : first + high], h[before + low : before + high]
            if given(x):
                own = x[first + low : first + high]
                multiply_forward(s, own, panels, inputs, H, 4, bias, 0, z, scratch)
            multiply_forward(s, states, panels, 0, H, 4, scratch, 1, z, scratch)
            for r in range(low, high):
                at, u = (first + r) * 4 * H + s.u0, s.u0
                i, f = part(gates, at, n), part(gates, at + H, n)
                g, o = part(gates, at + 2 * H, n), part(gates, at + 3 * H, n)
                c_before, c_now = (
                    part(c, (before + r) * H + u, n),
                    part(c, (N + first + r) * H + u, n),
                )
                h_now = part(h, (N + first + r) * H + u, n)
                if peep:
                    peephole_row(i, f, g, o, c_before, c_now, h_now, own_i, own_f, own_o)
                else:
                    lstm_row(i, f, g, o, c_before, c_now, h_now)
        before = N + first
        if s.parts > 1:
            wait(team)


@inline
def _peephole_gradient(
    team: Team,
    offsets: Array,
    gates: Array,
    block: int,
    c: Array,
    of_now: bool,
    dp: Array | None,
    like: Array,
    status: Array | None,
) -> None:
    """The sum over all steps of a gate's gradient times the state that it sees."""
    H, N = c.shape[1], len(c) - len(gates)
    low, high = share(team, H if given(dp) else 0, UNITS)
    n, before = high - low, 0
    sums = doubles(team.scratch)
    for j in range(n):
        sums[j] = 0
    for t in range(len(offsets) - 1):
        first = offsets[t]
        seen = N + first if of_now else before
        for i in range(rows_of(offsets, t)):
            z = part(gates, ((first + i) * 4 + block) * H + low, n)
            cells = part(c, (seen + i) * H + low, n)
            for j in range(n):
                sums[j] += np.float64(z[j]) * np.float64(cells[j])
        before = N + first
    own = part(dp, low, n)
    for j in range(n):
        own[j] = sums[j]
    if n and not all_finite(own):
        raise_flag(status)


@kernel(work="R * 4 * H * H * (N >= 16 or N * 4 * H * H >= 32768)")
def lstm_backward(
    team: Team,
    offsets: Array,
    w: Array,
    p_i: Array | None,
    p_f: Array | None,
    p_o: Array | None,
    h: Array,
    c: Array,
    dy: Array | None,
    dh_last: Array | None,
    dc_last: Array | None,
    initial: int,
    gates: Array,
    dw: Array,
    dp_i: Array | None,
    dp_f: Array | None,
    dp_o: Array | None,
    dh0: Array,
    dc0: Array,
    flow: Array,
    squares: Array,
    panels: Array,
    status: Array | None,
) -> None:
    N, H, scratch = len(dh0), w.shape[1], team.scratch
    s = share_steps(team, offsets, N, 4, H, True)
    start_back(s, H, dh_last, dh0)
    start_back(s, H, dc_last, dc0)
    pack_backward(team, s, w, 0, 4, H, panels, 0)
    wait(team)
    n = s.u1 - s.u0
    peep = given(p_i) or given(p_f) or given(p_o)
    own_i, own_f, own_o = (
        _of_units(s, p_i, scratch),
        _of_units(s, p_f, scratch),
        _of_units(s, p_o, scratch),
    )
    zeros, dh, dc = zero_row(scratch, n), part(scratch, 0, H), part(scratch, H, H)
    for t in range(len(offsets) - 2, -1, -1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        then = N + offsets[t - 1] if t else 0
        for r in range(low, high):
            at, u = (first + r) * 4 * H + s.u0, r * H + s.u0
            i, f = part(gates, at, n), part(gates, at + H, n)
            g, o = part(gates, at + 2 * H, n), part(gates, at + 3 * H, n)
            c_before, c_now = part(c, then * H + u, n), part(c, (N + first) * H + u, n)
            carried, dc_on = part(dh0, u, n), part(dc0, u, n)
            above = part(dy, first * H + u, n) if given(dy) else zeros
            spare = spare_rows(4, H, N, t) + r * H
            if s.parts > 1:
                dh, dc = part(panels, spare, H), part(panels, spare + N * H, H)
                copy(carried, part(panels, spare + 2 * N * H + s.u0, n))
            own_h, own_c = part(dh, s.u0, n), part(dc, s.u0, n)
            if peep:
                peephole_back_row(
                    i, f, g, o, c_before, c_now, carried, above, dc_on, own_h, own_c,
                    own_i, own_f, own_o,
                )  # fmt: skip
            else:
                back_row(i, f, g, o, c_before, c_now, carried, above, dc_on, own_h, own_c)
            if s.parts > 1:
                copy(dc_on, part(panels, spare + 3 * N * H + s.u0, n))
            else:
                note(offsets, squares, t, r, dh, part(dh0, r * H, H))
                note_cell(offsets, squares, t, r, dc, part(dc0, r * H, H))
        if s.parts > 1:
            wait(team)
            note_rows(s, low, high, offsets, t, panels, 4, N, H, True, squares)
        if low < high and (t or initial):
            z = gates[first + low : first + high]
            multiply_backward(s, z, panels, 0, 0, dh0[low:high], scratch)
    wait(team)
    if team.rank == 0:
        finish_flow(offsets, initial, dh0, dc_last, True, squares, flow)
    _peephole_gradient(team, offsets, gates, 0, c, False, dp_i, flow, status)
    _peephole_gradient(team, offsets, gates, 1, c, False, dp_f, flow, status)
    _peephole_gradient(team, offsets, gates, 3, c, True, dp_o, flow, status)
    weight_gradient(team, offsets, gates, 0, 4, h, dw, status)
