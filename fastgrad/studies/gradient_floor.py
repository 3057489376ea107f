"""A floor for the gradient of each layer: early layers move where it vanishes, at a price.

`fastgrad.GradFloor` makes the gradient of each layer at least so long. In a deep stack of sigmoids
it lets early layers learn; near a minimum, where gradients are small because all is well, it goes
on with steps of the same size, and the loss cannot settle. A remedy to compare others with: weights
for the activation, normalization, ways around layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import (
    Training,
    accuracy,
    decades,
    digits,
    draw_trainings,
    gradients,
    stack,
    track,
    train,
)
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, WIDTH, RATE, FLOOR = 6, 64, 0.1, 0.3


def study(quick: bool = False) -> Result:
    """Train deep sigmoids with and without a floor, and a linear one near its minimum."""
    epochs = 3 if quick else 60
    data = digits()
    x = data.X[:256]
    deep = stack(DEPTH, WIDTH, "sigmoid", "xavier_normal")
    expected = predict(deep, x).gradient_norms["0.weight"]
    measured = gradients(deep, x).weights["0.weight"]
    rows = [Row("log10 of the first layer's gradient", None, decades(expected), decades(measured))]
    runs: dict[str, Training] = {}
    for name, clip in track({"no floor": None, "floor": fg.GradFloor(FLOOR)}.items(), "floor"):
        model = stack(DEPTH, WIDTH, "sigmoid", "xavier_normal")
        runs[name] = train(model, data.X, data.y, epochs, optimizer=fg.SGD(RATE), clip=clip)
        right = accuracy(model, data.X_test, data.y_test)
        rows.append(
            Row(
                f"{DEPTH} sigmoid layers, {name}: loss in the end",
                None,
                None,
                runs[name].losses[-1],
            )
        )
        rows.append(Row(f"{DEPTH} sigmoid layers, {name}: test accuracy", None, None, right))
    late: dict[str, Training] = {}
    targets = np.eye(10)[data.y]
    for name, clip in track({"no floor": None, "floor": fg.GradFloor(FLOOR)}.items(), "floor"):
        model = fg.Sequential(fg.Dense(64, 10), rng=0)
        late[name] = train(
            model, data.X, targets, epochs, optimizer=fg.SGD(0.8), clip=clip, loss="mse"
        )
        what = f"linear regression, {name}: loss in the end"
        rows.append(Row(what, None, None, late[name].losses[-1]))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        draw_trainings(left, runs, math.log(10))
        left.set_title(f"{DEPTH} layers of sigmoid")
        for color, marker, (name, run) in zip(PALETTE, "os", late.items(), strict=False):
            right.plot(run.steps, run.losses, marker + "-", color=color, markersize=3, label=name)
        right.set_yscale("log")
        title = "Linear regression on digits: the price"
        label_axes(right, title=title, xlabel="step", ylabel="mean loss of the epoch")
        right.legend(frameon=False)

    return Result(
        "A floor for gradients",
        rows,
        draw,
        note=f"hidden layers of {WIDTH}, {epochs} epochs of SGD at {RATE:g} (regression: 0.8), "
        f"floor {FLOOR:g} for each layer. Guessing has the loss {math.log(10):.2f}.",
    )
