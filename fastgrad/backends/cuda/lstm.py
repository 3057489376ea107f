"""Long short-term memory: blocks i, f, g, o."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.activations import sigmoid
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import tanh
from fastgrad.backends.cuda.flow import Notes
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.peepholes import peephole_gradients
from fastgrad.backends.cuda.phase import kernel
from fastgrad.backends.cuda.product import Phases, make
from fastgrad.backends.cuda.shares import shares_of
from fastgrad.backends.cuda.step_product import OFFSETS, SEQUENCES, UNITS
from fastgrad.backends.cuda.steps import state_before, turned
from fastgrad.backends.cuda.through_time import (
    CELLS,
    DC0,
    DH0,
    FORWARD,
    STATES,
    C,
    Z,
    arriving,
    arriving_cell,
    back_through,
    back_words,
    cell_words,
    forward_through,
    hand_on_cell,
    input_phases,
    with_above,
)
from fastgrad.backends.cuda.weight_gradients import previous_states, weight_gradient

CELL, P_I, P_F, P_O = range(FORWARD, FORWARD + 4)
P_I_BACK, P_F_BACK, P_O_BACK = range(CELLS, CELLS + 3)


@device
def _peep(m: Memory, place: int, unit: int, value: float) -> float:
    """That unit's peephole times a value; 0 where peepholes are left out."""
    return m.reals[place + unit] * value if place != 0 else number(m.reals, 0.0)


@device
def _forward(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    H, N, offsets = m.ints[w + UNITS], m.ints[w + SEQUENCES], m.ints[w + OFFSETS]
    now = m.ints[offsets + t] + row
    before = state_before(m, offsets, N, t) + row
    gates = part(m.reals, m.ints[w + Z] + now * 4 * H, 4 * H)
    h = part(m.reals, m.ints[w + STATES] + (N + now) * H, H)
    c = part(m.reals, m.ints[w + CELL] + (N + now) * H, H)
    cell = m.reals[m.ints[w + CELL] + before * H + unit]
    i, f = gates[unit] + m.shared[at], gates[H + unit] + m.shared[at + apart]
    g, o = gates[2 * H + unit] + m.shared[at + 2 * apart], gates[3 * H + unit]
    i = sigmoid(m, i + _peep(m, m.ints[w + P_I], unit, cell))
    f = sigmoid(m, f + _peep(m, m.ints[w + P_F], unit, cell))
    g = tanh(g)
    cell = f * cell + i * g
    o = sigmoid(m, o + m.shared[at + 3 * apart] + _peep(m, m.ints[w + P_O], unit, cell))
    gates[unit], gates[H + unit], gates[2 * H + unit], gates[3 * H + unit] = i, f, g, o
    c[unit] = cell
    h[unit] = o * tanh(cell)


@kernel
def lstm_forward(
    offsets: Array, x: Array | None, w_ih: Array | None, bias: Array | None, w: Array,
    p_i: Array | None, p_f: Array | None, p_o: Array | None, gates: Array, h: Array, c: Array,
    panels: Array, ready: Array | None,
) -> Phases:  # fmt: skip
    units, steps = w.shape[1], len(offsets) - 1
    shares = shares_of(offsets, len(h) - len(gates), w, units, 4, units)
    step = forward_through(_forward, shares.lanes)
    return [
        *input_phases(offsets, x, w_ih, bias, 0, gates),
        shares.phase(step, steps, gates, h, c, p_i, p_f, p_o),
    ]


@device
def _back(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    H, N, offsets = m.ints[w + UNITS], m.ints[w + SEQUENCES], m.ints[w + OFFSETS]
    dh, dc = arriving(m, w, t, row, unit, at, 0), arriving_cell(m, w, row, unit, at)
    if t < 0:
        m.reals[m.ints[w + DH0] + row * H + unit] = dh
        m.reals[m.ints[w + DC0] + row * H + unit] = dc
    else:
        now = m.ints[offsets + t] + row
        before = state_before(m, offsets, N, t) + row
        gates = part(m.reals, m.ints[w + Z] + now * 4 * H, 4 * H)
        cell = m.reals[m.ints[w + C] + before * H + unit]
        seen = tanh(m.reals[m.ints[w + C] + (N + now) * H + unit])
        dh = with_above(m, w, now, unit, dh)
        one = number(m.reals, 1.0)
        i, f, g, o = gates[unit], gates[H + unit], gates[2 * H + unit], gates[3 * H + unit]
        dz_o = dh * seen * o * (one - o)
        dc += dh * o * (one - seen * seen) + _peep(m, m.ints[w + P_O_BACK], unit, dz_o)
        dz_i, dz_f = dc * g * i * (one - i), dc * cell * f * (one - f)
        on = dc * f + _peep(m, m.ints[w + P_I_BACK], unit, dz_i)
        on += _peep(m, m.ints[w + P_F_BACK], unit, dz_f)
        gates[unit], gates[H + unit] = dz_i, dz_f
        gates[2 * H + unit], gates[3 * H + unit] = dc * i * (one - g * g), dz_o
        hand_on_cell(m, w, now, row, unit, dc, on)


@kernel
def lstm_backward(
    offsets: Array, w: Array, p_i: Array | None, p_f: Array | None, p_o: Array | None, h: Array,
    c: Array, dy: Array | None, dh_last: Array | None, dc_last: Array | None, initial: int,
    gates: Array, dw: Array, dp_i: Array | None, dp_f: Array | None, dp_o: Array | None,
    dh0: Array, dc0: Array, flow: Array, squares: Array, panels: Array, status: Array | None,
) -> Phases:  # fmt: skip
    (N, units), steps = dh0.shape, len(flow)
    notes = Notes(gates, units, cells=True)
    weight, turn = turned(w)
    before, gather = previous_states(offsets, h, gates)
    shares = shares_of(offsets, N, weight, units, 1, 4 * units)
    step = back_through(_back, shares.lanes, 4, 0)
    words = back_words(gates, h, dy, dh_last, dh0, notes)
    words += *cell_words(c, dc_last, dc0, notes), p_i, p_f, p_o
    gradient = weight_gradient(gates, 0, 4 * units, before, units, dw, status)
    return [
        turn,
        gather,
        shares.phase(step, steps + (initial != 0), *words),
        *make([gradient]),
        *peephole_gradients(offsets, gates, c, dp_i, dp_f, dp_o, status),
        *notes.phases(offsets, dc_last, initial, squares, flow),
    ]
