"""Saxe, McClelland & Ganguli 2013: deep linear networks, orthogonal against Gaussian weights.

"Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
arXiv:1312.6120: with orthogonal weights the time that learning takes does not depend on the depth,
with scaled Gaussian ones it grows. Both keep the gradient's size in the mean; but the singular
values of a product of L Gaussian matrices spread, the variance of their squares being L
(Pennington, Schoenholz & Ganguli 2017, arXiv:1711.04735, as recalled), and those of orthogonal ones
stay 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import digits, stack, track
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, BATCH, LEVEL = 64, 200, 0.05
RATES = (0.4, 0.8, 1.6, 3.2)  # over the depth
INITS = {"orthogonal": "orthogonal", "Gaussian": "lecun_normal"}


def study(quick: bool = False) -> Result:
    """Count steps to a loss, at the best of four rates for each depth."""
    depths, most = ((2, 5), 30) if quick else ((2, 5, 10, 20, 40, 80), 300)
    data = digits()
    targets = np.eye(10, dtype=np.float32)[data.y]
    steps: dict[str, list[int]] = {name: [] for name in INITS}
    spreads: dict[str, list[float]] = {name: [] for name in INITS}
    for depth in track(depths, "orthogonal"):
        for name, init in INITS.items():
            found = [_steps(depth, init, c / depth, data.X, targets, most) for c in RATES]
            steps[name].append(min(found))
            spreads[name].append(_spread(stack(depth, WIDTH, None, init)))
    rows = []
    for name in INITS:
        told = "independent of depth" if name == "orthogonal" else "grows with depth"
        for depth, count in zip(depths, steps[name], strict=True):
            known = f"more than {most}" if count > most else count
            what = f"{name}, {depth} layers: steps to a loss of {LEVEL:g}"
            rows.append(Row(what, told, None, known))
    for name in INITS:
        theory = 0.0 if name == "orthogonal" else float(depths[-1])
        what = f"{name}, {depths[-1]} layers: variance of squared singular values"
        rows.append(Row(what, None, theory, spreads[name][-1]))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, marker, name in zip(PALETTE, "os", INITS, strict=False):
            left.plot(depths, np.minimum(steps[name], most), marker + "-", color=color, label=name)
            shown = np.maximum(spreads[name], 1e-8)
            right.plot(depths, shown, marker, color=color, label=f"{name}, measured")
        left.axhline(most, color="grey", linestyle=":", label="not reached")
        right.plot(depths, depths, color=PALETTE[1], label="Gaussian, predicted")
        right.set_yscale("log")
        title = f"Steps to a loss of {LEVEL:g}"
        label_axes(left, title=title, xlabel="hidden layers", ylabel="steps")
        title = "Spread of the singular values before training"
        label_axes(right, title=title, xlabel="hidden layers", ylabel="variance of their squares")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xticks(depths, [str(depth) for depth in depths])
            axes.minorticks_off()
            axes.legend(frameon=False)

    return Result(
        "Saxe et al. 2013: deep linear networks",
        rows,
        draw,
        note=f"linear layers of {WIDTH} on digits, squared error, minibatches of {BATCH}, SGD at "
        f"the best of the rates {', '.join(f'{c:g}' for c in RATES)} over the depth. Squared "
        "singular values are relative to their mean; predicted for infinite width, at most "
        f"{WIDTH - 1} here.",
    )


def _steps(
    depth: int, init: str, rate: float, X: np.ndarray, targets: np.ndarray, most: int
) -> int:
    """Until the mean loss of the last five minibatches is that low; more than `most` if never."""
    trainer = fg.Trainer(stack(depth, WIDTH, None, init), "mse", fg.SGD(rate))
    rng = np.random.default_rng(0)
    losses: list[float] = []
    for _ in range(most):
        rows = rng.choice(len(X), BATCH, replace=False)
        try:
            losses.append(trainer.step(X[rows], targets[rows]))
        except fg.GradientError:
            break
        if losses[-1] > 10:
            break
        if np.mean(losses[-5:]) < LEVEL:
            return len(losses)
    return most + 1


def _spread(model: fg.Sequential) -> float:
    """Of the product of the weights of all hidden layers."""
    hidden = [model.params[f"{i}.weight"] for i in range(len(model.layers) - 1)]
    whole = np.linalg.multi_dot([w.astype(np.float64) for w in reversed(hidden)])
    squares = np.linalg.svd(whole, compute_uv=False) ** 2
    return float((squares / squares.mean()).var())
