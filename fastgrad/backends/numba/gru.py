"""Gated recurrent unit: blocks r, z, n of the weight, n, r, z, m of gates."""

from __future__ import annotations

from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.compiling import apart, inline
from fastgrad.backends.numba.dense import share_output
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.flow import finish_flow, note_rows
from fastgrad.backends.numba.matrices import multiply, packed_size
from fastgrad.backends.numba.memory import copy, given, number, part, raise_flag
from fastgrad.backends.numba.recurrent import (
    Share,
    input_panels,
    multiply_backward,
    multiply_forward,
    must_pack,
    pack_backward,
    pack_forward,
    packed_now,
    piece,
    rows_of,
    share_steps,
    spare_rows,
    start_back,
    weight_gradient,
    zero_row,
)
from fastgrad.backends.numba.sums import all_finite
from fastgrad.backends.numba.sums import squares as sum_of_squares
from fastgrad.backends.numba.team import Team, wait


@apart
def _row(n: Array, r: Array, z: Array, m: Array, before: Array, h: Array) -> None:
    """A step of one sequence."""
    for k in range(len(n)):
        reset, keep = math.sigmoid(r[k]), math.sigmoid(z[k])
        new = math.tanh(n[k] + reset * m[k])
        n[k], r[k], z[k] = new, reset, keep
        h[k] = new + keep * (before[k] - new)


@apart
def _reset_row(r: Array, z: Array, m: Array, before: Array) -> None:
    """Its first part where r acts before the product."""
    for k in range(len(r)):
        reset = math.sigmoid(r[k])
        r[k], z[k] = reset, math.sigmoid(z[k])
        m[k] = reset * before[k]


@apart
def _new_row(n: Array, z: Array, before: Array, h: Array) -> None:
    """And its second one."""
    for k in range(len(n)):
        new = math.tanh(n[k])
        n[k] = new
        h[k] = new + z[k] * (before[k] - new)


@apart
def _back_row(
    n: Array, r: Array, z: Array, m: Array, before: Array, carried: Array, dy: Array, dh: Array
) -> None:
    """`carried` is what the step after hands on; it becomes what passes by the products."""
    one = number(n, 1.0)
    for k in range(len(n)):
        reset, keep, new = r[k], z[k], n[k]
        d = carried[k] + dy[k]
        z_n = d * (one - keep) * (one - new * new)
        dh[k], carried[k] = d, d * keep
        z[k] = d * (before[k] - new) * keep * (one - keep)
        r[k] = z_n * m[k] * reset * (one - reset)
        n[k], m[k] = z_n, z_n * reset


@apart
def _new_back_row(n: Array, z: Array, before: Array, carried: Array, dy: Array, dh: Array) -> None:
    """Where r acts before the product, the gradients of n and z; then that of r, out of m's."""
    one = number(n, 1.0)
    for k in range(len(n)):
        keep, new = z[k], n[k]
        d = carried[k] + dy[k]
        dh[k], carried[k] = d, d * keep
        n[k] = d * (one - keep) * (one - new * new)
        z[k] = d * (before[k] - new) * keep * (one - keep)


@apart
def _reset_back_row(r: Array, before: Array, carried: Array, dm: Array) -> None:
    one = number(r, 1.0)
    for k in range(len(r)):
        reset, d = r[k], dm[k]
        r[k] = d * before[k] * reset * (one - reset)
        carried[k] += d * reset


@inline
def _add_inputs(
    s: Share,
    x: Array,
    panels: Array,
    start: int,
    H: int,
    bias: Array,
    gates: Array,
    scratch: Array,
) -> None:
    """What these inputs give their gates."""
    of_n = start + piece(s, H, 2, x.shape[1])
    multiply_forward(
        s, x, panels, start, H, 2, part(bias, H, 2 * H), 0, gates[:, H : 3 * H], scratch
    )
    multiply_forward(s, x, panels, of_n, H, 1, part(bias, 0, H), 0, gates[:, :H], scratch)
    n, at = s.u1 - s.u0, 3 * H + s.u0
    for i in range(len(gates)):
        copy(part(bias, at, n), part(gates, i * 4 * H + at, n))


@kernel(work="R * 3 * H * H * (Q - R >= 16 or (Q - R) * 3 * H * H >= 32768)")
def gru_forward(
    team: Team,
    offsets: Array,
    x: Any,
    w_ih: Any,
    bias: Any,
    w: Array,
    before: int,
    gates: Array,
    h: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    H, N, scratch = w.shape[1], len(h) - len(gates), team.scratch
    s = share_steps(team, offsets, N, 3, H, True)
    n, u0 = s.u1 - s.u0, s.u0
    inputs, of_n = input_panels(3, H, N), piece(s, H, 2, H)
    if must_pack(ready, s):
        if given(x):
            pack_forward(team, s, w_ih, 0, 2, H, panels, inputs)
            of_inputs = inputs + piece(s, H, 2, w_ih.shape[1])
            pack_forward(team, s, w_ih, 2, 1, H, panels, of_inputs)
        if before:
            pack_forward(team, s, w, 0, 2, H, panels, 0)
            pack_forward(team, s, w, 2, 1, H, panels, of_n)
        else:
            pack_forward(team, s, w, 0, 3, H, panels, 0)
    wait(team)
    packed_now(ready, s, team)
    then = 0
    for t in range(len(offsets) - 1):
        first, rows = offsets[t], rows_of(offsets, t)
        low, high = min(s.r0, rows), min(s.r1, rows)
        z, states = gates[first + low : first + high], h[then + low : then + high]
        if low < high:
            if given(x):
                own = x[first + low : first + high]
                _add_inputs(s, own, panels, inputs, H, bias, z, scratch)
            blocks = 2 if before else 3
            to = z[:, H : (1 + blocks) * H]
            multiply_forward(s, states, panels, 0, H, blocks, scratch, 1, to, scratch)
        for r in range(low, high):
            at = (first + r) * 4 * H + u0
            g_n, g_r = part(gates, at, n), part(gates, at + H, n)
            g_z, g_m = part(gates, at + 2 * H, n), part(gates, at + 3 * H, n)
            h_before = part(h, (then + r) * H + u0, n)
            if before:
                _reset_row(g_r, g_z, g_m, h_before)
            else:
                _row(g_n, g_r, g_z, g_m, h_before, part(h, (N + first + r) * H + u0, n))
        if before:
            if s.parts > 1:
                wait(team)
            if low < high:
                seen, to = z[:, 3 * H :], z[:, :H]
                multiply_forward(s, seen, panels, of_n, H, 1, scratch, 1, to, scratch)
            for r in range(low, high):
                at = (first + r) * 4 * H + u0
                h_before = part(h, (then + r) * H + u0, n)
                h_now = part(h, (N + first + r) * H + u0, n)
                _new_row(part(gates, at, n), part(gates, at + 2 * H, n), h_before, h_now)
        then = N + first
        if s.parts > 1:
            wait(team)


@kernel(work="R * 3 * H * H * (N >= 16 or N * 3 * H * H >= 32768)")
def gru_backward(
    team: Team,
    offsets: Array,
    w: Array,
    before: int,
    h: Array,
    dy: Array | None,
    dh_last: Array | None,
    initial: int,
    gates: Array,
    dw: Array,
    dh0: Array,
    spare: Array,
    flow: Array,
    squares: Array,
    panels: Array,
    status: Array | None,
) -> None:
    N, H, scratch = len(dh0), w.shape[1], team.scratch
    s = share_steps(team, offsets, N, 3, H, True)
    n, u0 = s.u1 - s.u0, s.u0
    of_n, blocks = packed_size(2 * H, H), 2 if before else 3
    start_back(s, H, dh_last, dh0)
    pack_backward(team, s, w, 0, blocks, H, panels, 0)
    if before:
        pack_backward(team, s, w, 2, 1, H, panels, of_n)
    wait(team)
    zeros, dh = zero_row(scratch, n), part(scratch, 0, H)
    for t in range(len(offsets) - 2, -1, -1):
        first, rows, following = offsets[t], rows_of(offsets, t), rows_of(offsets, t + 1)
        low, high = min(s.r0, rows), min(s.r1, rows)
        then = N + offsets[t - 1] if t else 0
        z, own = gates[first + low : first + high], dh0[low:high]
        for r in range(low, high):
            at, u = (first + r) * 4 * H + u0, r * H + u0
            g_n, g_r = part(gates, at, n), part(gates, at + H, n)
            g_z, g_m = part(gates, at + 2 * H, n), part(gates, at + 3 * H, n)
            h_before, carried = part(h, then * H + u, n), part(dh0, u, n)
            above = part(dy, first * H + u, n) if given(dy) else zeros
            # carried is about to become something else
            if s.parts > 1:
                place = spare_rows(3, H, N, t) + r * H
                dh = part(panels, place, H)
                copy(carried, part(panels, place + 2 * N * H + u0, n))
            elif r < following:
                squares[offsets[t + 1] + r, 2] = sum_of_squares(carried)
            own_h = part(dh, u0, n)
            if before:
                _new_back_row(g_n, g_z, h_before, carried, above, own_h)
            else:
                _back_row(g_n, g_r, g_z, g_m, h_before, carried, above, own_h)
            if s.parts == 1:
                squares[first + r, 0] = sum_of_squares(dh)
                squares[first + r, 1] = squares[first + r, 3] = 0
        if s.parts > 1:
            wait(team)
            note_rows(s, low, high, offsets, t, panels, 3, N, H, False, squares)
        if before:
            if low < high:
                multiply_backward(s, z[:, :H], panels, of_n, 0, spare[low:high], scratch)
            for r in range(low, high):
                g_r, u = part(gates, (first + r) * 4 * H + H + u0, n), r * H + u0
                h_before, carried = part(h, then * H + u, n), part(dh0, u, n)
                _reset_back_row(g_r, h_before, carried, part(spare, u, n))
            if s.parts > 1:
                wait(team)
        if low < high and (t or initial):
            multiply_backward(s, z[:, H : (1 + blocks) * H], panels, 0, 1, own, scratch)
    wait(team)
    if team.rank == 0:
        finish_flow(offsets, initial, dh0, dh0, False, squares, flow)
    weight_gradient(team, offsets, gates, 1, blocks, h, dw, status)
    if before:
        _new_gradient(team, offsets, gates, dw[2 * H :], status)


@inline
def _new_gradient(
    team: Team, offsets: Array, gates: Array, dw: Array, status: Array | None
) -> None:
    """That of the block n, whose product is with m."""
    H, rows = dw.shape[1], offsets[len(offsets) - 1]
    r0, r1, c0, c1 = share_output(team, H, H)
    dz, seen = gates[:rows, r0:r1], gates[:rows, 3 * H + c0 : 3 * H + c1]
    multiply(dz.T, seen, None, 0, dw[r0:r1, c0:c1], H, team.scratch)
    for r in range(r0, r1):
        if not all_finite(part(dw, r * H + c0, c1 - c0)):
            raise_flag(status)
