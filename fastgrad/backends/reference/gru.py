"""Gated recurrent unit (Cho et al. 2014), in both its variants."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid
from fastgrad.backends.reference.gate_inputs import gate_inputs_forward
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.backends.reference.recurrent import Gradients, steps, through_time


def gru_forward(
    offsets: Array,
    x: Array | None,
    w_ih: Array | None,
    bias: Array | None,
    w: Array,
    before: int,
    gates: Array,
    h: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    w_rz, w_n = w[: -h.shape[1]], w[-h.shape[1] :]
    if x is not None:
        assert w_ih is not None
        assert bias is not None
        gate_inputs_forward(x, w_ih, bias, offsets, len(w) // 3, gates)
    for now, here, earlier in steps(offsets, len(h) - len(gates)):
        n, r, z, m = np.split(gates[now], 4, axis=1)
        r, z = np.split(sigmoid(np.concatenate([r, z], axis=1) + h[earlier] @ w_rz.T), 2, axis=1)
        if before:
            m = r * h[earlier]
            n = np.tanh(n + m @ w_n.T)
        else:
            m = m + h[earlier] @ w_n.T
            n = np.tanh(n + r * m)
        h[here] = n + z * (h[earlier] - n)
        gates[now] = np.concatenate([n, r, z, m], axis=1)


def gru_backward(
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
    size = h.shape[1]
    w_rz, w_n = w[:-size], w[-size:]
    dw[...] = 0

    def step(now: slice, here: slice, earlier: slice, dh: Array, dc: Array) -> Gradients:
        n, r, z, m = np.split(gates[now], 4, axis=1)
        dz_z = dh * (h[earlier] - n) * z * (1 - z)
        dz_n = dh * (1 - z) * (1 - n * n)
        if before:
            dm, last = dz_n @ w_n, m
            dz_r = dm * h[earlier] * r * (1 - r)
            dh_before = dh * z + dm * r
            dw[-size:] += dz_n.T @ m
        else:
            dm = last = dz_n * r
            dz_r = dz_n * m * r * (1 - r)
            dh_before = dh * z + dm @ w_n
            dw[-size:] += dm.T @ h[earlier]
        dz_rz = np.concatenate([dz_r, dz_z], axis=1)
        dw[:-size] += dz_rz.T @ h[earlier]
        gates[now] = np.concatenate([dz_n, dz_rz, last], axis=1)
        return dh_before + dz_rz @ w_rz, dc, dc

    through_time(offsets, dy, [dh_last], initial, step, [dh0], flow, squares)
    check_finite(dw, status)
