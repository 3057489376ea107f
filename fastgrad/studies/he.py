"""He et al. 2015: with Xavier's weights 30 layers of ReLU stall, with their own they train.

"Delving deep into rectifiers", ICCV 2015, section 2.2: a ReLU halves the signal's power, so that
weights of variance 1 / n lose a factor of sqrt(1/2) a layer in the gradient's norm, and those of
variance 2 / n none. Their 30-layer network is convolutional; here it is 30 dense layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
    median,
    stack,
    track,
    train,
)
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH = 30
INITS = {"Xavier": fg.initializers.lecun_normal(), "He": fg.initializers.he_normal()}
LOST = {"Xavier": 0.5, "He": 1.0}  # of the gradient's square, a layer
PUBLISHED = {"Xavier": "stalls", "He": "converges"}


def study(quick: bool = False) -> Result:
    """Measure the first layer's gradient in several nets, and train one of each kind."""
    width, nets, epochs = (64, 2, 2) if quick else (128, 10, 20)
    data = digits()
    x = data.X[:256]
    profiles, runs, rows, ends = {}, {}, [], []
    for name, init in track(INITS.items(), "he"):
        deltas = [gradients(stack(DEPTH, width, "relu", init, rng=r), x).delta for r in range(nets)]
        model = stack(DEPTH, width, "relu", init)
        expected = predict(model, x).delta
        layers = [str(layer) for layer in range(DEPTH)]
        predicted = [expected[layer] for layer in layers]
        measured = [median(delta[layer] for delta in deltas) for layer in layers]
        profiles[name] = predicted, measured
        told = f"{(DEPTH - 1) / 2 * math.log10(LOST[name]):.2f} (section 2.2)"
        gains = [decades(values[0] / values[-1]) for values in profiles[name]]
        rows.append(Row(f"{name}: decades of dL/dh from layer {DEPTH} to 1", told, *gains))
        runs[name] = train(model, data.X, data.y, epochs, optimizer=fg.SGD(0.002, momentum=0.9))
        ends.append(Row(f"{name}: loss in the end", PUBLISHED[name], None, runs[name].losses[-1]))
        correct = accuracy(model, data.X_test, data.y_test)
        ends.append(Row(f"{name}: test accuracy", None, None, correct))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        draw_profiles(left, profiles)
        told = "|dL/dh| over that at the outputs"
        label_axes(left, title="Gradients before training", xlabel="layer", ylabel=told)
        draw_trainings(right, runs, math.log(10))

    return Result(
        f"He et al. 2015: {DEPTH} layers of ReLU",
        [*rows, *ends],
        draw,
        note=f"{DEPTH} hidden layers of {width}; gradients relative to that at the outputs, median "
        f"of {nets} nets; {epochs} epochs of SGD at 0.002 with "
        f"momentum 0.9. Xavier's variance between layers of one "
        f"width is 1 / n. Guessing has the loss {math.log(10):.2f}.",
    )
