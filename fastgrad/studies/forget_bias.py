"""The forget gate's bias b and how long an LSTM remembers: sigmoid(b) a step.

Along the cell the gradient is multiplied by the forget gate at each step (Hochreiter & Schmidhuber
1997; Gers et al. 2000), which is about sigmoid(b) before training: a bias of 1 (Jozefowicz et al.
2015) halves it in about two steps, and what lies a hundred steps back takes a bias of ln 100 and
more (Tallec & Ollivier 2018, arXiv:1804.11188, whose chrono draws biases up to ln(T - 1)). The way
round through h adds to it, at most the product of the two other gates, 1/4, for each step with
orthogonal recurrent weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, median, track
from fastgrad.studies.result import Result, Row
from fastgrad.studies.tasks import first_symbol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS, LONGEST = 32, 100
BIASES = (0.0, 1.0, 2.0, 3.0, 5.0)


def study(quick: bool = False) -> Result:
    """Measure gradients through time, then have networks recall the first of many inputs."""
    nets, updates, steps = (1, 20, 20) if quick else (3, 400, LONGEST)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, LONGEST, 1))
    reach, rows = {}, []
    for bias in track(BIASES, "forget_bias"):
        gate = 1 / (1 + math.exp(-bias))
        reach[bias] = _medians(_reach(bias, "zeros", r, x) for r in range(nets))
        rate = _rate(reach[bias])
        rows.append(Row(f"b = {bias:g}: gradient's factor a step", None, gate, math.exp(rate)))
        what = f"b = {bias:g}: steps until it is 1/e"
        rows.append(Row(what, None, -1 / math.log(gate), -1 / rate))
    for bias in (0.0, 1.0):
        whole = _medians(_reach(bias, "orthogonal", r, x) for r in range(nets))
        gate = 1 / (1 + math.exp(-bias))
        what = f"b = {bias:g}, orthogonal recurrent weights: factor a step"
        rows.append(Row(what, None, f"up to {gate + 0.25:.3f}", math.exp(_rate(whole))))
    starts = {"b = 0": 0.0, "b = 1": 1.0, "b = 5": 5.0, "chrono": None}
    curves = {}
    for name, start in track(starts.items(), "forget_bias"):
        curves[name] = [_recall(start, r, steps, updates) for r in range(nets)]
        right = median(curve[-1] for curve in curves[name])
        rows.append(Row(f"{name}: first of {steps} inputs recalled", None, None, right))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        back = np.arange(LONGEST)
        for color, (bias, norms) in zip(PALETTE, reach.items(), strict=False):
            left.plot(back, norms[::-1] / norms[-1], color=color, label=f"b = {bias:g}")
            left.plot(back, (1 / (1 + math.exp(-bias))) ** back, ":", color=color)
        left.set_yscale("log")
        left.set_ylim(1e-12, 10)
        title = "Gradient through time (dotted: sigmoid(b) a step)"
        label_axes(left, title=title, xlabel="steps back", ylabel="|dL/dc|, relative")
        left.legend(frameon=False)
        at = np.linspace(0, updates, len(curves["b = 0"][0]))
        for color, marker, (name, found) in zip(PALETTE, "osD^", curves.items(), strict=False):
            middle = np.median(found, axis=0)
            right.plot(at, middle, marker + "-", color=color, markersize=4, label=name)
        right.axhline(0.25, color="grey", linestyle=":", label="guessing")
        title = f"Recall of the first of {steps} inputs"
        label_axes(right, title=title, xlabel="updates", ylabel="accuracy")
        right.legend(frameon=False)

    return Result(
        "Forget gate: bias and memory",
        rows,
        draw,
        note=f"LSTM of {UNITS} units, medians of {nets} nets; the factor is a fit over all steps, "
        "without recurrent weights unless told otherwise. Recall: which of four symbols came "
        f"first, noise after it; {updates} updates of Adam at 0.005 on minibatches of 32, norm "
        "clipped at 1.",
    )


def _medians(found: Iterable[np.ndarray]) -> np.ndarray:
    """Step by step, over nets."""
    norms: np.ndarray = np.median([*found], axis=0)
    return norms


def _reach(bias: float, recurrent: str, rng: int, x: np.ndarray) -> np.ndarray:
    """|dL/dc_t| of each step, for random gradients at the end."""
    small = fg.initializers.normal(0.1)
    cell = fg.LSTM(1, UNITS, forget_bias=bias, weight_init=small, recurrent_init=recurrent)
    model = fg.Sequential(cell, rng=rng, dtype="float64")
    y = model.forward(x)
    model.backward(np.random.default_rng(rng).standard_normal(y.shape), input_grad=False)
    norms = model.time_gradients["0.l0"].c
    assert norms is not None
    return norms


def _rate(norms: np.ndarray) -> float:
    """By how much their logarithm falls from a step to the one before it."""
    return -float(np.polyfit(np.arange(len(norms)), np.log(norms), 1)[0])


def _recall(bias: float | None, rng: int, steps: int, updates: int) -> list[float]:
    """Train; return the accuracy on new sequences after each tenth of the updates."""
    start = (
        fg.initializers.chrono(longest=steps) if bias is None else fg.initializers.forget_bias(bias)
    )
    layers = fg.LSTM(5, UNITS, bias_init=start), fg.Dense(UNITS, 4)
    model = fg.Sequential(*layers, rng=rng)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(5e-3), clip=fg.ClipNorm(1.0), rng=rng)
    drawn = np.random.default_rng(rng)
    test = first_symbol(drawn, 500, steps)
    found = [accuracy(model, *test)]
    for _ in range(10):
        trainer.epoch(*first_symbol(drawn, updates // 10 * 32, steps), batch_size=32)
        found.append(accuracy(model, *test))
    return found
