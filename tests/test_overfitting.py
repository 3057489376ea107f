"""What each cure does to a network that learns noise by heart, measured on rows it has not seen."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.special import log_softmax

import fastgrad as fg
from fastgrad.datasets import load_digits

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = (0, 1, 2)
EPOCHS = 300  # until the labels are known by heart, wrong ones included
CURES = {
    "nothing": {},
    "L1": {"regularizers": fg.L1(1e-3)},
    "L2": {"regularizers": fg.L2(5e-3)},
    "dropout": {"dropout": 0.6},
    "label smoothing": {"loss": fg.CrossEntropy(label_smoothing=0.1)},
    "early stopping": {"stopping": True},
    "max norm": {"constraints": fg.MaxNorm(1.0)},
}


def data(seed):
    """100 digits of which a fifth has labels at random, 200 to stop by, and 600 others."""
    images, labels = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    x, y = images[order] / 16, labels[order]
    wrong = np.flatnonzero(rng.random(100) < 0.2)
    y[wrong] = rng.integers(10, size=wrong.size)
    return (x[:100], y[:100]), (x[100:300], y[100:300]), (x[-600:], y[-600:])


def calibration_error(p, y):
    """Confidence minus accuracy, in ten bins of confidence (Guo et al. 2017)."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = np.bincount(bins, confidence - right, minlength=10)
    return np.abs(gaps).sum() / len(y)


@functools.cache
def scores(cure):
    """Mean over seeds of the others' negative log-likelihood, accuracy and calibration error."""
    found = []
    for seed in SEEDS:
        options = {"loss": "cross_entropy"} | CURES[cure]
        (x, y), held_out, (others, truth) = data(seed)
        drop = fg.Dropout(options.pop("dropout", 0.0))
        if options.pop("stopping", False):
            options |= {"validation": held_out, "callbacks": [fg.EarlyStopping(5)]}
        model = fg.Sequential(fg.Dense(64, 64, "relu"), drop, fg.Dense(64, 10), rng=seed)
        settings = {"optimizer": fg.Adam(5e-3), "epochs": EPOCHS, "batch_size": 20, "rng": seed}
        fg.fit(model, x, y, **settings, **options)
        log_p = log_softmax(model.predict(others).astype(np.float64), axis=1)
        likelihood = -log_p[np.arange(len(truth)), truth].mean()
        accuracy = (log_p.argmax(axis=1) == truth).mean()
        found.append((likelihood, accuracy, calibration_error(np.exp(log_p), truth)))
    return np.mean(found, axis=0)


def test_there_is_something_to_cure():
    likelihood, accuracy, error = scores("nothing")
    assert likelihood > 1.4
    assert accuracy < 0.72
    assert error > 0.15  # it is far too sure


@pytest.mark.parametrize("cure", [cure for cure in CURES if cure != "nothing"])
def test_every_cure_lowers_the_loss_on_what_was_not_seen(cure):
    assert scores(cure)[0] < 0.85 * scores("nothing")[0]


@pytest.mark.parametrize("cure", ["L2", "dropout", "early stopping"])
def test_these_make_it_more_accurate(cure):
    assert scores(cure)[1] > scores("nothing")[1] + 0.03


@pytest.mark.parametrize("cure", ["L1", "L2", "label smoothing"])
def test_these_tell_it_what_it_does_not_know(cure):
    assert scores(cure)[2] < 0.7 * scores("nothing")[2]


def test_smoothed_labels_halve_the_calibration_error():
    assert scores("label smoothing")[2] < 0.5 * scores("nothing")[2]


def test_it_is_the_same_every_time():
    once = scores("L2")
    scores.cache_clear()
    assert scores("L2").tobytes() == once.tobytes()


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_frees_a_network_whose_weights_are_all_zero(seed):
    """Without it all units of a layer stay alike, and only the last bias learns."""
    images, labels = load_digits()
    x, y = images[:600] / 16, labels[:600]
    losses = {}
    for name, clip in (("plain", None), ("noisy", fg.GradientNoise(0.003))):
        layers = [fg.Dense(i, 32, "tanh", weight_init="zeros") for i in (64, 32, 32, 32)]
        model = fg.Sequential(*layers, fg.Dense(32, 10, weight_init="zeros"), rng=seed)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.05, momentum=0.9), clip, rng=seed)
        for _ in range(60):
            trainer.epoch(x, y, 32)
        losses[name] = trainer.evaluate(x, y)
    assert losses["plain"] > np.log(10) - 0.01  # what the frequencies of the classes tell
    assert losses["noisy"] < 0.5
