"""Backpropagation through time, and the plain recurrent layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.contract import needs_slope
from fastgrad.backends.reference.activations import activation_backward, activation_forward
from fastgrad.backends.reference.gate_inputs import gate_inputs_forward
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.custom import UserActivation

Gradients = tuple[Array, Array, Array]
Step = Callable[[slice, slice, slice, Array, Array], Gradients]


def steps(offsets: Array, sequences: int) -> Iterator[tuple[slice, slice, slice]]:
    """For each step its rows, where its states lie, and those of the step before."""
    for t in range(len(offsets) - 1):
        first, last = int(offsets[t]), int(offsets[t + 1])
        before = sequences + int(offsets[t - 1]) if t else 0
        yield (
            slice(first, last),
            slice(sequences + first, sequences + last),
            slice(before, before + last - first),
        )


def through_time(
    offsets: Array,
    dy: Array | None,
    last: Sequence[Array | None],
    initial: int,
    step: Step,
    states: Sequence[Array],
    flow: Array,
    squares: Array,
) -> None:
    """Call step(rows, states, states before, dh, dc) from the last step to the first.

    It returns the gradients of the two states before and, for the record, the whole of dc. A layer
    without c has a dc of no columns.
    """
    dh, dc = states[0], states[1] if len(states) > 1 else np.zeros((len(states[0]), 0))
    for state, given in zip((dh, dc), last, strict=False):
        state[...] = 0 if given is None else given
    for t, (now, here, before) in reversed(list(enumerate(steps(offsets, len(dh))))):
        n = now.stop - now.start
        dh_t = dh[:n] + (0 if dy is None else dy[now])
        came = _square(dh_t) + _square(dc[:n])
        dh_before, dc_before, dc_t = step(now, here, before, dh_t, dc[:n])
        squares[now] = np.stack([_square(x) for x in (dh_t, dc_t, dh_before, dc_before)], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            went = squares[now, 2:].sum() if t or initial else np.nan
            flow[t, :2] = np.sqrt(squares[now, :2].sum(axis=0))
            flow[t, 2] = np.sqrt(went / came.sum())
        dh[:n], dc[:n] = dh_before, dc_before


def _square(x: Array) -> Array:
    return np.asarray((x.astype(np.float64) ** 2).sum(axis=1))


def rnn_forward(
    offsets: Array,
    x: Array | None,
    w_ih: Array | None,
    bias: Array | None,
    w: Array,
    activation: str | UserActivation,
    alpha: float,
    gates: Array,
    h: Array,
    panels: Array,
    ready: Array | None,
) -> None:
    if x is not None:
        assert w_ih is not None
        assert bias is not None
        gate_inputs_forward(x, w_ih, bias, offsets, 0, gates)
    for now, here, before in steps(offsets, len(h) - len(gates)):
        z = (gates[now] + h[before] @ w.T).reshape(-1)
        y, slope = np.empty_like(z), np.empty_like(z) if needs_slope(activation) else None
        activation_forward(z, activation, alpha, y, slope)
        h[here] = y.reshape(-1, len(w))
        if slope is not None:
            gates[now] = slope.reshape(-1, len(w))


def rnn_backward(
    offsets: Array,
    w: Array,
    activation: str | UserActivation,
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
    dw[...] = 0

    def step(now: slice, here: slice, before: slice, dh: Array, dc: Array) -> Gradients:
        dz = np.empty(dh.size, dh.dtype)
        slope = gates[now].reshape(-1)
        activation_backward(h[here].reshape(-1), slope, dh.reshape(-1), activation, alpha, dz)
        gates[now] = dz.reshape(dh.shape)
        dw[...] += gates[now].T @ h[before]
        return gates[now] @ w, dc, dc

    through_time(offsets, dy, [dh_last], initial, step, [dh0], flow, squares)
    check_finite(dw, status)
