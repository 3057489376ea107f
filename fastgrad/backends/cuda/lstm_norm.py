"""The layer-normalized LSTM (Ba et al. 2016), blocks i, f, g, o.

A row is normalized over the sums of all units, so that each step is two repetitions: the product,
and then what a block makes of a row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.activations import sigmoid
from fastgrad.backends.cuda.device import block_sum, device, number, part
from fastgrad.backends.cuda.elementary import tanh
from fastgrad.backends.cuda.flow import Notes
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import kernel
from fastgrad.backends.cuda.product import Phases, make
from fastgrad.backends.cuda.row_norm import find_moments, norm_back, normed
from fastgrad.backends.cuda.shares import share_of, shares_of
from fastgrad.backends.cuda.step_product import OFFSETS, SEQUENCES, STEPS, UNITS
from fastgrad.backends.cuda.steps import rows_of, state_before, turned
from fastgrad.backends.cuda.target import cuda
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
    back_words,
    cell_words,
    hand_on_cell,
    with_above,
)
from fastgrad.backends.cuda.weight_gradients import previous_states, weight_gradient

CELL, SUMS, SEEN, NORM_H, NORM_C, BIAS_C, EPS = range(FORWARD, FORWARD + 7)
MEAN_H, SCALE_H, MEAN_C, SCALE_C = range(FORWARD + 7, FORWARD + 11)


@device
def _keep_sum(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    H = m.ints[w + UNITS]
    now = m.ints[m.ints[w + OFFSETS] + t] + row
    sums = part(m.reals, m.ints[w + SUMS] + now * 4 * H, 4 * H)
    for gate in range(4):
        sums[gate * H + unit] = m.shared[at + gate * apart]


@device
def _forward_row(m: Memory, w: int, now: int, before: int) -> None:
    H, N = m.ints[w + UNITS], m.ints[w + SEQUENCES]
    gates = part(m.reals, m.ints[w + Z] + now * 4 * H, 4 * H)
    sums_at, cells_at = m.ints[w + SUMS] + now * 4 * H, m.ints[w + CELL] + (N + now) * H
    mean_at, scale_at = m.ints[w + MEAN_H] + now, m.ints[w + SCALE_H] + now
    find_moments(m, sums_at, 4 * H, m.doubles[w + EPS], mean_at, scale_at)
    mean, scale = m.doubles[mean_at], m.doubles[scale_at]
    sums, cells = part(m.reals, sums_at, 4 * H), part(m.reals, cells_at, H)
    norm_h = part(m.reals, m.ints[w + NORM_H], 4 * H)
    earlier = part(m.reals, m.ints[w + CELL] + before * H, H)
    for unit in range(cuda.threadIdx.x, H, cuda.blockDim.x):
        for gate in range(4):
            j = gate * H + unit
            z = gates[j] + norm_h[j] * normed(m, sums[j], mean, scale)
            gates[j] = tanh(z) if gate == 2 else sigmoid(m, z)
        cells[unit] = gates[H + unit] * earlier[unit] + gates[unit] * gates[2 * H + unit]
    mean_at, scale_at = m.ints[w + MEAN_C] + now, m.ints[w + SCALE_C] + now
    find_moments(m, cells_at, H, m.doubles[w + EPS], mean_at, scale_at)
    mean, scale = m.doubles[mean_at], m.doubles[scale_at]
    norm_c, bias_c = part(m.reals, m.ints[w + NORM_C], H), part(m.reals, m.ints[w + BIAS_C], H)
    seen = part(m.reals, m.ints[w + SEEN] + now * H, H)
    h = part(m.reals, m.ints[w + STATES] + (N + now) * H, H)
    for unit in range(cuda.threadIdx.x, H, cuda.blockDim.x):
        t = tanh(normed(m, cells[unit], mean, scale) * norm_c[unit] + bias_c[unit])
        seen[unit], h[unit] = t, gates[3 * H + unit] * t


@functools.cache
def _forward(lanes: int) -> Callable[..., None]:
    share = share_of(_keep_sum, lanes)

    @device
    def half(m: Memory, w: int, k: int) -> None:
        offsets, H, t = m.ints[w + OFFSETS], m.ints[w + UNITS], k // 2
        n = rows_of(m, offsets, m.ints[w + STEPS], t)
        before = state_before(m, offsets, m.ints[w + SEQUENCES], t)
        if k % 2 == 0:
            share(m, w, k, t, n, m.ints[w + STATES] + before * H, H, n, H, 0, 4, 0)
        else:
            for r in range(cuda.blockIdx.x, n, cuda.gridDim.x):
                _forward_row(m, w, m.ints[offsets + t] + r, before + r)

    return half


@kernel
def lstm_norm_forward(
    offsets: Array, w: Array, norm_h: Array, norm_c: Array, bias_c: Array, eps: float, gates: Array,
    h: Array, c: Array, sums: Array, seen: Array, mean_h: Array, scale_h: Array, mean_c: Array,
    scale_c: Array, panels: Array, ready: Array | None,
) -> Phases:  # fmt: skip
    units, N, steps = w.shape[1], len(h) - len(gates), len(offsets) - 1
    shares = shares_of(offsets, N, w, units, 4, units, apart=False)
    words = gates, h, c, sums, seen, norm_h, norm_c, bias_c, float(eps)
    moments = mean_h, scale_h, mean_c, scale_c
    return [shares.phase(_forward(shares.lanes), 2 * steps, *words, *moments, blocks=N)]


SUMS_BACK, SEEN_BACK, NORM_H_BACK, NORM_C_BACK, D_SUMS = range(CELLS, CELLS + 5)
MEAN_H_BACK, SCALE_H_BACK, MEAN_C_BACK, SCALE_C_BACK = range(CELLS + 5, CELLS + 9)


@device
def _arrive(m: Memory, w: int, t: int, row: int, unit: int, at: int, apart: int) -> None:
    """What comes from behind the step, to where it is found for all rows."""
    place = row * m.ints[w + UNITS] + unit
    m.reals[m.ints[w + DH0] + place] = arriving(m, w, t, row, unit, at, 0)
    m.reals[m.ints[w + DC0] + place] = arriving_cell(m, w, row, unit, at)


@device
def _row_back(m: Memory, w: int, row: int, now: int, before: int) -> None:
    H, N = m.ints[w + UNITS], m.ints[w + SEQUENCES]
    gates = part(m.reals, m.ints[w + Z] + now * 4 * H, 4 * H)
    seen = part(m.reals, m.ints[w + SEEN_BACK] + now * H, H)
    cells = part(m.reals, m.ints[w + C] + (N + now) * H, H)
    earlier = part(m.reals, m.ints[w + C] + before * H, H)
    dh0 = part(m.reals, m.ints[w + DH0] + row * H, H)
    dc0 = part(m.reals, m.ints[w + DC0] + row * H, H)
    norm_c = part(m.reals, m.ints[w + NORM_C_BACK], H)
    norm_h = part(m.reals, m.ints[w + NORM_H_BACK], 4 * H)
    one = number(m.reals, 1.0)
    mean = m.doubles[m.ints[w + MEAN_C_BACK] + now]
    scale = m.doubles[m.ints[w + SCALE_C_BACK] + now]
    total, dot = 0.0, 0.0
    for unit in range(cuda.threadIdx.x, H, cuda.blockDim.x):
        dh = with_above(m, w, now, unit, dh0[unit])
        o, t = gates[3 * H + unit], seen[unit]
        gates[3 * H + unit] = dh * t * o * (one - o)
        seen[unit] = dh * o * (one - t * t)
        g = seen[unit] * norm_c[unit]
        total += np.float64(g)
        dot += np.float64(g * normed(m, cells[unit], mean, scale))
    shift, along = block_sum(m, total) / H, block_sum(m, dot) / H
    sums = part(m.reals, m.ints[w + SUMS_BACK] + now * 4 * H, 4 * H)
    mean_h = m.doubles[m.ints[w + MEAN_H_BACK] + now]
    scale_h = m.doubles[m.ints[w + SCALE_H_BACK] + now]
    total, dot = 0.0, 0.0
    for unit in range(cuda.threadIdx.x, H, cuda.blockDim.x):
        v = normed(m, cells[unit], mean, scale)
        dc = dc0[unit] + norm_back(m, seen[unit] * norm_c[unit], v, scale, shift, along)
        i, f, g = gates[unit], gates[H + unit], gates[2 * H + unit]
        hand_on_cell(m, w, now, row, unit, dc, dc * f)
        gates[unit], gates[H + unit] = dc * g * i * (one - i), dc * earlier[unit] * f * (one - f)
        gates[2 * H + unit] = dc * i * (one - g * g)
        for gate in range(4):
            j = gate * H + unit
            weighted = gates[j] * norm_h[j]
            total += np.float64(weighted)
            dot += np.float64(weighted * normed(m, sums[j], mean_h, scale_h))
    shift, along = block_sum(m, total) / (4 * H), block_sum(m, dot) / (4 * H)
    d_sums = part(m.reals, m.ints[w + D_SUMS] + now * 4 * H, 4 * H)
    for j in range(cuda.threadIdx.x, 4 * H, cuda.blockDim.x):
        v = normed(m, sums[j], mean_h, scale_h)
        d_sums[j] = norm_back(m, gates[j] * norm_h[j], v, scale_h, shift, along)


@functools.cache
def _back(lanes: int) -> Callable[..., None]:
    share = share_of(_arrive, lanes)

    @device
    def half(m: Memory, w: int, k: int) -> None:
        offsets, steps, H = m.ints[w + OFFSETS], m.ints[w + STEPS], m.ints[w + UNITS]
        t = steps - 1 - k // 2
        n = rows_of(m, offsets, steps, t) if t >= 0 else m.ints[w + SEQUENCES]
        if k % 2 == 0:
            behind = rows_of(m, offsets, steps, t + 1)
            d_sums = m.ints[w + D_SUMS] + m.ints[offsets + t + 1] * 4 * H
            share(m, w, k, t, n, d_sums, 4 * H, behind, 4 * H, 0, 1, 0)
        else:
            before = state_before(m, offsets, m.ints[w + SEQUENCES], t)
            for r in range(cuda.blockIdx.x, n, cuda.gridDim.x):
                _row_back(m, w, r, m.ints[offsets + t] + r, before + r)

    return half


@kernel
def lstm_norm_backward(
    offsets: Array, w: Array, norm_h: Array, norm_c: Array, h: Array, c: Array, sums: Array,
    mean_h: Array, scale_h: Array, mean_c: Array, scale_c: Array, dy: Array | None,
    dh_last: Array | None, dc_last: Array | None, initial: int, gates: Array, seen: Array,
    d_sums: Array, dw: Array, dh0: Array, dc0: Array, flow: Array, squares: Array, panels: Array,
    status: Array | None,
) -> Phases:  # fmt: skip
    (N, units), steps = dh0.shape, len(flow)
    notes = Notes(gates, units, cells=True)
    weight, turn = turned(w)
    before, gather = previous_states(offsets, h, d_sums)
    shares = shares_of(offsets, N, weight, units, 1, 4 * units, apart=False)
    words = back_words(gates, h, dy, dh_last, dh0, notes)
    words += *cell_words(c, dc_last, dc0, notes), sums, seen, norm_h, norm_c, d_sums
    words += mean_h, scale_h, mean_c, scale_c
    gradient = weight_gradient(d_sums, 0, 4 * units, before, units, dw, status)
    return [
        turn,
        gather,
        shares.phase(_back(shares.lanes), 2 * steps + (initial != 0), *words, blocks=N),
        *make([gradient]),
        *notes.phases(offsets, dc_last, initial, squares, flow),
    ]
