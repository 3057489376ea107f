"""Ioffe & Szegedy 2015: three layers of 100 sigmoids, with and without batch normalization.

"Batch normalization", ICML 2015, section 4.1: minibatches of 60, weights from a small Gaussian.
With normalization the network learns faster and gets further, and what the last hidden sigmoid is
given has a stable distribution: they draw its 15th, 50th and 85th percentile over the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, decades, digits, gradients, median, outputs, track
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, SMALL, PERCENTILES = 100, 0.05, (15, 50, 85)


def network(normalized: bool, rng: int) -> fg.Sequential:
    """Three hidden layers; normalization comes before the sigmoid, as there."""
    layers: list[fg.Layer] = []
    small = fg.initializers.normal(SMALL)
    for inputs in (64, WIDTH, WIDTH):
        layers.append(fg.Dense(inputs, WIDTH, weight_init=small, bias=not normalized))
        layers += [fg.BatchNorm(WIDTH)] if normalized else []
        layers.append(fg.Activation("sigmoid"))
    return fg.Sequential(*layers, fg.Dense(WIDTH, 10, weight_init=small), rng=rng)


def study(quick: bool = False) -> Result:
    """Measure the first layer's gradient, then train both, looking after every few steps."""
    nets, epochs = (2, 3) if quick else (20, 120)
    data = digits()
    x = data.X[:240]
    rows, ends = [], []
    curves = {}
    for name in track(("without", "with BatchNorm"), "batchnorm"):
        normalized = name != "without"
        found = [gradients(network(normalized, r), x).weights["0.weight"] for r in range(nets)]
        model = network(normalized, 0)
        expected = predict(model, x).gradient_norms["0.weight"]
        what = f"{name}: log10 of the first layer's gradient"
        rows.append(Row(what, None, decades(expected), median(map(decades, found))))
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0)
        seen = []
        for _ in range(epochs):
            trainer.epoch(data.X, data.y, 60)
            correct = accuracy(model, data.X_test, data.y_test)
            seen.append((trainer.steps, correct, *np.percentile(_given(model, x), PERCENTILES)))
        curves[name] = np.array(seen)
        told = "higher" if normalized else "lower"
        ends.append(Row(f"{name}: test accuracy", told, None, float(curves[name][-1, 1])))
        early = float(curves[name][epochs // 10, 1])
        what = f"{name}: test accuracy after {curves[name][epochs // 10, 0]:.0f} steps"
        ends.append(Row(what, told, None, early))
        width = curves[name][:, 4] - curves[name][:, 2]
        told = "stable" if normalized else "not stable"
        what = f"{name}: 15 % to 85 %, widest over narrowest of all steps"
        ends.append(Row(what, told, None, float(width.max() / width.min())))

    def draw(figure: Figure) -> None:
        left, *others = figure.subplots(1, 3)
        for color, (name, seen) in zip(PALETTE, curves.items(), strict=False):
            left.plot(seen[:, 0], seen[:, 1], color=color, linewidth=1.8, label=name)
        label_axes(left, title="Digits", xlabel="step", ylabel="test accuracy")
        left.legend(frameon=False)
        for axes, color, (name, seen) in zip(others, PALETTE, curves.items(), strict=False):
            for i, percentile in enumerate(PERCENTILES):
                style = ("--", "-", ":")[i]
                told = f"{percentile} %"
                axes.plot(seen[:, 0], seen[:, 2 + i], style, color=color, label=told)
            title = f"What the last sigmoid is given, {name}"
            label_axes(axes, title=title, xlabel="step", ylabel="a unit's percentiles")
            axes.legend(frameon=False)

    return Result(
        "Ioffe & Szegedy 2015: three layers of 100 sigmoids",
        [*rows, *ends],
        draw,
        size=(16.0, 4.5),
        note=f"weights normal with deviation {SMALL}; minibatches of 60, {epochs} epochs of SGD at "
        f"0.1 on digits (theirs: 50,000 steps on MNIST); medians of {nets} nets before training.",
    )


def _given(model: fg.Sequential, x: np.ndarray) -> np.ndarray:
    """What a unit of the last hidden layer is given, row by row."""
    return outputs(model, x)[str(len(model.layers) - 3)][:, 0]
