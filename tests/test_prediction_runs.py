"""Predicted gradients beside those of the first step of runs on data."""

import math

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.datasets import load_digits
from fastgrad.health.report.kinds import compared

NETS = 8
Dense = fg.Dense


def standardized(X):
    deviation = X.std(axis=0)
    return ((X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def data():
    X, y = load_digits()
    return standardized(X), y


KINDS = {
    "tanh": lambda: [Dense(64, 64, "tanh") for _ in range(4)],
    "relu": lambda: [Dense(64, 64, "relu") for _ in range(2)],
    "batch norm": lambda: [
        layer
        for _ in range(3)
        for layer in (Dense(64, 64), fg.BatchNorm(64), fg.Activation("relu"))
    ],
    "layer norm": lambda: [
        layer
        for _ in range(3)
        for layer in (Dense(64, 64), fg.LayerNorm(64), fg.Activation("tanh"))
    ],
    "residual": lambda: [fg.Residual(Dense(64, 64, "relu"), Dense(64, 64)) for _ in range(3)],
}


def one_step(make, data, seed, **how):
    X, y = data
    model = fg.Sequential(*make(), Dense(64, 10), rng=seed)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.01), health=True, rng=seed, **how)
    trainer.epoch(X[:640], y[:640], batch_size=64)
    return trainer.health


@pytest.mark.parametrize("kind", KINDS)
def test_healthy_networks_are_as_predicted(kind, data):
    z = []
    for seed in range(NETS):
        health = one_step(KINDS[kind], data, seed)
        z += [each.z for each in compared(health.measurements, health.prediction)]
    # the tensors of a network go together: fewer than all those of one of them
    assert np.mean(np.abs(z) > 3) < 1 / NETS
    assert abs(np.mean(z)) < 1


def test_sorted_data_are_compared_with_what_is_typical_of_them(data):
    X, y = data
    order = np.argsort(y[:640], kind="stable")
    health = one_step(KINDS["tanh"], (X[order], y[order]), 0)
    z = [each.z for each in compared(health.measurements, health.prediction)]
    assert np.abs(z).max() < 4


def test_a_network_that_is_not_as_predicted_is_far_off(data):
    health = one_step(KINDS["tanh"], data, 0)
    health.measurements.gradient_norms[0, 0] *= 10
    beside = compared(health.measurements, health.prediction)
    assert beside[0].z > 3


def test_the_table_of_a_run_has_them(data):
    health = one_step(KINDS["tanh"], data, 0)
    text = health.table(width=100)
    assert health.prediction.sentence.split(":")[0] in text
    assert text.count("0.weight") == 2
    assert health.prediction is health.prediction
    assert all(note in " ".join(text.split()) for note in health.prediction.notes)
    # minibatches that make one step together are not each other's
    several = one_step(KINDS["tanh"], data, 0, accumulate=2)
    assert several.table(width=100).count("0.weight") == 1


def test_rows_of_one_class_add_up(data):
    X, y = data
    model = fg.Sequential(*KINDS["tanh"](), Dense(64, 10), rng=0)
    with_targets = fg.health.predict(model, X[:64], y=y[:64], loss="cross_entropy")
    without = fg.health.predict(model, X[:64], loss="cross_entropy")
    for name, norm in with_targets.gradient_norms.items():
        if name.endswith("weight"):
            assert norm > 1.2 * without.gradient_norms[name]


@pytest.mark.parametrize(
    ("optimizer", "limit"), [(fg.SGD(0.1), 0.15), (fg.Adam(1e-3), 0.05), (fg.RMSprop(1e-3), 0.15)]
)
@pytest.mark.parametrize("kind", ["tanh", "relu", "batch norm"])
def test_first_update_ratios(kind, optimizer, limit, data):
    X, y = data
    off = []
    for seed in range(3):
        model = fg.Sequential(*KINDS[kind](), Dense(64, 10), rng=seed)
        told = fg.health.predict(
            model, X[:64], y=y[:64], loss="cross_entropy", optimizer=optimizer
        ).update_ratios
        before = {name: values.copy() for name, values in model.params.items()}
        fg.Trainer(model, "cross_entropy", optimizer).step(X[:64], y[:64])
        for name, values in before.items():
            change = np.linalg.norm(model.params[name] - values)
            norm = np.linalg.norm(values)
            if norm and told[name] > 0:
                off.append(math.log10(change / norm / told[name]))
    assert np.median(np.abs(off)) <= limit
    assert np.max(np.abs(off)) <= 0.3


def test_what_a_prediction_assumed_is_in_the_reports(data, tmp_path):
    health = one_step(lambda: [Dense(64, 64, "gelu") for _ in range(30)], data, 0)
    note = next(each for each in health.prediction.notes if "small differences" in each)
    assert note in " ".join(health.table(width=100).split())
    health.to_html(tmp_path / "page.html")
    assert note in (tmp_path / "page.html").read_text()


def test_the_figure_of_recurrent_layers_shows_predictions():
    from matplotlib import pyplot

    from fastgrad.health.report.curves import prediction_axes

    rng = np.random.default_rng(0)
    model = fg.Sequential(fg.LSTM(3, 8, num_layers=2), Dense(8, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), health=True, rng=0)
    trainer.epoch(rng.standard_normal((64, 10, 3)), np.arange(64) % 2, batch_size=32)
    axes = pyplot.figure().add_subplot()
    prediction_axes(trainer.health.measurements, trainer.health.prediction, axes)
    shown = {line.get_label(): line for line in axes.get_lines()}
    for kind in ("weight", "bias"):
        predicted, measured = shown[f"{kind}, predicted"], shown[f"{kind}, measured"]
        assert predicted.get_marker() == "_"  # which a single point has, too
        assert np.isfinite(predicted.get_ydata()).sum() == 5
        assert list(predicted.get_xdata()) == list(measured.get_xdata())
    assert len(axes.get_legend().get_texts()) == 4
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["0 ih_l0", "0 hh_l0", "0 ih_l1", "0 hh_l1", "1"]
    pyplot.close(axes.figure)
