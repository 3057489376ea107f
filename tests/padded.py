"""Sequences with lengths, and models that take them."""

from __future__ import annotations

import numpy as np
from nets import targets

import fastgrad as fg

N, T, F, H, OUT = 9, 6, 3, 5, 4
LENGTHS = np.array([6, 0, 3, 1, 6, 5, 2, 0, 4])
COUNTS = np.arange(T) < LENGTHS[:, None]
# every value goes through as many sums of such lengths in each of the steps and in each pass
ROUNDINGS = 4 * T * (F + 4 * H + OUT + N + 20)

LAYERS = {
    "rnn": lambda **how: fg.RNN(F, H, **how),
    "lstm": lambda **how: fg.LSTM(F, H, **how),
    "gru": lambda **how: fg.GRU(F, H, **how),
    "both ways": lambda **how: fg.LSTM(F, H, bidirectional=True, num_layers=2, **how),
}
LOSSES = ["mse", "mae", "cross_entropy", "soft_cross_entropy", "binary_cross_entropy"]


def make(kind="lstm", sequences=True, dtype="float64", first=()):
    layer = LAYERS[kind](return_sequences=sequences)
    return fg.Sequential(*first, layer, fg.Dense(layer.output_features(F), OUT), rng=0, dtype=dtype)


def data(rng, loss="mse", sequences=True):
    x = rng.standard_normal((N, T, F))
    y = targets(loss, rng, N * T if sequences else N, OUT)
    return x, y.reshape(N, T, *y.shape[1:]) if sequences else y


def with_padding(values, padding):
    found = values.astype(np.result_type(values, type(padding)))
    found[~COUNTS] = padding
    return found
