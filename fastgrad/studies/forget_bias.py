"""The forget gate's bias b and how long an LSTM remembers: sigmoid(b) a step.

Along the cell the gradient is multiplied by the forget gate at each step (Hochreiter & Schmidhuber
1997; Gers et al. 2000), which is about sigmoid(b) before training: a bias of 1 (Jozefowicz et al.
2015) halves it in about two steps, and what lies a hundred steps back takes a bias of ln 100 and
more (Tallec & Ollivier 2018, arXiv:1804.11188, whose chrono draws biases up to ln(T - 1)).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.health.prediction import predict
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, median, track
from fastgrad.studies.result import Result, Row

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
        norms = np.array([_reach(bias, r, x) for r in range(nets)])
        reach[bias] = np.median(norms, axis=0)
        far = reach[bias] > 1e-12 * reach[bias][-1]
        slope = np.polyfit(np.flatnonzero(far), np.log(reach[bias][far]), 1)[0]
        gate = 1 / (1 + math.exp(-bias))
        memory = predict(_lstm(bias, 0), x).memory["0.l0"]
        what = f"b = {bias:g}: gradient's factor a step"
        rows.append(Row(what, f"{gate:.3f} = sigmoid(b)", memory.gain, math.exp(-slope)))
        what = f"b = {bias:g}: steps until it is 1/e"
        told = f"{-1 / math.log(gate):.3g} = -1 / ln sigmoid(b)"
        rows.append(Row(what, told, memory.horizon, 1 / slope))
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
        note=f"LSTM of {UNITS} units, medians of {nets} nets. The factor is a fit "
        f"over all steps. Recall: which of four symbols came first, noise after it; {updates} updates of "
        "Adam at 0.005 on minibatches of 32, norm clipped at 1.",
    )


def _lstm(bias: float, rng: int) -> fg.Sequential:
    return fg.Sequential(fg.LSTM(1, UNITS, forget_bias=bias), rng=rng)


def _reach(bias: float, rng: int, x: np.ndarray) -> np.ndarray:
    """|dL/dc_t| of each step, for random gradients at the end."""
    model = _lstm(bias, rng)
    y = model.forward(x)
    model.backward(np.random.default_rng(rng).standard_normal(y.shape), input_grad=False)
    found = model.time_gradients["0.l0"].c
    assert found is not None
    return found


def _recall(bias: float | None, rng: int, steps: int, updates: int) -> list[float]:
    """Train; return the accuracy on new sequences after each tenth of the updates."""
    start = (
        fg.initializers.chrono(longest=steps) if bias is None else fg.initializers.forget_bias(bias)
    )
    layers = fg.LSTM(5, UNITS, bias_init=start), fg.Dense(UNITS, 4)
    model = fg.Sequential(*layers, rng=rng)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(5e-3), clip=fg.ClipNorm(1.0), rng=rng)
    drawn = np.random.default_rng(rng)
    test = _first_symbol(drawn, 500, steps)
    found = [accuracy(model, *test)]
    for _ in range(10):
        trainer.epoch(*_first_symbol(drawn, updates // 10 * 32, steps), batch_size=32)
        found.append(accuracy(model, *test))
    return found


def _first_symbol(
    rng: np.random.Generator, count: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that begin with one of four symbols; noise in a fifth feature follows."""
    y = rng.integers(4, size=count)
    x = np.zeros((count, steps, 5), np.float32)
    x[np.arange(count), 0, y] = 1
    x[:, 1:, 4] = rng.standard_normal((count, steps - 1))
    return x, y
