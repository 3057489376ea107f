"""The plain recurrent layer, h = f(z + h w')."""

from __future__ import annotations

from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.numba.activations import activate, times_slope
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.flow import finish_flow, note_rows
from fastgrad.backends.numba.memory import copy, given, part
from fastgrad.backends.numba.recurrent import (
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
)
from fastgrad.backends.numba.sums import add_row
from fastgrad.backends.numba.sums import squares as sum_of_squares
from fastgrad.backends.numba.team import Team, wait

BLOCK = 4096  # elements that stay in L1 from one loop to the next


@inline
def _slope(
    activation: int,
    alpha: float,
    h: Array,
    at_h: int,
    dh: Array,
    at_dh: int,
    gates: Array,
    at: int,
    n: int,
) -> None:
    """Gates = dh f', by way of dh: they may still be f' themselves."""
    z, dz = part(gates, at, n), part(dh, at_dh, n)
    times_slope(activation, alpha, part(h, at_h, n), z, dz)
    copy(dz, z)


@kernel(work="R * H * H * (Q - R >= 16 or (Q - R) * H * H >= 32768)")
def rnn_forward(
    team: Team,
    offsets: Array,
    x: Any,
    w_ih: Any,
    bias: Any,
    w: Array,
    activation: int,
    alpha: float,
    gates: Array,
    h: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    H, N, scratch = w.shape[1], len(h) - len(gates), team.scratch
    s = share_steps(team, offsets, N, 1, H, True)
    n, inputs = s.u1 - s.u0, input_panels(1, H, N)
    if must_pack(ready, s):
        if given(x):
            pack_forward(team, s, w_ih, 0, 1, H, panels, inputs)
        pack_forward(team, s, w, 0, 1, H, panels, 0)
    wait(team)
    packed_now(ready, s, team)
    before = 0
    for t in range(len(offsets) - 1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        if low < high:
            z, states = gates[first + low : first + high], h[before + low : before + high]
            if given(x):
                own = x[first + low : first + high]
                multiply_forward(s, own, panels, inputs, H, 1, bias, 0, z, scratch)
            multiply_forward(s, states, panels, 0, H, 1, scratch, 1, z, scratch)
            if n == H:  # rows of all units lie one after the other
                size, at = (high - low) * H, (first + low) * H
                sums, y = part(gates, at, size), part(h, N * H + at, size)
                copy(sums, y)
                activate(activation, alpha, y, sums)
            else:
                for r in range(low, high):
                    at = (first + r) * H + s.u0
                    sums, y = part(gates, at, n), part(h, N * H + at, n)
                    copy(sums, y)
                    activate(activation, alpha, y, sums)
        before = N + first
        if s.parts > 1:
            wait(team)


@kernel(work="R * H * H * (N >= 16 or N * H * H >= 32768)")
def rnn_backward(
    team: Team,
    offsets: Array,
    w: Array,
    activation: int,
    alpha: float,
    h: Array,
    dy: Array | None,
    dh_last: Array | None,
    initial: int,
    gates: Array,
    dw: Array,
    dh0: Array,
    flow: Array,
    squares: Array,
    panels: Array,
    status: Array | None,
) -> None:
    N, H, scratch = len(dh0), w.shape[1], team.scratch
    s = share_steps(team, offsets, N, 1, H, True)
    n, u0 = s.u1 - s.u0, s.u0
    start_back(s, H, dh_last, dh0)
    pack_backward(team, s, w, 0, 1, H, panels, 0)
    wait(team)
    for t in range(len(offsets) - 2, -1, -1):
        first, rows, following = offsets[t], rows_of(offsets, t), rows_of(offsets, t + 1)
        low, high = min(s.r0, rows), min(s.r1, rows)
        for r in range(low, high):
            row, carried = (first + r) * H + u0, part(dh0, r * H + u0, n)
            if s.parts > 1:
                spare = spare_rows(1, H, N, t) + r * H + u0
                copy(carried, part(panels, spare + 2 * N * H, n))
            elif r < following:
                squares[offsets[t + 1] + r, 2] = sum_of_squares(carried)
            if given(dy):
                add_row(part(dy, row, n), carried)
            if s.parts > 1:
                copy(carried, part(panels, spare, n))
                _slope(activation, alpha, h, N * H + row, dh0, r * H + u0, gates, row, n)
            else:
                squares[first + r, 0] = sum_of_squares(carried)
                squares[first + r, 1] = squares[first + r, 3] = 0
        if s.parts == 1:  # rows of all units lie one after the other
            some = 1 + BLOCK // H
            for r in range(low, high, some):
                row, size = (first + r) * H, min(some, high - r) * H
                _slope(activation, alpha, h, N * H + row, dh0, r * H, gates, row, size)
        if s.parts > 1:
            wait(team)
            note_rows(s, low, high, offsets, t, panels, 1, N, H, False, squares)
        if low < high and (t or initial):
            z = gates[first + low : first + high]
            multiply_backward(s, z, panels, 0, 0, dh0[low:high], scratch)
    wait(team)
    if team.rank == 0:
        finish_flow(offsets, initial, dh0, dh0, False, squares, flow)
    weight_gradient(team, offsets, gates, 0, 1, h, dw, status)
