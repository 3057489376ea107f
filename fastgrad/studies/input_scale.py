"""Inputs that are not normalized saturate the first layer, or blow up its gradient.

With inputs of mean square s^2 the pre-activations of a first layer with weights of variance 1 / n
are normal with deviation s, so that a share of ``erfc(2.99 / (s sqrt(2)))`` of its tanh units has
less than a hundredth of the largest slope. LeCun et al. 1998 ("Efficient BackProp", section 4.3, as
recalled): bring every input to mean 0 and one variance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.data.split import split_rows
from fastgrad.datasets import load_digits
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import Training, accuracy, track
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLAT = math.atanh(math.sqrt(0.99))  # where tanh has a hundredth of its slope
SCALES = {"0 to 1": 1 / 16, "0 to 16": 1.0, "0 to 255": 255 / 16, "0 to 16, plus 100": 1.0}


def study(quick: bool = False) -> Result:
    """Train the same network on pixels in several units, and once behind `Standardize`."""
    epochs = 2 if quick else 15
    images, y = load_digits()
    training, test = split_rows(len(images), 0.2, seed=0)
    runs, rows, ends = {}, [], []
    seen = {}
    for name in track((*SCALES, "0 to 255, standardized"), "input_scale"):
        base = name.removesuffix(", standardized")
        X = images * np.float32(SCALES[base]) + np.float32(100 if "plus" in name else 0)
        normalized = base != name
        layers = [fg.Dense(64, 64, "tanh"), fg.Dense(64, 64, "tanh"), fg.Dense(64, 10)]
        model = fg.Sequential(*([fg.Standardize(64)] if normalized else []), *layers, rng=0)
        run = fg.fit(
            model,
            X[training],
            y[training],
            loss="cross_entropy",
            optimizer=fg.SGD(0.05),
            epochs=epochs,
            batch_size=64,
            rng=0,
            progress=False,
        )
        assert run.health is not None
        found = run.health.measurements
        at = found.layers.index(str(int(normalized)))
        saturated = float(found.saturated[0, at])
        size = 1.0 if normalized else float(np.sqrt(np.square(X[training]).mean()))
        gain = float(np.sqrt(2 / (64 + 64) * 64))  # of Xavier's weights
        theory = math.erfc(FLAT / (size * gain * math.sqrt(2)))
        rows.append(Row(f"{name}: flat share of the first layer", None, theory, saturated))
        losses = run.history["loss"]
        steps = [(i + 1) * -(-len(training) // 64) for i in range(len(losses))]
        runs[name] = Training(steps, losses, None)
        seen[name] = theory, saturated
        right = accuracy(model, X[test], y[test])
        ends.append(Row(f"{name}: test accuracy", None, None, right))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        places = np.arange(len(seen))
        theory, measured = np.array([*seen.values()]).T
        left.bar(places - 0.2, theory, 0.4, color=PALETTE[5], label="predicted")
        left.bar(places + 0.2, measured, 0.4, color=PALETTE[0], label="measured")
        left.set_xticks(places, [name.replace(", ", ",\n") for name in seen], fontsize=8)
        title = "First layer before training"
        label_axes(left, title=title, xlabel="pixels", ylabel="share of flat outputs")
        left.legend(frameon=False)
        for color, marker, (name, run) in zip(PALETTE, "osD^v", runs.items(), strict=False):
            right.plot(run.steps, run.losses, marker + "-", color=color, markersize=4, label=name)
        right.axhline(math.log(10), color="grey", linestyle=":", label="guessing")
        label_axes(right, title="Training", xlabel="step", ylabel="loss")
        right.legend(frameon=False)

    return Result(
        "Inputs that are not normalized",
        [*rows, *ends],
        draw,
        note=f"64-64-64-10 with tanh, {epochs} epochs of SGD at 0.05. The prediction takes inputs "
        "for independent; many pixels are always 0, and the others of a size.",
    )
