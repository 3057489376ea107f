"""What the inputs of a recurrent layer add to its gates, for all steps at once."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def _turned(w: Array, turned: int) -> Array:
    """The blocks r, z, n of the first axis as n, r, z."""
    return np.roll(w, turned, axis=0) if turned else w


def gate_inputs_forward(
    x: Array, w: Array, bias: Array, offsets: Array, turned: int, z: Array
) -> None:
    rows = offsets[-1]
    z[:rows] = bias
    z[:rows, : len(w)] += x[:rows] @ _turned(w, turned).T


def gate_inputs_backward(
    x: Array,
    w: Array,
    dz: Array,
    offsets: Array,
    turned: int,
    dx: Array | None,
    dw: Array,
    status: Array | None,
) -> None:
    rows = offsets[-1]
    own = dz[:rows, : len(w)]
    dw[...] = _turned(own.T @ x[:rows], -turned)
    if dx is not None:
        dx[:rows] = own @ _turned(w, turned)
    check_finite(dw, status)


def gate_bias(b_ih: Array, b_hh: Array, turned: int, apart: int, bias: Array) -> None:
    bias[...] = 0
    bias[: len(b_ih)] = _turned(b_ih + b_hh, turned)
    if turned and apart:
        bias[:turned] = b_ih[-turned:]
        bias[-turned:] = b_hh[-turned:]


def gate_bias_backward(
    dz: Array,
    offsets: Array,
    turned: int,
    apart: int,
    db_ih: Array,
    db_hh: Array,
    status: Array | None,
) -> None:
    sums = dz[: offsets[-1]].sum(axis=0)
    db_ih[...] = db_hh[...] = _turned(sums[: len(db_ih)], -turned)
    if turned and apart:
        db_hh[-turned:] = sums[-turned:]
    check_finite(db_ih, status)
    check_finite(db_hh, status)


def gate_table(w: Array, bias: Array, turned: int, table: Array) -> None:
    table[...] = bias
    table[:, : len(w)] += _turned(w, turned).T


def gate_table_backward(dtable: Array, turned: int, dw: Array, status: Array | None) -> None:
    dw[...] = _turned(dtable[:, : len(dw)].T, -turned)
    check_finite(dw, status)
