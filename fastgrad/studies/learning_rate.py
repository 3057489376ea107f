"""Learning rates: too small crawls, too large oscillates, and above 2 / lambda_max diverges.

Along an eigenvector of the Hessian with eigenvalue lambda a step of gradient descent multiplies the
distance to the minimum by ``1 - rate lambda``: it oscillates above 1 / lambda_max and diverges
above 2 / lambda_max (LeCun, Bottou, Orr & Muller 1998, "Efficient BackProp", section 5, as
recalled). For linear regression the Hessian is that of the inputs, known before training. A network
with a hidden layer has the same three regimes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import digits, stack, track, train
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FACTORS = (0.02, 0.5, 1.0, 1.8, 2.2)  # times 1 / lambda_max
RATES = (1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


def study(quick: bool = False) -> Result:
    """Descend a quadratic bowl at five rates, bisect for the largest, and sweep a network."""
    steps, epochs = (20, 1) if quick else (60, 10)
    data = digits()
    X, targets = data.X.astype(np.float64), np.eye(10)[data.y]
    hessian = 2 * X.T @ X / targets.size  # of the mean over all outputs, each with its own weights
    values, vectors = np.linalg.eigh(hessian)
    largest, steepest = float(values[-1]), vectors[:, -1]
    best = np.linalg.lstsq(X, targets, rcond=None)[0].T @ steepest
    curves, rows = {}, []
    for factor in track(FACTORS, "learning_rate"):
        losses, along = _descend(X, targets, factor / largest, steps, steepest)
        distance = np.linalg.norm(along - best, axis=1)
        signs = np.sign(np.sum((along[1:] - best) * (along[:-1] - best), axis=1))
        start = along[0] - best
        curves[factor] = (along - best) @ start / (start @ start)
        measured = signs[0] * distance[1] / distance[0]
        what = f"rate {factor:g} / lambda_max: factor a step"
        rows.append(Row(what, None, 1 - factor, float(measured)))
        ending = "diverges" if losses[-1] > losses[0] else "converges"
        swings = "oscillates" if signs[0] < 0 and distance[1] > 1e-6 * distance[0] else "straight"
        told = "diverges" if factor > 2 else "converges"
        theory = f"{told}, {'oscillates' if factor > 1 else 'straight'}"
        what = f"rate {factor:g} / lambda_max: what becomes of it"
        rows.append(Row(what, None, theory, f"{ending}, {swings}"))
    low, high = 0.5 / largest, 8.0 / largest
    for _ in range(4 if quick else 12):
        middle = math.sqrt(low * high)
        _, along = _descend(X, targets, middle, 150, steepest)
        apart = np.linalg.norm(along - best, axis=1)
        low, high = (low, middle) if apart[-1] > apart[0] else (middle, high)
    what = "largest rate that converges, times lambda_max"
    rows.append(Row(what, "2 (as recalled)", 2.0, low * largest))
    ends = []
    for rate in track(RATES, "learning_rate"):
        run = train(
            stack(1, 64, "relu"), data.X, data.y, epochs, optimizer=fg.SGD(rate), batch_size=64
        )
        ends.append(run.losses[-1])
        known = run.losses[-1] if run.failed is None else f"not finite at step {run.failed}"
        rows.append(Row(f"64-64-10 ReLU, rate {rate:g}: loss in the end", None, None, known))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, marker, (factor, left_over) in zip(
            PALETTE, "osD^v", curves.items(), strict=False
        ):
            label = f"{factor:g} / lambda_max"
            left.plot(left_over[:9], marker + "-", color=color, markersize=4, label=label)
        left.set_ylim(-3, 3)
        title = "Linear regression on digits, all rows at once"
        label_axes(left, title=title, xlabel="step", ylabel="distance in the steepest direction")
        left.legend(loc="lower left", fontsize=9)
        shown = np.nan_to_num(np.array(ends), nan=1e3)
        right.plot(RATES, np.minimum(shown, 1e3), "o-", color=PALETTE[0])
        right.axhline(math.log(10), color="grey", linestyle=":", label="guessing")
        right.set(xscale="log", yscale="log")
        title = f"64-64-10 ReLU, {epochs} epochs (1000: not finite)"
        label_axes(right, title=title, xlabel="learning rate", ylabel="loss in the end")
        right.legend(frameon=False)

    return Result(
        "Learning rates: too small and too large",
        rows,
        draw,
        note=f"lambda_max = {largest:.3g} of the Hessian of the mean squared error on digits; SGD "
        "without momentum, float64; the network: minibatches of 64, float32.",
    )


def _descend(
    X: np.ndarray, targets: np.ndarray, rate: float, steps: int, along: np.ndarray
) -> tuple[list[float], np.ndarray]:
    """Losses, and the weights' component along a direction of inputs, (steps + 1, outputs)."""
    init = fg.initializers.normal(0.1)
    dense = fg.Dense(X.shape[1], targets.shape[1], weight_init=init, bias=False)
    model = fg.Sequential(dense, rng=0, dtype="float64")
    trainer = fg.Trainer(model, "mse", fg.SGD(rate))
    losses, seen = [], [model.params["0.weight"] @ along]
    for _ in range(steps):
        losses.append(trainer.step(X, targets))
        seen.append(model.params["0.weight"] @ along)
    return losses, np.array(seen)
