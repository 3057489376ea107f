"""Glorot & Bengio 2010: gradients of a tanh network, layer by layer, with two initializers.

"Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010, section
4.2: five hidden layers of tanh start from the weights that were customary, uniform with the
variance 1 / (3 n), or from the normalized ones, uniform with the variance 2 / (n_in + n_out). With
the former the back-propagated gradient shrinks from layer to layer on its way down, its variance by
n Var[W] = 1/3 in the linear regime (their eq. 6), while the gradients of the weights have about the
same size in all layers, as the signal shrinks on its way up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.plots import label_axes
from fastgrad.studies.common import (
    accuracy,
    decades,
    digits,
    draw_profiles,
    draw_trainings,
    gradients,
    log_norms,
    stack,
    track,
    train,
)
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH = 5
CASES = {
    "tanh, standard": ("tanh", fg.initializers.variance_scaling(1 / 3, "fan_in", "uniform")),
    "tanh, normalized": ("tanh", fg.initializers.xavier_uniform()),
    "sigmoid, standard": ("sigmoid", fg.initializers.variance_scaling(1 / 3, "fan_in", "uniform")),
}
PUBLISHED = {  # test errors in per cent, digits of MNIST; as recalled, not looked up
    "tanh, standard": "1.76 on MNIST, as recalled",
    "tanh, normalized": "1.64 on MNIST, as recalled",
    "sigmoid, standard": "2.21 on MNIST, as recalled",
}


def study(quick: bool = False) -> Result:
    """Measure both kinds of gradients in nets of width 300, and train one of each kind."""
    width, nets, epochs = (50, 2, 2) if quick else (300, 5, 20)
    data = digits()
    x = data.X[:256]
    profiles = {}
    rows: list[Row] = []
    runs = {}
    errors = []
    for name, (activation, init) in track(CASES.items(), "glorot"):
        found = [gradients(stack(DEPTH, width, activation, init, rng=r), x) for r in range(nets)]
        model = stack(DEPTH, width, activation, init)
        expected = predict(model, x)
        layers = [str(layer) for layer in range(DEPTH)]
        measured = np.median([[each.delta[layer] for layer in layers] for each in found], axis=0)
        predicted = np.array([expected.delta[layer] for layer in layers])
        profiles[name] = predicted, measured
        theirs = {
            "tanh, standard": f"{(DEPTH - 1) / 2 * math.log10(1 / 3):.2f} (eq. 6, linear)",
            "tanh, normalized": f"{0.0:.2f} (eq. 6, linear)",
        }.get(name)
        rows.append(
            Row(
                f"{name}: decades of dL/dh from layer 5 to 1",
                theirs,
                decades(predicted[0] / predicted[-1]),
                decades(measured[0] / measured[-1]),
            )
        )
        if activation == "tanh":
            logs = np.median([log_norms(each.weights)[1:DEPTH] for each in found], axis=0)
            theory = log_norms(expected.gradient_norms)[1:DEPTH]
            told = "about 0" if name == "tanh, standard" else None
            what = f"{name}: decades of dL/dW from layer 5 to 2"
            rows.append(Row(what, told, theory[0] - theory[-1], logs[0] - logs[-1]))
        runs[name] = train(model, data.X, data.y, epochs, optimizer=fg.SGD(0.05), batch_size=10)
        error = 100 * (1 - accuracy(model, data.X_test, data.y_test))
        errors.append(Row(f"{name}: test error, %", PUBLISHED[name], None, error))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        draw_profiles(left, profiles)
        title = f"Gradients before training, {DEPTH} hidden layers"
        label_axes(
            left, title=title, xlabel="hidden layer", ylabel="|dL/dh| over that at the outputs"
        )
        draw_trainings(right, runs, math.log(10))
        right.set_yscale("log")

    return Result(
        "Glorot & Bengio 2010: layer-wise gradients",
        [*rows, *errors],
        draw,
        note=f"{DEPTH} hidden layers of {width} (theirs: 1000), minibatches of 10, digits of 8 by "
        f"8 pixels; median of {nets} nets; {epochs} epochs of SGD at 0.05.",
    )
