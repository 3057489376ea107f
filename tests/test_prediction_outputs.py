"""Predicted gradients of networks with few outputs, where one direction is much of all."""

import math

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.health.prediction.signal import random_flow
from fastgrad.health.prediction.walk import few_directions
from fastgrad.health.report.kinds import compared

predict = fg.health.predict
Dense = fg.Dense
NETS = 6


def net(outputs, seed=0, activation="relu", **how):
    hidden = [Dense(10, 128, activation), Dense(128, 64, activation)]
    return fg.Sequential(*hidden, Dense(64, outputs, **how), rng=seed)


@pytest.mark.parametrize("with_data", [False, True])
@pytest.mark.parametrize("outputs", [1, 2, 3, 10])
def test_an_orthogonal_last_layer_keeps_the_gradient(outputs, with_data):
    model = net(outputs, weight_init=fg.initializers.orthogonal())
    x = np.random.default_rng(0).standard_normal((48, 10)).astype(np.float32)
    # as |W'u| = |u| of every u
    assert predict(model, x if with_data else None).delta["1"] == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("bias", ["zeros", "normal"])
def test_one_output_takes_its_row_down(bias):
    model = net(1, bias_init=fg.initializers.get(bias))
    expected = np.linalg.norm(model.params["2.weight"])
    assert predict(model).delta["1"] == pytest.approx(expected, rel=1e-6)
    for loss in ("mse", "binary_cross_entropy"):
        assert predict(model, loss=loss).delta["1"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("outputs", [2, 3, 10, 200])
def test_all_directions_together_are_the_squares_of_the_weights(outputs):
    model = net(outputs)
    # over draws of u, |W'u|^2 is in the mean the sum of squares over the outputs
    expected = np.linalg.norm(model.params["2.weight"]) / math.sqrt(outputs)
    assert predict(model).delta["1"] == pytest.approx(expected, rel=0.02)


def regression(outputs, loss, rng):
    """Correlated features and targets that depend on them, with noise."""
    X = rng.standard_normal((256, 4)) @ rng.standard_normal((4, 10))
    X = (X + rng.standard_normal(X.shape)) / math.sqrt(5)
    score = X @ rng.standard_normal((10, outputs)) / 3 + rng.standard_normal((256, outputs))
    if loss == "cross_entropy":
        return X, score.argmax(axis=1)
    return X, score if loss == "mse" else (score > 0).astype(float)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(
    ("outputs", "loss"),
    [(1, "mse"), (2, "mse"), (3, "mse"), (1, "binary_cross_entropy"), (2, "cross_entropy"),
     (3, "cross_entropy")],
)  # fmt: skip
def test_first_steps_are_as_predicted(outputs, loss, activation):
    z = []
    for seed in range(NETS):
        X, y = regression(outputs, loss, np.random.default_rng(seed))
        model = net(outputs, seed, activation)
        trainer = fg.Trainer(model, loss, fg.SGD(0.01), health=True, rng=seed)
        trainer.epoch(X, y, batch_size=64)
        z.append(
            [each.z for each in compared(trainer.health.measurements, trainer.health.prediction)]
        )
    assert np.abs(np.median(z, axis=0)).max() < 3
    # the tensors of a network go together: fewer than all those of one of them
    assert np.mean(np.abs(z) > 3) < 1 / NETS


@pytest.mark.parametrize(("k", "variance"), [(1, math.pi**2 / 2), (2, math.pi**2 / 6)])
def test_logs_of_sums_in_few_directions(k, variance):
    flow = random_flow(k, 10**9)
    # log chi-squared of k has the variance trigamma(k / 2); a log-normal one log(1 + 2 / k)
    assert few_directions(flow, 1.0) == pytest.approx(variance - math.log1p(2 / k), rel=1e-3)
    assert few_directions(random_flow(10**4, 10**9), 1.0) == pytest.approx(0, abs=1e-6)
