"""Units that are proven to be dead."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.health.rules import proven_dead


def of(model, low, high):
    return proven_dead(model.layers, model.params, low, high)


def test_what_no_input_can_reach():
    model = fg.Sequential(fg.Dense(2, 3, "relu"), fg.Dense(3, 1), rng=0)
    model.params["0.weight"][...] = [[1, 1], [1, -1], [-1, -1]]
    model.params["0.bias"][...] = [-2.1, -0.9, -0.01]
    # the largest values are -0.1, 0.1 and -0.01 over the unit square
    assert of(model, np.zeros(2), np.ones(2)) == {"0": pytest.approx(2 / 3)}
    assert of(model, -np.ones(2), np.ones(2)) == {"0": pytest.approx(1 / 3)}


@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid"]
)
def test_no_unit_that_lives_is_called_dead(activation, rng):
    proven = 0.0
    for seed in range(10):
        model = fg.Sequential(
            fg.Dense(3, 8, activation),
            fg.Dense(8, 16, "relu", bias_init=fg.initializers.normal(2.0)),
            fg.Dense(16, 1),
            rng=seed,
        )
        low, high = -rng.random(3), rng.random(3)
        x = rng.uniform(low, high, (1000, 3)).astype(np.float32)
        hidden = fg.Sequential(*model.layers[:2], rng=0)
        for name, view in hidden.params.items():
            view[...] = model.params[name]
        silent = float((hidden.predict(x) == 0).all(axis=0).mean())
        found = of(model, low, high)["1"]
        assert found <= silent
        proven += found
    assert proven > 0


def test_nothing_is_proven_behind_other_layers():
    model = fg.Sequential(fg.Dense(2, 4), fg.BatchNorm(4), fg.Dense(4, 4, "relu"), rng=0)
    assert of(model, np.zeros(2), np.ones(2)) == {}
