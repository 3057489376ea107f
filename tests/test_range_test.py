"""The learning-rate range test: what it finds, and that it leaves no trace."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg
from fastgrad.datasets import load_digits

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((96, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def ranged(model=None, x=X, y=Y, **options):
    options = {"loss": "cross_entropy", "optimizer": "sgd", "high": 100.0, "rng": 0} | options
    return fg.lr_range_test(model or chain(5, 8, 3), x, y, **options)


def test_everything_is_as_before():
    model = fg.Sequential(
        fg.Dense(5, 8, "relu"), fg.BatchNorm(8), fg.Dropout(0.5), fg.Dense(8, 3), rng=0
    )
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(3e-3), rng=0)
    trainer.epoch(X, Y, 32)
    optimizer, generator = fg.Adam(2e-3), np.random.default_rng(7)
    x, y, weight = X.copy(), Y.copy(), RNG.uniform(size=96)
    given = [x, y, weight, model.flat_params, model.flat_grads, model.flat_buffers]
    before = [bits(array) for array in given]
    state = copy.deepcopy(generator.bit_generator.state)

    ranged(model, x, y, optimizer=optimizer, sample_weight=weight, rng=generator)
    assert [bits(array) for array in given] == before
    assert generator.bit_generator.state == state
    assert vars(optimizer) == vars(fg.Adam(2e-3))
    # and training goes on as if nothing had been
    same = fg.Sequential(
        fg.Dense(5, 8, "relu"), fg.BatchNorm(8), fg.Dropout(0.5), fg.Dense(8, 3), rng=0
    )
    other = fg.Trainer(same, "cross_entropy", fg.Adam(3e-3), rng=0)
    other.epoch(X, Y, 32)
    assert trainer.epoch(X, Y, 32) == other.epoch(X, Y, 32)


def test_it_is_steps_of_a_trainer():
    found = ranged(steps=20, high=1e-2, batch_size=96)
    optimizer = fg.SGD(1.0)
    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy", optimizer, rng=0)
    order, losses = np.random.default_rng(0), []
    lrs = np.geomspace(1e-6, 1e-2, 20)
    for lr in [*lrs, 1]:
        optimizer.lr = float(lr)
        rows = order.permutation(96)
        losses.append(trainer.step(X[rows], Y[rows]))
    assert found.lrs.tolist() == lrs.tolist()
    assert found.losses.tolist() == losses[1:]
    assert found.divergence is None


def test_the_seed_decides():
    assert bits(ranged().losses) == bits(ranged().losses)
    assert bits(ranged().losses) != bits(ranged(rng=1).losses)


@pytest.mark.parametrize("rate", [1e-3, 1.0, 30.0])
def test_a_parabola(rate):
    """Of ``(w - 3)^2 / rate`` a step of lr multiplies ``w - 3`` with ``1 - 2 lr / rate``."""
    model = fg.Sequential(
        fg.Dense(1, 1, bias=False, weight_init=fg.initializers.zeros()), rng=0, dtype="float64"
    )
    x = np.full((4, 1), rate**-0.5)
    found = fg.lr_range_test(
        model, x, 3 * x, loss="mse", optimizer="sgd", low=1e-4 * rate, high=1e3 * rate, steps=200
    )
    # for small lr the loss falls as exp(-4 (sum of lr) / rate), the sum being lr / log(ratio)
    ratio = 1e7 ** (1 / 199)
    assert found.steepest == pytest.approx(rate * np.log(ratio) / 4, rel=ratio - 1)
    assert rate < found.divergence < 10 * rate
    assert found.suggestion == min(found.steepest, found.divergence / 10)
    assert found.lrs[-1] == found.divergence
    assert len(found.lrs) == len(found.losses) == len(found.smoothed) < 200


@pytest.mark.parametrize(("optimizer", "low", "high"), [("sgd", 0.02, 1), ("adam", 5e-4, 0.05)])
def test_digits(optimizer, low, high):
    images, labels = load_digits()
    model = fg.Sequential(fg.Dense(64, 64, "relu"), fg.Dense(64, 10), rng=0)
    found = ranged(model, images / 16, labels, optimizer=optimizer)
    assert low < found.suggestion < high
    assert f"suggestion {found.suggestion:.2g}, {found.reason}" in repr(found)
    losses = {}
    for lr in (found.suggestion / 100, found.suggestion):
        chosen = fg.SGD(lr) if optimizer == "sgd" else fg.Adam(lr)
        losses[lr] = fg.fit(
            copy.deepcopy(model), images / 16, labels, loss="cross_entropy", optimizer=chosen,
            epochs=3, rng=0,
        ).history["loss"][-1]  # fmt: skip
    assert losses[found.suggestion] < 0.5 * losses[found.suggestion / 100]


def test_what_overflows_stops_it():
    model = chain(5, 8, 3)
    found = fg.lr_range_test(model, 1e15 * X, Y, loss="cross_entropy", optimizer="sgd", high=1e30)
    assert found.divergence == found.lrs[-1]
    assert np.isfinite(found.smoothed).all()


def test_a_loss_that_does_not_fall():
    """Labels that have nothing to do with the rows, and rates too small to learn them by heart."""
    found = ranged(y=np.random.default_rng(1).integers(3, size=96), high=1e-4, batch_size=8)
    assert found.steepest is found.divergence is found.suggestion is None
    assert "no suggestion, the loss neither fell nor diverged" in repr(found)


def test_what_is_broken_before_any_update_is_an_error():
    model = chain(5, 8, 3)
    model.params["0.weight"][0] = np.nan
    with pytest.raises(fg.GradientError):
        ranged(model)


BAD = {
    "model": ({"model": "net"}, "model must be a fastgrad.Sequential, got str"),
    "X": ({"x": X[:, :3]}, r"X has shape \(96, 3\), needs \(N, 5\)"),
    "y": ({"y": Y[:10]}, "y has"),
    "weight": ({"sample_weight": [1.0]}, r"sample_weight has shape \(1,\), needs \(96,\)"),
    "low": ({"low": 0}, r"low must lie in \(0, inf\), got 0"),
    "high": ({"low": 1.0, "high": 0.1}, r"high must lie in \(1, inf\), got 0.1"),
    "steps": ({"steps": 4}, "steps must be at least 5, got 4"),
    "batch_size": ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    "optimizer": ({"optimizer": "sdg"}, "optimizer: expected one of .* got 'sdg'"),
    "loss": ({"loss": "l3"}, "l3"),
    "rng": ({"rng": "seed"}, "rng must be a seed"),
}


@pytest.mark.parametrize(("options", "message"), BAD.values(), ids=BAD)
def test_bad_input(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ranged(**options)
