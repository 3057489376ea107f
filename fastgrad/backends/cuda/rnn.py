"""The plain recurrent layer, h = f(z + h w')."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastgrad.arena import Array
from fastgrad.backends.contract import needs_slope
from fastgrad.backends.cuda.activations import derivative_of, forward_of, slope_of
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.flow import Notes
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import kernel
from fastgrad.backends.cuda.product import Phases, make
from fastgrad.backends.cuda.shares import shares_of
from fastgrad.backends.cuda.step_product import OFFSETS, SEQUENCES, UNITS
from fastgrad.backends.cuda.steps import turned
from fastgrad.backends.cuda.through_time import (
    BACK,
    DH0,
    FORWARD,
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
from fastgrad.custom import UserActivation


@functools.cache
def _forward(activation: str | UserActivation) -> Callable[..., None]:
    activated, slope = forward_of(activation), slope_of(activation)
    keeps_slope = needs_slope(activation)

    @device
    def cell(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
        units, now = m.ints[w + UNITS], m.ints[m.ints[w + OFFSETS] + t] + row
        gates = part(m.reals, m.ints[w + Z] + now * units, units)
        h = part(m.reals, m.ints[w + STATES] + (m.ints[w + SEQUENCES] + now) * units, units)
        alpha = number(m.reals, m.doubles[w + FORWARD])
        z = gates[unit] + m.shared[at]
        y = activated(m, z, alpha)
        h[unit] = y
        if keeps_slope:
            gates[unit] = slope(m, z, y, alpha)

    return cell


@kernel
def rnn_forward(
    offsets: Array, x: Array | None, w_ih: Array | None, bias: Array | None, w: Array,
    activation: str | UserActivation, alpha: float, gates: Array, h: Array, panels: Array,
    ready: Array | None,
) -> Phases:  # fmt: skip
    (R, units), steps = gates.shape, len(offsets) - 1
    shares = shares_of(offsets, len(h) - R, w, units, 1, units)
    step = forward_through(_forward(activation), shares.lanes)
    return [
        *input_phases(offsets, x, w_ih, bias, 0, gates),
        shares.phase(step, steps, gates, h, float(alpha)),
    ]


@functools.cache
def _back(activation: str | UserActivation) -> Callable[..., None]:
    derivative = derivative_of(activation)

    @device
    def cell(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
        units = m.ints[w + UNITS]
        dh = arriving(m, w, t, row, unit, at, 0)
        if t < 0:
            m.reals[m.ints[w + DH0] + row * units + unit] = dh
        else:
            now = m.ints[m.ints[w + OFFSETS] + t] + row
            gates = part(m.reals, m.ints[w + Z] + now * units, units)
            h = part(m.reals, m.ints[w + STATES] + (m.ints[w + SEQUENCES] + now) * units, units)
            alpha = number(m.reals, m.doubles[w + BACK])
            dh = with_above(m, w, now, unit, dh)
            gates[unit] = dh * derivative(m, h[unit], gates[unit], alpha)

    return cell


@kernel
def rnn_backward(
    offsets: Array, w: Array, activation: str | UserActivation, alpha: float, h: Array,
    dy: Array | None, dh_last: Array | None, initial: int, gates: Array, dw: Array, dh0: Array,
    flow: Array, squares: Array, panels: Array, status: Array | None,
) -> Phases:  # fmt: skip
    (N, units), steps = dh0.shape, len(flow)
    notes = Notes(gates, units, cells=False)
    weight, turn = turned(w)
    before, gather = previous_states(offsets, h, gates)
    shares = shares_of(offsets, N, weight, units, 1, units)
    step = back_through(_back(activation), shares.lanes, 1, 0)
    words = back_words(gates, h, dy, dh_last, dh0, notes)
    return [
        turn,
        gather,
        shares.phase(step, steps + (initial != 0), *words, float(alpha)),
        *make([weight_gradient(gates, 0, units, before, units, dw, status)]),
        *notes.phases(offsets, None, initial, squares, flow),
    ]
