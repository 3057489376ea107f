"""Label smoothing in training: what a trainer and `fit` make of it."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain
from scipy.special import log_softmax

import fastgrad as fg
from fastgrad import losses

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)).astype(np.float32)
Y = RNG.integers(3, size=40)
BINARY = np.eye(3)[Y]


def trained(loss, y, epochs=3, batch_size=16, **options):
    model = chain(5, 8, 3)
    trainer = fg.Trainer(model, loss, fg.SGD(0.1), rng=0, **options)
    return [trainer.epoch(X, y, batch_size) for _ in range(epochs)], bits(model.flat_params)


def test_one_hot_targets_are_smoothed_like_classes(engine):
    loss = fg.CrossEntropy(label_smoothing=0.1)
    by_class, by_row = trained(loss, Y)[0], trained(loss, np.eye(3)[Y])[0]
    np.testing.assert_allclose(by_class, by_row, rtol=1e3 * np.finfo(np.float32).eps)
    assert by_row == trained(fg.SoftCrossEntropy(label_smoothing=0.1), np.eye(3)[Y])[0]


@pytest.mark.parametrize(
    ("loss", "y"),
    [(fg.CrossEntropy, Y), (fg.SoftCrossEntropy, BINARY), (fg.BinaryCrossEntropy, BINARY)],
)
def test_none_is_none(loss, y):
    assert trained(loss(label_smoothing=0.0), y) == trained(loss(), y)
    assert trained(loss(label_smoothing=0.1), y) != trained(loss(), y)


def test_targets_that_are_smooth_already():
    """The same as with targets smoothed by hand."""
    soft = 0.875 * np.eye(3)[Y] + 0.125 / 3
    np.testing.assert_allclose(
        trained(fg.SoftCrossEntropy(label_smoothing=0.125), np.eye(3)[Y])[0],
        trained(fg.SoftCrossEntropy(), soft)[0],
        rtol=1e3 * np.finfo(np.float32).eps,
    )


def test_evaluation_and_validation_are_smoothed_too():
    run = fg.fit(
        chain(5, 8, 3),
        X,
        Y,
        loss=fg.CrossEntropy(label_smoothing=0.25),
        validation=(X, Y),
        epochs=2,
    )
    log_p = log_softmax(run.model.predict(X).astype(np.float64), axis=1)
    wanted = -(0.75 * log_p[np.arange(40), Y] + 0.25 * log_p.mean(axis=1)).mean()
    assert run.history["val_loss"][-1] == run.trainer.evaluate(X, Y)
    assert run.history["val_loss"][-1] == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_gradients(engine, smoothing):
    model = chain(5, 8, 3, dtype="float64")
    weight = [0.5, 2.0, 0.0]
    for loss, y in (
        (fg.CrossEntropy(weight, smoothing), Y),
        (fg.CrossEntropy(label_smoothing=smoothing), np.eye(3)[Y]),
        (fg.BinaryCrossEntropy(smoothing), BINARY),
    ):
        assert fg.gradcheck(model, X, rng=0, loss=loss, y=y)


def test_threads_change_nothing(threads):
    x = RNG.standard_normal((4000, 8)).astype(np.float32)
    y = RNG.integers(50, size=4000)
    results = set()
    for count in (1, 2, 3):
        threads(count)
        model = chain(8, 50)
        trainer = fg.Trainer(model, fg.CrossEntropy(np.arange(50.0), 0.1), rng=0)
        results.add(bits(trainer.epoch(x, y, 2000), model.flat_params))
    assert len(results) == 1


@pytest.mark.parametrize(
    "loss",
    [
        fg.CrossEntropy(),
        fg.CrossEntropy([1, 2, 3], 0.1),
        fg.SoftCrossEntropy(0.2),
        fg.BinaryCrossEntropy(0.3),
    ],
)
def test_it_is_made_again_from_its_config(loss):
    again = losses.from_config(loss.config())
    assert type(again) is type(loss)
    assert again.config() == loss.config()


@pytest.mark.parametrize("kind", [fg.CrossEntropy, fg.SoftCrossEntropy, fg.BinaryCrossEntropy])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-0.1, ValueError, r"label_smoothing must lie in \[0, 1\], got -0.1"),
        (1.5, ValueError, r"label_smoothing must lie in \[0, 1\], got 1.5"),
        (np.nan, ValueError, r"label_smoothing must lie in \[0, 1\], got nan"),
        ("a", TypeError, "label_smoothing must be a number, got 'a'"),
        (True, TypeError, "label_smoothing must be a number, got True"),
        (None, TypeError, "label_smoothing must be a number, got None"),
    ],
)
def test_bad_input(kind, value, error, message):
    with pytest.raises(error, match=message):
        kind(label_smoothing=value)
