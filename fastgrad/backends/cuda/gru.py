"""Gated recurrent unit: blocks r, z, n of the weight, n, r, z, m of gates.

Where r acts before the product with the weight of n, that product needs m of all units: each step
is two repetitions then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastgrad.arena import Array
from fastgrad.backends.cuda.activations import sigmoid
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import tanh
from fastgrad.backends.cuda.flow import Notes
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import kernel
from fastgrad.backends.cuda.product import Phases, make
from fastgrad.backends.cuda.shares import share_of, shares_of
from fastgrad.backends.cuda.step_product import OFFSETS, SEQUENCES, STEPS, UNITS
from fastgrad.backends.cuda.steps import rows_of, state_before, turned
from fastgrad.backends.cuda.through_time import (
    DH0,
    STATES,
    Z,
    arriving,
    back_through,
    back_words,
    forward_through,
    input_phases,
    with_above,
)
from fastgrad.backends.cuda.weight_gradients import previous_states, weight_gradient


@device
def _gates_at(m: Memory, w: int, t: int, row: int) -> int:
    """Where those of a row start."""
    return m.ints[w + Z] + (m.ints[m.ints[w + OFFSETS] + t] + row) * 4 * m.ints[w + UNITS]


@device
def _before(m: Memory, w: int, t: int, row: int, unit: int) -> float:
    """The state before."""
    earlier = state_before(m, m.ints[w + OFFSETS], m.ints[w + SEQUENCES], t) + row
    return m.reals[m.ints[w + STATES] + earlier * m.ints[w + UNITS] + unit]


@device
def _new_state(m: Memory, w: int, t: int, row: int, unit: int, h: float) -> None:
    now = m.ints[w + SEQUENCES] + m.ints[m.ints[w + OFFSETS] + t] + row
    m.reals[m.ints[w + STATES] + now * m.ints[w + UNITS] + unit] = h


@device
def _forward(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    H, before = m.ints[w + UNITS], _before(m, w, t, row, unit)
    gates = part(m.reals, _gates_at(m, w, t, row), 4 * H)
    r = sigmoid(m, gates[H + unit] + m.shared[at])
    z = sigmoid(m, gates[2 * H + unit] + m.shared[at + apart])
    of_n = gates[3 * H + unit] + m.shared[at + 2 * apart]
    n = tanh(gates[unit] + r * of_n)
    gates[unit], gates[H + unit], gates[2 * H + unit], gates[3 * H + unit] = n, r, z, of_n
    _new_state(m, w, t, row, unit, n + z * (before - n))


@device
def _reset(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    """The first half of a step where r acts before the product."""
    H = m.ints[w + UNITS]
    gates = part(m.reals, _gates_at(m, w, t, row), 4 * H)
    r = sigmoid(m, gates[H + unit] + m.shared[at])
    gates[H + unit] = r
    gates[2 * H + unit] = sigmoid(m, gates[2 * H + unit] + m.shared[at + apart])
    gates[3 * H + unit] = r * _before(m, w, t, row, unit)


@device
def _new(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    """The second one."""
    H, before = m.ints[w + UNITS], _before(m, w, t, row, unit)
    gates = part(m.reals, _gates_at(m, w, t, row), 4 * H)
    n = tanh(gates[unit] + m.shared[at])
    gates[unit] = n
    _new_state(m, w, t, row, unit, n + gates[2 * H + unit] * (before - n))


@functools.cache
def _forward_in_halves(lanes: int) -> Callable[..., None]:
    reset, new = share_of(_reset, lanes), share_of(_new, lanes)

    @device
    def half(m: Memory, w: int, k: int) -> None:
        offsets, H, t = m.ints[w + OFFSETS], m.ints[w + UNITS], k // 2
        n = rows_of(m, offsets, m.ints[w + STEPS], t)
        if k % 2 == 0:
            h = m.ints[w + STATES] + state_before(m, offsets, m.ints[w + SEQUENCES], t) * H
            reset(m, w, k, t, n, h, H, n, H, 0, 2, 0)
        else:
            of_n = _gates_at(m, w, t, 0) + 3 * H
            new(m, w, k, t, n, of_n, 4 * H, n, H, 2, 1, 0)

    return half


@kernel
def gru_forward(
    offsets: Array, x: Array | None, w_ih: Array | None, bias: Array | None, w: Array, before: int,
    gates: Array, h: Array, panels: Array, ready: Array | None,
) -> Phases:  # fmt: skip
    units, steps = w.shape[1], len(offsets) - 1
    shares = shares_of(offsets, len(h) - len(gates), w, units, 3, units)
    if before:
        through = shares.phase(_forward_in_halves(shares.lanes), 2 * steps, gates, h)
    else:
        through = shares.phase(forward_through(_forward, shares.lanes), steps, gates, h)
    return [*input_phases(offsets, x, w_ih, bias, units, gates), through]


@device
def _back(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    H = m.ints[w + UNITS]
    dh0 = part(m.reals, m.ints[w + DH0] + row * H, H)
    dh = arriving(m, w, t, row, unit, at, m.ints[w + DH0])
    if t < 0:
        dh0[unit] = dh
    else:
        gates = part(m.reals, _gates_at(m, w, t, row), 4 * H)
        dh = with_above(m, w, m.ints[m.ints[w + OFFSETS] + t] + row, unit, dh)
        one = number(m.reals, 1.0)
        n, r, z, of_n = gates[unit], gates[H + unit], gates[2 * H + unit], gates[3 * H + unit]
        dz_n = dh * (one - z) * (one - n * n)
        gates[2 * H + unit] = dh * (_before(m, w, t, row, unit) - n) * z * (one - z)
        gates[H + unit] = dz_n * of_n * r * (one - r)
        gates[unit], gates[3 * H + unit] = dz_n, dz_n * r
        dh0[unit] = dh * z  # which passes by the products


@device
def _new_back(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    """Where r acts before the product, the gradients of n and z."""
    H = m.ints[w + UNITS]
    dh0 = part(m.reals, m.ints[w + DH0] + row * H, H)
    dh = arriving(m, w, t, row, unit, at, m.ints[w + DH0])
    if t < 0:
        dh0[unit] = dh
    else:
        gates = part(m.reals, _gates_at(m, w, t, row), 4 * H)
        dh = with_above(m, w, m.ints[m.ints[w + OFFSETS] + t] + row, unit, dh)
        one = number(m.reals, 1.0)
        n, z = gates[unit], gates[2 * H + unit]
        gates[unit] = dh * (one - z) * (one - n * n)
        gates[2 * H + unit] = dh * (_before(m, w, t, row, unit) - n) * z * (one - z)
        dh0[unit] = dh * z


@device
def _reset_back(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    """Then that of r, out of that of m, which is the sum."""
    H, dm = m.ints[w + UNITS], m.shared[at]
    r_at = _gates_at(m, w, t, row) + H + unit
    r = m.reals[r_at]
    m.reals[r_at] = dm * _before(m, w, t, row, unit) * r * (number(m.reals, 1.0) - r)
    m.reals[m.ints[w + DH0] + row * H + unit] += dm * r


@functools.cache
def _back_in_halves(lanes: int) -> Callable[..., None]:
    new, reset = share_of(_new_back, lanes), share_of(_reset_back, lanes)

    @device
    def half(m: Memory, w: int, k: int) -> None:
        offsets, steps, H = m.ints[w + OFFSETS], m.ints[w + STEPS], m.ints[w + UNITS]
        t = steps - 1 - k // 2
        n = rows_of(m, offsets, steps, t) if t >= 0 else m.ints[w + SEQUENCES]
        if k % 2 == 0:
            behind = rows_of(m, offsets, steps, t + 1)
            new(m, w, k, t, n, _gates_at(m, w, t + 1, 0) + H, 4 * H, behind, 2 * H, 0, 1, 0)
        else:
            reset(m, w, k, t, n, _gates_at(m, w, t, 0), 4 * H, n, H, 0, 1, 2 * H)

    return half


@kernel
def gru_backward(
    offsets: Array, w: Array, before: int, h: Array, dy: Array | None, dh_last: Array | None,
    initial: int, gates: Array, dw: Array, dh0: Array, spare: Array, flow: Array, squares: Array,
    panels: Array, status: Array | None,
) -> Phases:  # fmt: skip
    (N, units), steps, end = dh0.shape, len(flow), int(initial != 0)
    notes = Notes(gates, units, cells=False)
    weight, turn = turned(w)
    earlier, gather = previous_states(offsets, h, gates)
    shares = shares_of(offsets, N, weight, units, 1, 3 * units)
    words = back_words(gates, h, dy, dh_last, dh0, notes)
    if before:
        through = shares.phase(_back_in_halves(shares.lanes), 2 * steps + end, *words)
        of_n = gates[:, 3 * units :], 4 * units
        products = [
            weight_gradient(gates, units, 2 * units, earlier, units, dw, status),
            weight_gradient(gates, 0, units, *of_n, dw[2 * units :], status),
        ]
    else:
        through = shares.phase(back_through(_back, shares.lanes, 4, 1), steps + end, *words)
        products = [weight_gradient(gates, units, 3 * units, earlier, units, dw, status)]
    return [
        turn,
        gather,
        through,
        *make(products),
        *notes.phases(offsets, None, initial, squares, flow),
    ]
