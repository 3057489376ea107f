"""Schoenholz et al. 2017: a tanh network trains down to a depth of six correlation lengths.

"Deep information propagation", ICLR 2017, figure 5: networks of width 300 with biases of variance
0.05 are trained for a few steps, for weights of variance sigma_w^2 / 300 and depths from 10 to 300.
Below sigma_w^2 = 1.76 gradients vanish and inputs become alike, above they explode and alike inputs
part; both happen over xi_c layers, and the boundary of what learns follows 6 xi_c.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.initializers import MeanField
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import accuracy, digits, stack, track
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMA_B2, BATCH, RATE, LEARNED = 0.05, 50, 2.4e-3, 0.5
SIGMAS = (1.0, 1.3, 1.5, 1.76, 2.2, 3.0, 4.0)
DEPTHS = (10, 20, 40, 80, 160, 300)


def fixed_point(sigma_w2: float) -> float:
    """The variance q* to which pre-activations of tanh converge."""
    field, q = MeanField("tanh"), 1.0
    for _ in range(1000):
        before, q = q, field.length_map(q, math.sqrt(sigma_w2), math.sqrt(SIGMA_B2))
        if abs(q - before) < 1e-9:
            break
    return q


def correlation_length(sigma_w2: float) -> float:
    """xi_c, in layers: over which the correlation of two inputs nears its fixed point c*.

    ``-1 / ln(sigma_w^2 E[phi'(u1) phi'(u2)])`` at c*, their eq. 9; by Gauss-Hermite quadrature.
    """
    q = fixed_point(sigma_w2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = np.outer(weights, weights) / weights.sum() ** 2

    def mean(c: float, slopes: bool) -> float:
        u1 = math.sqrt(q) * nodes[:, None]
        u2 = math.sqrt(q) * (c * nodes[:, None] + math.sqrt(max(0.0, 1 - c * c)) * nodes)
        f1, f2 = np.tanh(u1), np.tanh(u2)
        product = (1 - f1 * f1) * (1 - f2 * f2) if slopes else f1 * f2
        return float((weights * product).sum())

    c = 0.5
    for _ in range(3000):
        c = min(1.0, (sigma_w2 * mean(c, slopes=False) + SIGMA_B2) / q)
    return -1 / math.log(sigma_w2 * mean(c, slopes=True))


def study(quick: bool = False) -> Result:
    """Train a network for each variance and depth; compare the deepest that learn with 6 xi_c."""
    width, steps = (30, 20) if quick else (300, 50)
    sigmas, depths = ((1.0, 1.76, 4.0), (5, 20)) if quick else (SIGMAS, DEPTHS)
    data = digits()
    order = np.random.default_rng(0).integers(len(data.X), size=(steps, BATCH))
    found = np.zeros((len(depths), len(sigmas)))
    cells = [(i, j) for i in range(len(depths)) for j in range(len(sigmas))]
    for i, j in track(cells, "depth"):
        init = fg.initializers.variance_scaling(sigmas[j], "fan_in", "normal")
        bias = fg.initializers.normal(math.sqrt(SIGMA_B2))
        model = stack(depths[i], width, "tanh", init, bias_init=bias)
        optimizer = fg.Adam(RATE / depths[i])
        trainer = fg.Trainer(model, "cross_entropy", optimizer, on_nonfinite="skip")
        for rows in order:
            trainer.step(data.X[rows], data.y[rows])
        found[i, j] = accuracy(model, data.X[:500], data.y[:500])
    rows = []
    for j, sigma_w2 in enumerate(sigmas):
        learned = [
            depth for depth, right in zip(depths, found[:, j], strict=True) if right > LEARNED
        ]
        measured = f"{max(learned)}" if learned else f"less than {depths[0]}"
        rows.append(
            Row(
                f"sigma_w^2 = {sigma_w2:g}: deepest that learns, layers",
                "about 6 xi_c",
                6 * correlation_length(sigma_w2),
                f"{measured} of {', '.join(map(str, depths))}" if j == 0 else measured,
            )
        )

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        columns, levels = np.arange(len(sigmas)), np.arange(len(depths))
        image = axes.imshow(found, origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=1)
        figure.colorbar(image, ax=axes, label="accuracy on rows trained on")
        for (i, j), right in np.ndenumerate(found):
            color = "white" if right < 0.6 else "black"
            axes.text(j, i, f"{right:.2f}", ha="center", va="center", color=color, fontsize=8)
        fine = np.linspace(0, len(sigmas) - 1, 15 if quick else 85)
        lengths = [6 * correlation_length(float(np.interp(at, columns, sigmas))) for at in fine]
        height = np.interp(np.log(lengths), np.log(depths), levels, left=np.nan, right=np.nan)
        above = np.array(lengths) >= depths[-1]
        height[above] = len(depths) - 0.5
        axes.plot(fine, height, color=PALETTE[1], linewidth=2.5, label="6 correlation lengths")
        axes.set_xticks(columns, [f"{sigma:g}" for sigma in sigmas])
        axes.set_yticks(levels, [str(depth) for depth in depths])
        title = f"Accuracy after {steps} steps"
        label_axes(axes, title=title, xlabel="sigma_w^2", ylabel="hidden layers")
        axes.grid(visible=False)
        axes.legend(loc="upper right")

    return Result(
        "Schoenholz et al. 2017: how deep a tanh network trains",
        rows,
        draw,
        size=(9.0, 5.5),
        note=f"width {width}, sigma_b^2 = {SIGMA_B2:g}, {steps} minibatches of {BATCH}, Adam at "
        f"{RATE:g} over the depth (theirs: SGD, 200 steps and more on MNIST); learned: accuracy "
        f"over {LEARNED:.0%} on 500 rows of the training set. Near 1.76 it is the number of steps "
        "that ends it.",
    )
