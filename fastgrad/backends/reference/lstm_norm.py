"""Long short-term memory with layer normalization (Ba, Kiros & Hinton 2016, eq. 20 to 22)."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.backends.reference.layer_norm import layer_norm_backward, layer_norm_forward
from fastgrad.backends.reference.recurrent import Gradients, steps, through_time


def lstm_norm_forward(
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
    for now, here, before in steps(offsets, len(h) - len(gates)):
        sums[now] = h[before] @ w.T
        normed = np.empty_like(sums[now])
        moments = mean_h[now], scale_h[now]
        layer_norm_forward(sums[now], norm_h, None, 1, eps, None, normed, *moments)
        i, f, g, o = np.split(gates[now] + normed, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c[here] = f * c[before] + i * g
        moments = mean_c[now], scale_c[now]
        layer_norm_forward(c[here], norm_c, bias_c, 1, eps, None, seen[now], *moments)
        seen[now] = np.tanh(seen[now])
        h[here] = o * seen[now]
        gates[now] = np.concatenate([i, f, g, o], axis=1)


def lstm_norm_backward(
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
    dw[...] = 0

    def step(now: slice, here: slice, before: slice, dh: Array, dc: Array) -> Gradients:
        i, f, g, o = np.split(gates[now], 4, axis=1)
        t = seen[now]
        dz_o = dh * t * o * (1 - o)
        seen[now] = dh * o * (1 - t * t)
        through_h = np.empty_like(dc)
        moments = mean_c[now], scale_c[now]
        _norm_backward(c[here], norm_c, *moments, seen[now], through_h)
        dc = dc + through_h
        dc_before = dc * f
        dz = dc * g * i * (1 - i), dc * c[before] * f * (1 - f), dc * i * (1 - g * g), dz_o
        gates[now] = np.concatenate(dz, axis=1)
        moments = mean_h[now], scale_h[now]
        _norm_backward(sums[now], norm_h, *moments, gates[now], d_sums[now])
        dw[...] += d_sums[now].T @ h[before]
        return d_sums[now] @ w, dc_before, dc

    last = [dh_last, dc_last]
    through_time(offsets, dy, last, initial, step, [dh0, dc0], flow, squares)
    check_finite(dw, status)


def _norm_backward(
    x: Array, weight: Array, mean: Array, scale: Array, dy: Array, dx: Array
) -> None:
    layer_norm_backward(x, weight, 1, mean, scale, dy, None, dx, None, None, None)
