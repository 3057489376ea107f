"""The textbook chain of two weights: w1 = 10 with w2 = 10, and with w2 = 0.1, worked by hand.

``h = w1 x``, ``y = w2 h`` and ``L = (y - t)^2`` give ``dL/dy = 2 (y - t)``, ``dL/dw2 = dL/dy h``
and ``dL/dw1 = dL/dy w2 x``: each weight's gradient has the other one as a factor, so that equal
products may have gradients of very different sizes, and a chain of n weights multiplies n - 1 of
them. Weights of 10 explode, weights of 0.1 vanish (Bengio, Simard & Frasconi 1994 for the general
case).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

X, TARGET, STEPS, LONGEST = 2.0, 1.0, 30, 12


def by_hand(weights: list[float]) -> tuple[float, list[float]]:
    """Output of a chain of weights, and the gradient of its squared error by each."""
    y = X * float(np.prod(weights))
    return y, [2 * (y - TARGET) * X * _without(weights, i) for i in range(len(weights))]


def by_engine(weights: list[float]) -> tuple[float, list[float]]:
    """The same, from a forward and a backward pass."""
    model = _model(weights)
    y = model.forward([[X]])
    model.backward(2 * (y - TARGET))
    return float(y[0, 0]), [float(grad[0, 0]) for grad in model.grads.values()]


def descent(weights: list[float], rate: float, clip: fg.ClipNorm | None = None) -> list[float]:
    """Losses of gradient descent before each step, until one is not finite."""
    trainer = fg.Trainer(_model(weights), "mse", fg.SGD(rate), clip=clip)
    losses: list[float] = []
    for _ in range(STEPS):
        try:
            losses.append(trainer.step([[X]], [[TARGET]]))
        except fg.GradientError:
            break
    return losses


def study(quick: bool = False) -> Result:
    """Compare both ways, and see what steps of gradient descent make of the two chains."""
    rows = []
    for second in (10.0, 0.1):
        weights = [10.0, second]
        (y, hand), (output, engine) = by_hand(weights), by_engine(weights)
        name = f"w1 = 10, w2 = {second:g}"
        rows.append(Row(f"{name}: y", None, y, output))
        for i in range(2):
            rows.append(Row(f"{name}: dL/dw{i + 1}", None, hand[i], engine[i]))
    lengths = range(2, 5 if quick else LONGEST + 1)
    grown = {
        weight: [(by_hand([weight] * n)[1][0], by_engine([weight] * n)[1][0]) for n in lengths]
        for weight in (10.0, 0.1)
    }
    for weight, values in grown.items():
        what = f"{lengths[-1]} weights of {weight:g}: dL/dw1"
        rows.append(Row(what, None, *values[-1]))
    losses = {
        "two of 10, rate 0.01": descent([10.0, 10.0], 0.01),
        "two of 10, rate 0.001": descent([10.0, 10.0], 0.001),
        "two of 10, rate 0.01, clipped at 100": descent([10.0, 10.0], 0.01, fg.ClipNorm(100.0)),
        "six of 0.1, rate 0.01": descent([0.1] * 6, 0.01),
    }
    for name, found in losses.items():
        rows.append(Row(f"{name}: loss after {len(found) - 1} steps", None, None, found[-1]))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for color, (weight, values) in zip(PALETTE, grown.items(), strict=False):
            hand, engine = np.abs(np.array(values)).T
            left.plot(lengths, hand, color=color, linewidth=1.6)
            left.plot(lengths, engine, "o", color=color, label=f"all weights {weight:g}")
        left.set_yscale("log")
        told = "Chains of equal weights (lines: by hand)"
        label_axes(left, title=told, xlabel="weights in the chain", ylabel="|dL/dw1|")
        left.legend(frameon=False)
        for color, marker, (name, descended) in zip(PALETTE, "osD^", losses.items(), strict=False):
            right.plot(descended, marker=marker, color=color, label=name)
        right.set_yscale("log")
        right.set_ylim(1e-3, 1e9)
        label_axes(right, title="Gradient descent", xlabel="step", ylabel="loss before the step")
        right.legend(frameon=False)

    return Result(
        "A chain of two weights",
        rows,
        draw,
        note=f"predicted: by hand; measured: by forward and backward pass, float64; x = {X:g}, "
        f"target {TARGET:g}. Descent ends where the loss is not finite.",
    )


def _model(weights: list[float]) -> fg.Sequential:
    layers = [fg.Dense(1, 1, weight_init=fg.initializers.constant(w), bias=False) for w in weights]
    return fg.Sequential(*layers, rng=0, dtype="float64")


def _without(weights: list[float], i: int) -> float:
    return float(np.prod([*weights[:i], *weights[i + 1 :]]))
