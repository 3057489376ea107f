"""The moving average of parameters."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")


def data(rng, rows=40):
    return rng.standard_normal((rows, 5)), rng.standard_normal((rows, 3))


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_it_is_the_weighted_mean_of_all_steps(rng, backend, decay):
    x, y = data(rng)
    model = chain(5, 8, 3, dtype="float64")
    trainer = fg.Trainer(model, "mse", fg.Adam(0.01), average=decay)
    seen = []
    for _ in range(10):
        trainer.step(x, y)
        seen.append(model.flat_params.copy())
    weights = decay ** np.arange(10)[::-1]
    expected = weights @ np.array(seen) / weights.sum()
    with trainer.averaged():
        np.testing.assert_allclose(model.flat_params, expected, rtol=1e-13)
        with trainer.raw():
            assert bits(model.flat_params) == bits(seen[-1])
        np.testing.assert_allclose(model.flat_params, expected, rtol=1e-13)
    assert bits(model.flat_params) == bits(seen[-1])


def test_it_does_not_change_the_training(rng):
    x, y = data(rng)
    found = []
    for average in (None, 0.9):
        model = chain(5, 8, 3)
        trainer = fg.Trainer(model, "mse", fg.SGD(0.1), average=average, rng=0)
        trainer.epoch(x, y, 8)
        found.append(bits(model.flat_params))
    assert found[0] == found[1]


def test_before_the_first_step_and_without_average_nothing_is_exchanged(rng):
    for average in (None, 0.9):
        model = chain(5, 3)
        before = bits(model.flat_params)
        trainer = fg.Trainer(model, "mse", average=average)
        with trainer.averaged():
            assert bits(model.flat_params) == before
        trainer.keep_average()
        assert bits(model.flat_params) == before


def test_fit_validates_and_ends_with_the_average(rng):
    x, y = data(rng)
    model = chain(5, 8, 3)
    seen = []
    run = fg.fit(
        model,
        x,
        y,
        loss="mse",
        average=0.8,
        validation=(x, y),
        epochs=3,
        callbacks=[lambda run: seen.append(run.model.flat_params.copy())],
    )
    assert bits(model.flat_params) == bits(seen[-1])
    assert run.history["val_loss"][-1] == run.trainer.evaluate(x, y)
    arrays = run.trainer.arrays()
    assert bits(arrays["average"]) == bits(model.flat_params)


def test_it_smooths_the_noise_of_small_minibatches(rng):
    """Linear regression with a large constant rate: the iterates jump about the solution."""
    x = rng.standard_normal((512, 5))
    w = rng.standard_normal((3, 5))
    y = x @ w.T + rng.standard_normal((512, 3))
    best = np.linalg.lstsq(x, y)[0].T
    distance = {}
    for average in (None, 0.99):
        model = fg.Sequential(fg.Dense(5, 3, bias=False), rng=0, dtype="float64")
        fg.fit(
            model, x, y, loss="mse", optimizer=fg.SGD(0.2), average=average, epochs=10,
            batch_size=4, rng=0,
        )  # fmt: skip
        distance[average] = np.linalg.norm(model.params["0.weight"] - best)
    assert distance[0.99] < distance[None] / 3


@pytest.mark.parametrize("value", [0, 1, -0.5, 2, np.nan])
def test_bad_decays_are_refused(value):
    with pytest.raises(ValueError, match="average must lie in"):
        fg.Trainer(chain(5, 3), "mse", average=value)


def test_nothing_is_trained_while_the_average_is_in_place(rng):
    x, y = data(rng)
    trainer = fg.Trainer(chain(5, 8, 3), "mse", average=0.9)
    trainer.step(x, y)
    with trainer.averaged():
        for train in (trainer.step, trainer.epoch):
            with pytest.raises(RuntimeError, match=r"within averaged\(\)"):
                train(x, y)
    trainer.step(x, y)
