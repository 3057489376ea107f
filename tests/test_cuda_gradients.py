"""Gradients of every kind of layer on the cuda backend, against differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DEVICE, use

import fastgrad as fg

pytestmark = pytest.mark.skipif(not DEVICE, reason="no GPU, and NUMBA_ENABLE_CUDASIM is not set")


@fg.activation
def bent(z):
    return z * np.tanh(z) if z > 0 else 0.3 * z


LAYERS = {
    "gelu": ((3,), lambda: [fg.Dense(3, 2, "gelu")]),
    "own": ((3,), lambda: [fg.Dense(3, 2, bent), fg.Activation("softplus")]),
    "norms": ((3,), lambda: [fg.BatchNorm(3), fg.Residual(fg.Dense(3, 3)), fg.LayerNorm(3)]),
    "embedding": (None, lambda: [fg.Embedding(5, 2), fg.RNN(2, 2, activation="relu")]),
    "rnn": ((3, 2), lambda: [fg.RNN(2, 3, bidirectional=True, return_sequences=True)]),
    "lstm": ((3, 2), lambda: [fg.LSTM(2, 3, peepholes=True)]),
    "lstm norm": ((3, 2), lambda: [fg.LSTM(2, 3, layer_norm=True)]),
    "gru": ((3, 2), lambda: [fg.GRU(2, 3, return_sequences=True), fg.GRU(3, 2)]),
    "gru before": ((3, 2), lambda: [fg.GRU(2, 3, reset_after=False)]),
}


@pytest.fixture
def device():
    yield from use("cuda")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients(device, name, padded, rng):
    shape, layers = LAYERS[name]
    if padded and shape is not None and len(shape) == 1:
        pytest.skip("no sequences")
    model = fg.Sequential(*layers(), rng=1, dtype="float64")
    x = rng.integers(5, size=(3, 3)) if shape is None else rng.normal(size=(3, *shape))
    lengths = np.array([3, 1, 2]) if padded else None
    shape = model.forward(x, lengths=lengths).shape
    target = rng.normal(size=shape)
    found = fg.gradcheck(model, x, loss="mse", y=target, lengths=lengths)
    assert found, found
