"""L2 that is too strong: weights shrink to nothing, at a strength that can be computed.

For a network of two linear layers the penalty ``strength (|W1|^2 + |W2|^2)`` is
``2 strength |M|_*`` of their product M, the sum of its singular values (Srebro, Rennie & Jaakkola
2005). Where inputs are white the trained product has the singular values of the least-squares
solution, each less ``strength K`` for K outputs, but at least 0: the network learns fewer and fewer
directions, and above ``s_1 / K`` nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, digits, stack, track, train
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEATURES = 20
SHARES = (0.0, 0.1, 0.3, 0.6, 0.9, 1.2)  # of the strength at which nothing is left
STRENGTHS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3)


def study(quick: bool = False) -> Result:
    """Train two linear layers at several strengths, and then a network with ReLU."""
    steps, epochs = (200, 2) if quick else (2000, 15)
    data = digits()
    X, targets = _white(data.X), np.eye(10)[data.y]
    solution = np.linalg.svd(targets.T @ X / len(X), compute_uv=False)
    critical = float(solution[0]) / 10
    rows, found = [], {}
    for share in track(SHARES, "l2"):
        strength = share * critical
        expected = np.maximum(solution - 10 * strength, 0)
        found[share] = expected, _trained(X, targets, strength, steps)
        what = f"strength {share:g} of the critical: largest singular value"
        rows.append(Row(what, None, float(expected[0]), float(found[share][1][0])))
        what = f"strength {share:g} of the critical: directions learned"
        kept = int((found[share][1] > 0.01 * solution[0]).sum())
        rows.append(Row(what, None, f"{(expected > 0.01 * solution[0]).sum()}", f"{kept}"))
    accuracies = []
    for strength in track(STRENGTHS, "l2"):
        model = stack(2, 64, "relu")
        penalty = fg.L2(strength) if strength else None
        train(model, data.X, data.y, epochs, optimizer=fg.Adam(2e-3), regularizers=penalty)
        accuracies.append(accuracy(model, data.X_test, data.y_test))
        what = f"64-64-64-10 ReLU, strength {strength:g}: test accuracy"
        rows.append(Row(what, None, None, accuracies[-1]))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, marker, (share, (theory, measured)) in zip(
            PALETTE, "osD^vP", found.items(), strict=False
        ):
            at = np.arange(1, 11)
            left.plot(at, theory, color=color)
            left.plot(at, measured, marker, color=color, label=f"{share:g} of the critical")
        title = "Two linear layers (lines: predicted)"
        label_axes(left, title=title, xlabel="direction", ylabel="singular value of the product")
        left.legend(frameon=False, title="strength")
        right.plot(range(len(STRENGTHS)), accuracies, "o-", color=PALETTE[0], label="test accuracy")
        right.axhline(0.1, color="grey", linestyle=":", label="guessing")
        right.set_xticks(range(len(STRENGTHS)), [f"{s:g}" for s in STRENGTHS])
        right.set_ylim(0, 1)
        label_axes(right, title="64-64-64-10 ReLU", xlabel="strength", ylabel="test accuracy")
        right.legend(frameon=False)

    return Result(
        "L2 that is too strong",
        rows,
        draw,
        note=f"digits, whitened to {FEATURES} features for the linear layers, which Adam trains "
        f"for {steps} steps on all rows; critical strength {critical:.3g}; a direction counts as "
        "learned from 1 % of the largest one without penalty.",
    )


def _white(X: np.ndarray) -> np.ndarray:
    """The rows' first principal components, each with mean square 1."""
    left, _, _ = np.linalg.svd(X.astype(np.float64), full_matrices=False)
    white: np.ndarray = left[:, :FEATURES] * math.sqrt(len(X))
    return white


def _trained(X: np.ndarray, targets: np.ndarray, strength: float, steps: int) -> np.ndarray:
    """Singular values of the product after training."""
    init = fg.initializers.lecun_normal()
    layers = [
        fg.Dense(FEATURES, 16, weight_init=init, bias=False),
        fg.Dense(16, 10, weight_init=init, bias=False),
    ]
    model = fg.Sequential(*layers, rng=0, dtype="float64")
    trainer = fg.Trainer(
        model,
        "mse",
        fg.Adam(0.02),
        regularizers=fg.L2(strength) if strength else None,
        schedule=fg.schedules.Cosine(end=0.001),
        total_steps=steps,
        rng=0,
    )
    for _ in range(steps):
        trainer.step(X, targets)
    product = model.params["1.weight"] @ model.params["0.weight"]
    values: np.ndarray = np.linalg.svd(product, compute_uv=False)
    return values
