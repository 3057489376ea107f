"""Klambauer et al. 2017: 32 layers of SELU keep mean 0 and variance 1, and train.

"Self-normalizing neural networks", NeurIPS 2017: with LeCun's weights the scaled exponential linear
unit has an attracting fixed point at mean 0 and variance 1 of the activations. Its slope has a mean
square of 1.0716 there, by which the gradient grows a little on its way down.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.initializers import MeanField
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import (
    accuracy,
    decades,
    digits,
    draw_trainings,
    gradients,
    median,
    outputs,
    stack,
    track,
    train,
)
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH = 32
CASES = {
    "selu, LeCun": ("selu", "lecun_normal"),
    "relu, Xavier": ("relu", "xavier_normal"),
    "tanh, Xavier": ("tanh", "xavier_normal"),
    "sigmoid, Xavier": ("sigmoid", "xavier_normal"),
}


def study(quick: bool = False) -> Result:
    """Measure means and variances layer by layer, gradients at both ends, and train each kind."""
    width, nets, epochs = (64, 2, 2) if quick else (128, 10, 10)
    data = digits()
    x = data.X[:256]
    field = MeanField("selu")
    scales, runs, rows, ends = {}, {}, [], []
    for name, (activation, init) in track(CASES.items(), "selu"):
        made = [stack(DEPTH, width, activation, init, rng=r) for r in range(nets)]
        seen = [[*outputs(model, x).values()][:DEPTH] for model in made]
        scales[name] = np.median([[(h.mean(), h.var()) for h in net] for net in seen], axis=0)
        if activation == "selu":
            rows += [
                Row("selu: mean in the last layer", "0", field.mean(), scales[name][-1, 0]),
                Row("selu: variance there", "1", field.second_moment(), scales[name][-1, 1]),
            ]
        deltas = [gradients(model, x).delta for model in made]
        first, last = "0", str(DEPTH - 1)
        measured = median(decades(delta[first] / delta[last]) for delta in deltas)
        expected = predict(made[0], x).delta
        what = f"{name}: decades of dL/dh from layer {DEPTH} to 1"
        rows.append(Row(what, None, decades(expected[first] / expected[last]), measured))
        runs[name] = train(made[0], data.X, data.y, epochs, optimizer=fg.SGD(0.01))
        told = "trains" if activation == "selu" else None
        correct = accuracy(made[0], data.X_test, data.y_test)
        ends.append(Row(f"{name}: test accuracy", told, None, correct))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, marker, (name, found) in zip(PALETTE, "osD^", scales.items(), strict=False):
            layers = range(1, DEPTH + 1)
            left.plot(layers, found[:, 1], color=color, marker=marker, markersize=4, label=name)
        left.axhline(1.0, color="grey", linestyle=":")
        left.set_yscale("log")
        title = "Variance of activations before training"
        label_axes(left, title=title, xlabel="layer", ylabel="variance")
        left.legend(frameon=False)
        draw_trainings(right, runs, math.log(10))

    return Result(
        f"Klambauer et al. 2017: {DEPTH} layers of SELU",
        [*rows, *ends],
        draw,
        note=f"{DEPTH} hidden layers of {width}; medians of {nets} nets; {epochs} epochs of SGD at "
        "0.01. Mean field takes the gradient of selu to grow by half of "
        f"{DEPTH - 1} log10 {field.slope_moment():.4f} = "
        f"{(DEPTH - 1) / 2 * math.log10(field.slope_moment()):.2f} decades.",
    )
