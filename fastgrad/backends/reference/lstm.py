"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid
from fastgrad.backends.reference.gate_inputs import gate_inputs_forward
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.backends.reference.recurrent import Gradients, steps, through_time


def lstm_forward(
    offsets: Array,
    x: Array | None,
    w_ih: Array | None,
    bias: Array | None,
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
    if x is not None:
        assert w_ih is not None
        assert bias is not None
        gate_inputs_forward(x, w_ih, bias, offsets, 0, gates)
    for now, here, before in steps(offsets, len(h) - len(gates)):
        i, f, g, o = np.split(gates[now] + h[before] @ w.T, 4, axis=1)
        if p_i is not None:
            i = i + p_i * c[before]
        if p_f is not None:
            f = f + p_f * c[before]
        i, f, g = sigmoid(i), sigmoid(f), np.tanh(g)
        c[here] = f * c[before] + i * g
        o = sigmoid(o if p_o is None else o + p_o * c[here])
        h[here] = o * np.tanh(c[here])
        gates[now] = np.concatenate([i, f, g, o], axis=1)


def lstm_backward(
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
    gradients = [g for g in (dw, dp_i, dp_f, dp_o) if g is not None]
    for gradient in gradients:
        gradient[...] = 0

    def step(now: slice, here: slice, before: slice, dh: Array, dc: Array) -> Gradients:
        i, f, g, o = np.split(gates[now], 4, axis=1)
        t = np.tanh(c[here])
        dz_o = dh * t * o * (1 - o)
        dc = dc + dh * o * (1 - t * t)
        if p_o is not None:
            dc = dc + dz_o * p_o
        dz_i, dz_f = dc * g * i * (1 - i), dc * c[before] * f * (1 - f)
        dc_before = dc * f
        if p_i is not None:
            dc_before = dc_before + dz_i * p_i
        if p_f is not None:
            dc_before = dc_before + dz_f * p_f
        for dp, dz, cell in ((dp_i, dz_i, before), (dp_f, dz_f, before), (dp_o, dz_o, here)):
            if dp is not None:
                dp[...] += (dz * c[cell]).sum(axis=0)
        gates[now] = np.concatenate([dz_i, dz_f, dc * i * (1 - g * g), dz_o], axis=1)
        dw[...] += gates[now].T @ h[before]
        return gates[now] @ w, dc_before, dc

    last = [dh_last, dc_last]
    through_time(offsets, dy, last, initial, step, [dh0, dc0], flow, squares)
    for gradient in gradients:
        check_finite(gradient, status)
