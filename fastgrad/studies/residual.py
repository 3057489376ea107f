"""Residual networks of 200 layers against plain ones: He et al. 2016, Bachlechner et al. 2020.

``x + scale f(x)`` hands the gradient on whatever f does, here two layers with He's weights. With a
scale of 1 the gradient's square doubles from block to block; a scale of 1 / sqrt(blocks) bounds it
by e, and one that is learned from 0 ("ReZero is all you need", arXiv:2003.04887) starts with every
block as the identity. A plain network with He's weights keeps the gradient's size, too, but maps
all inputs to nearly the same outputs at this depth (Schoenholz et al. 2017), and its size varies
from draw to draw (Hanin & Rolnick 2018).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import (
    accuracy,
    decades,
    digits,
    draw_trainings,
    gradients,
    median,
    track,
    train,
)
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 32
PUBLISHED = {
    "plain, He": "degrades with depth (He et al. 2016)",
    "residual, scale 1": None,
    "residual, scale 1/sqrt(blocks)": None,
    "ReZero": "trains, thousands of layers (abstract)",
}


def network(name: str, depth: int, rng: int, dtype: str = "float32") -> fg.Sequential:
    """So many hidden layers of width 32, two a block, behind one that brings inputs to that."""
    options: dict[str, Any] = {
        "residual, scale 1": {"scale": 1.0},
        "residual, scale 1/sqrt(blocks)": {"scale": (depth // 2) ** -0.5},
        "ReZero": {"scale": 0.0, "learn_scale": True},
    }.get(name, {})
    layers: list[fg.Layer] = [fg.Dense(64, WIDTH, weight_init="lecun_normal")]
    for _ in range(depth // 2):
        last = None if options else "relu"
        pair = [fg.Dense(WIDTH, WIDTH, a, weight_init="he_normal") for a in ("relu", last)]
        layers += [fg.Residual(*pair, **options)] if options else pair
    return fg.Sequential(
        *layers, fg.Dense(WIDTH, 10, weight_init="lecun_normal"), rng=rng, dtype=dtype
    )


def study(quick: bool = False) -> Result:
    """Measure gradients on their way through all blocks, and train one net of each kind."""
    depth, nets, epochs = (30, 2, 2) if quick else (200, 10, 12)
    data = digits()
    x = data.X[:128]
    profiles, runs, rows, ends = {}, {}, [], []
    for name in track(PUBLISHED, "residual"):
        deltas = [gradients(network(name, depth, r, "float64"), x).delta for r in range(nets)]
        expected = predict(network(name, depth, 0), x).delta
        step = 2 if name == "plain, He" else 1
        layers = [str(step * i) for i in range(depth // 2 + 1)]
        profiles[name] = (
            [expected[i] for i in layers],
            [median(delta[i] for delta in deltas) for i in layers],
        )
        gains = [decades(values[0] / values[-1]) for values in profiles[name]]
        rows.append(Row(f"{name}: decades of dL/dh over all blocks", None, *gains))
        model = network(name, depth, 0)
        runs[name] = train(model, data.X, data.y, epochs, optimizer=fg.Adam(1e-3))
        told = runs[name].failed
        correct = accuracy(model, data.X_test, data.y_test)
        measured = correct if told is None else f"not finite at step {told}"
        ends.append(Row(f"{name}: test accuracy", PUBLISHED[name], None, measured))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, marker, (name, (predicted, measured)) in zip(
            PALETTE, "osD^", profiles.items(), strict=False
        ):
            left.plot(predicted, color=color, linewidth=1.6)
            every = max(1, depth // 40)
            at = range(0, depth // 2 + 1, every)
            left.plot(at, measured[::every], marker, color=color, markersize=5, label=name)
        left.set_yscale("log")
        title = "Gradients before training (lines: predicted)"
        label_axes(
            left,
            title=title,
            xlabel="block of two layers",
            ylabel="|dL/dh| over that at the outputs",
        )
        left.legend(frameon=False)
        draw_trainings(right, runs, math.log(10))
        right.set_ylim(0, 5)

    return Result(
        f"Residual networks of {depth} layers against plain ones",
        [*rows, *ends],
        draw,
        note=f"{depth} hidden layers of {WIDTH}, two a block; medians of {nets} nets; "
        f"{epochs} epochs of Adam at 0.001, minibatches of 64. Gradients are those of float64: "
        "float32 cannot hold what explodes by more than 38 decades in all.",
    )
