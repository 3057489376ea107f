"""Compiled programs count denormal numbers as zero, and nobody else is made to."""

from __future__ import annotations

import numpy as np
import pytest
from nets import chain

import fastgrad as fg

TINY = np.float32(1e-40)
ROWS = 400  # enough work for two threads


def denormal(array):
    return (array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)


class Halve(fg.Layer):
    """A layer in Python, which looks at what NumPy makes of a denormal number."""

    def forward(self, x, params, train):
        self.seen = TINY / 2
        return x / 2

    def backward(self, dy, params, grads):
        return dy / 2


@pytest.mark.parametrize("count", [1, 2])
def test_products_take_them_for_zero(count, threads):
    threads(count)
    model = chain(300, 40, activation="identity", bias=False, rng=0)
    x = np.full((ROWS, 300), TINY)
    assert not model.forward(x).any()
    assert not model.backward(np.full((ROWS, 40), TINY)).any()


@pytest.mark.parametrize("count", [1, 2])
def test_a_vanishing_gradient_ends_in_zeros(count, threads):
    """So deep a chain of sigmoids multiplies the gradient by about 0.05 a layer."""
    threads(count)
    model = fg.Sequential(
        *(fg.Dense(64, 64, "sigmoid", weight_init=fg.initializers.normal(0.03)) for _ in range(40)),
        fg.Dense(64, 3),
        rng=0,
    )
    x = np.random.default_rng(0).standard_normal((ROWS, 64)).astype(np.float32)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(1e-4), rng=0)
    trainer.epoch(x, np.arange(ROWS) % 3, 200)
    assert model.grads["40.weight"].all()
    assert not model.grads["0.weight"].any()
    for array in (model.flat_grads, *trainer.state.values()):
        assert not denormal(array).any()


def test_the_mean_of_a_dead_unit_ends_in_zero():
    """0.9 to the power of 1000 is no float32; rounded up, the mean would stay denormal forever."""
    model = chain(1, 2, activation="relu", rng=0)
    trainer = fg.Trainer(model, "mse", fg.Adam(1e-6))
    x, y = np.ones((1, 1), np.float32), np.ones((1, 2), np.float32)
    trainer.step(x, y)
    assert trainer.state["mean"].any()
    trainer.epoch(np.zeros((1200, 1), np.float32), model.predict(np.zeros((1200, 1))), 1)
    weight = trainer.state["mean"][:2]
    assert not weight.any()


@pytest.mark.parametrize("count", [1, 2])
def test_the_mode_is_given_back(count, threads):
    threads(count)
    halve = Halve()
    model = fg.Sequential(fg.Dense(100, 60, "tanh"), halve, fg.Dense(60, 3), rng=0)
    trainer = fg.Trainer(model, "mse", rng=0)
    x = np.random.default_rng(0).standard_normal((ROWS, 100)).astype(np.float32)
    trainer.epoch(x, np.zeros((ROWS, 3)), 200)
    assert halve.seen == TINY / 2 > 0
    with pytest.raises(fg.GradientError):
        trainer.step(np.full((ROWS, 100), 1e38), np.full((ROWS, 3), 3e38))
    assert TINY / 2 > 0
