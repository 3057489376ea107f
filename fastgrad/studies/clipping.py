"""Pascanu, Mikolov & Bengio 2013: temporal order is learned where the gradient's norm is clipped.

"On the difficulty of training recurrent neural networks", ICML 2013, figure 7: an RNN of 50 tanh
units, gradient descent at 0.01 on minibatches of 20, success where less than 1 % of new sequences
is wrong; with the norm clipped at 1 more runs succeed than without. A step along a gradient that
has exploded undoes what many small ones had found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, track
from fastgrad.studies.result import Result, Row
from fastgrad.studies.tasks import temporal_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH, SOLVED = 20, 0.01
CLIPS: dict[str, fg.ClipNorm | fg.ClipValue | None] = {
    "no clipping": None,
    "norm at most 1": fg.ClipNorm(1.0),
    "values at most 0.1": fg.ClipValue(0.1),
}
PUBLISHED = {"no clipping": "fewer", "norm at most 1": "more"}


def study(quick: bool = False) -> Result:
    """Train with each clip from several seeds, and look at the norms on the way."""
    seeds, steps, updates = (1, 20, 200) if quick else (3, 50, 8000)
    curves: dict[str, list[list[tuple[int, float]]]] = {name: [] for name in CLIPS}
    norms: dict[str, np.ndarray] = {}
    rows = []
    for name, seed in track([(name, seed) for name in CLIPS for seed in range(seeds)], "clipping"):
        curve, norms[name] = _train(CLIPS[name], seed, steps, updates)
        curves[name].append(curve)
    for name, found in curves.items():
        solved = sum(curve[-1][1] < SOLVED for curve in found)
        told = PUBLISHED.get(name)
        rows.append(Row(f"{name}: runs that succeed, of {seeds}", told, None, float(solved)))
        wrong = ", ".join(f"{curve[-1][1]:.1%}" for curve in found)
        rows.append(Row(f"{name}: wrong in the end", None, None, wrong))
        rows.append(Row(f"{name}: largest norm of a gradient", None, None, norms[name].max()))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, (name, found) in zip(PALETTE, curves.items(), strict=False):
            for i, curve in enumerate(found):
                label = name if i == 0 else None
                left.plot(*zip(*curve, strict=True), color=color, alpha=0.8, label=label)
            at = 10 * np.arange(len(norms[name]))
            right.plot(at, norms[name], color=color, linewidth=0.8, alpha=0.8, label=name)
        right.set_yscale("log")
        title = f"Temporal order, {steps} steps"
        label_axes(left, title=title, xlabel="updates", ylabel="wrong of 1000 new sequences")
        title = "Gradient norms of one run, before clipping"
        label_axes(right, title=title, xlabel="update", ylabel="norm")
        for axes in (left, right):
            axes.legend(frameon=False)

    return Result(
        "Pascanu et al. 2013: clipping on temporal order",
        rows,
        draw,
        note=f"sequences of {steps} steps, {updates} updates (theirs: up to 5 million, 50 to 250 "
        "steps), orthogonal recurrent weights, weights of inputs normal with deviation 0.02.",
    )


def _train(
    clip: fg.ClipNorm | fg.ClipValue | None, seed: int, steps: int, updates: int
) -> tuple[list[tuple[int, float]], np.ndarray]:
    """Updates and fractions wrong until few are, and norms of every tenth gradient."""
    small = fg.initializers.normal(0.02)
    layers = fg.RNN(6, 50, one_hot=True, weight_init=small), fg.Dense(50, 4)
    model = fg.Sequential(*layers, rng=seed)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.01), clip=clip, health=True, rng=seed)
    drawn, seen = (np.random.default_rng([seed, use]) for use in (0, 1))
    test = temporal_order(seen, 1000, steps)
    curve = [(0, 1 - accuracy(model, *test))]
    norms = []
    at_once = updates // 20
    for _ in range(20):
        trainer.epoch(*temporal_order(drawn, at_once * BATCH, steps), BATCH, shuffle=False)
        curve.append((trainer.steps, 1 - accuracy(model, *test)))
        assert trainer.health is not None
        norms.append(trainer.health.measurements.total_gradient_norm[-at_once::10])
        if curve[-1][1] < SOLVED / 2:
            break
    return curve, np.concatenate(norms)
