"""LSTM, GRU and RNN as naive loops over time in plain NumPy, forward and backward.

In float32 they are the naive side of the table; in float64 the truth that every side must agree
with. Equations, names, gate orders (i, f, g, o and r, z, n) and both biases are PyTorch's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Kept = tuple[Array, ...]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _sigmoid(a: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-a)))


def _lstm(given: Array, hidden: Array, h: Array, c: Array) -> tuple[Array, Array, Kept]:
    i, f, g, o = np.split(given + hidden, 4, axis=1)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    new = f * c + i * g
    return o * np.tanh(new), new, (i, f, g, o, c, np.tanh(new))


def _lstm_back(dh: Array, dc: Array, kept: Kept) -> tuple[Array, Array, Array, Array]:
    i, f, g, o, c, tanh_c = kept
    dc = dc + dh * o * (1 - tanh_c**2)
    d_gates = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)]
    d_sums = np.concatenate([*d_gates, dh * tanh_c * o * (1 - o)], axis=1)
    return d_sums, d_sums, np.zeros_like(dh), dc * f


def _gru(given: Array, hidden: Array, h: Array, c: Array) -> tuple[Array, Array, Kept]:
    (gr, gz, gn), (hr, hz, hn) = np.split(given, 3, axis=1), np.split(hidden, 3, axis=1)
    r, z = _sigmoid(gr + hr), _sigmoid(gz + hz)
    n = np.tanh(gn + r * hn)
    return (1 - z) * n + z * h, c, (r, z, n, hn, h)


def _gru_back(dh: Array, dc: Array, kept: Kept) -> tuple[Array, Array, Array, Array]:
    r, z, n, hn, h = kept
    dn = dh * (1 - z) * (1 - n**2)
    dr, dz = dn * hn * r * (1 - r), dh * (h - n) * z * (1 - z)
    d_given = np.concatenate([dr, dz, dn], axis=1)
    return d_given, np.concatenate([dr, dz, dn * r], axis=1), dh * z, dc


def _rnn(given: Array, hidden: Array, h: Array, c: Array) -> tuple[Array, Array, Kept]:
    y = np.tanh(given + hidden)
    return y, c, (y,)


def _rnn_back(dh: Array, dc: Array, kept: Kept) -> tuple[Array, Array, Array, Array]:
    (y,) = kept
    d_sums = dh * (1 - y**2)
    return d_sums, d_sums, np.zeros_like(dh), dc


CELLS = {"LSTM": (_lstm, _lstm_back), "GRU": (_gru, _gru_back), "RNN": (_rnn, _rnn_back)}


def outputs(cell: str, x: Array, params: dict[str, Array]) -> tuple[Array, list[Kept]]:
    """Outputs of a sequence from a state of zeros, and what the way back needs of each step.

    Parameters
    ----------
    cell : {"LSTM", "GRU", "RNN"}
    x : ndarray of shape (N, T, I)
    params : dict of str to ndarray
        ``weight_ih_l0`` (gates x H, I), ``weight_hh_l0`` (gates x H, H), ``bias_ih_l0`` and
        ``bias_hh_l0`` (gates x H), of the dtype of x.

    Returns
    -------
    y : ndarray of shape (N, T, H)
    kept : list of tuple of ndarray
    """
    w_ih, w_hh = params["weight_ih_l0"], params["weight_hh_l0"]
    y = np.zeros((*x.shape[:2], w_hh.shape[1]), x.dtype)
    h = c = np.zeros_like(y[:, 0])
    kept = []
    for t in range(x.shape[1]):
        given = x[:, t] @ w_ih.T + params["bias_ih_l0"]
        h, c, of_step = CELLS[cell][0](given, h @ w_hh.T + params["bias_hh_l0"], h, c)
        kept.append(of_step)
        y[:, t] = h
    return y, kept


def gradients(cell: str, x: Array, dy: Array, params: dict[str, Array]) -> dict[str, Array]:
    """Gradients of ``sum(dy * y)`` in all parameters, through the whole sequence.

    Parameters
    ----------
    cell, x, params
        As for `outputs`.
    dy : ndarray of shape (N, T, H)

    Returns
    -------
    dict of str to ndarray
    """
    y, kept = outputs(cell, x, params)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dh = dc = np.zeros_like(y[:, 0])
    for t in reversed(range(x.shape[1])):
        d_given, d_hidden, dh, dc = CELLS[cell][1](dh + dy[:, t], dc, kept[t])
        grads["weight_ih_l0"] += d_given.T @ x[:, t]
        grads["bias_ih_l0"] += d_given.sum(axis=0)
        grads["bias_hh_l0"] += d_hidden.sum(axis=0)
        if t:
            grads["weight_hh_l0"] += d_hidden.T @ y[:, t - 1]
        dh = dh + d_hidden @ params["weight_hh_l0"]
    return grads
