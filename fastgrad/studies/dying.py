"""Lu et al. 2019: deep, narrow ReLU networks are born dead.

"Dying ReLU and initialization", arXiv:1903.06733: with symmetric weights and no biases an input's
signal dies in a layer of N units with probability 2^-N, so that nothing of it reaches the end of L
layers with probability 1 - (1 - 2^-N)^L: 94.4 % at width 2 and depth 10. A network that is dead for
all inputs is a constant, and training cannot change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import fastgrad as fg
from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import track, train
from fastgrad.studies.result import Result, Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, WIDTHS, DEPTHS = 10, (2, 3, 4, 8), (2, 5, 10, 20, 40)
RANGE = np.sqrt(3.0)  # of inputs, as for a variance of 1


def died(width: int, depth: int) -> float:
    """The probability that an input's signal does not get through."""
    return 1 - (1 - 2.0**-width) ** depth


def study(quick: bool = False) -> Result:
    """Draw many networks and count the dead; then have some learn |x|."""
    nets = 40 if quick else 2000
    shares: dict[tuple[int, int], float] = {}
    for width in track(WIDTHS, "dying"):
        for depth in DEPTHS:
            # as many as that only where the number is asked for
            count = nets if (width, depth) == (2, DEPTH) else nets // 8
            shares[width, depth] = _share_dead("relu", width, depth, count)[0]
    one, everywhere = _share_dead("relu", 2, DEPTH, nets)
    leaky, _ = _share_dead("leaky_relu", 2, DEPTH, nets // 8)
    what = f"width 2, depth {DEPTH}: dead for an input"
    published = "over 90 % of nets (as recalled)"
    rows = [
        Row(what, None, died(2, DEPTH), one),
        Row(f"width 2, depth {DEPTH}: dead for all inputs", published, None, everywhere),
        Row(f"width 8, depth {DEPTH}: dead for an input", None, died(8, DEPTH), shares[8, DEPTH]),
        Row(f"leaky_relu, width 2, depth {DEPTH}: dead for an input", None, 0.0, leaky),
    ]
    x = np.linspace(-RANGE, RANGE, 256, dtype=np.float32)[:, None]
    learned: dict[str, list[np.ndarray]] = {}
    for activation, width in (("relu", 2), ("leaky_relu", 2), ("relu", 16)):
        name = f"{activation}, width {width}"
        learned[name] = []
        for rng in range(3 if quick else 10):
            model = _network(activation, width, DEPTH, 1, rng)
            train(model, x, np.abs(x), 2 if quick else 60, optimizer=fg.Adam(5e-3), loss="mse")
            learned[name].append(model.predict(x)[:, 0])
        flat = float(np.mean([np.ptp(y) < 1e-3 for y in learned[name]]))
        rows.append(Row(f"{name}: constant after training on |x|", None, None, flat))

    def draw(figure: Figure) -> None:
        left, *others = figure.subplots(1, 4)
        for color, marker, width in zip(PALETTE, "osD^", WIDTHS, strict=False):
            theory = [died(width, depth) for depth in range(1, DEPTHS[-1] + 1)]
            left.plot(range(1, DEPTHS[-1] + 1), theory, color=color)
            found = [shares[width, depth] for depth in DEPTHS]
            left.plot(DEPTHS, found, marker, color=color, label=f"width {width}")
        left.legend(frameon=False)
        label_axes(left, title="Born dead (lines: formula)", xlabel="depth", ylabel="probability")
        for axes, color, (name, curves) in zip(others, PALETTE, learned.items(), strict=False):
            for y in curves:
                axes.plot(x, y, color=color, linewidth=1.2, alpha=0.7)
            axes.plot(x, np.abs(x), color="black", linestyle=":", label="|x|")
            axes.legend(frameon=False, loc="upper center")
            label_axes(axes, title=f"Learned: {name}", xlabel="x", ylabel="output")
            axes.set_ylim(-0.5, 2)

    return Result(
        "Lu et al. 2019: dying ReLU",
        rows,
        draw,
        size=(17.0, 4.2),
        note=f"He's weights, no biases at the start; {nets} networks for the first two rows; "
        f"inputs from {-RANGE:.2f} to {RANGE:.2f}.",
    )


def _network(activation: str, width: int, depth: int, outputs: int, rng: int) -> fg.Sequential:
    hidden = [
        fg.Dense(n, width, activation, weight_init="he_normal") for n in [1, *[width] * (depth - 1)]
    ]
    return fg.Sequential(*hidden, *([fg.Dense(width, outputs)] if outputs else []), rng=rng)


def _share_dead(activation: str, width: int, depth: int, nets: int) -> tuple[float, float]:
    """Shares of networks whose last hidden layer is 0 at the input 1, and at all inputs."""
    x = np.array([[1.0], [-1.0]])  # without biases all inputs of a sign die together
    model = _network(activation, width, depth, 0, 0)
    rng = np.random.default_rng(0)
    init = fg.initializers.he_normal()
    dead = np.zeros((nets, 2), bool)
    for i in range(nets):
        for name, array in model.params.items():
            if name.endswith("weight"):
                array[...] = init(array.shape, rng, "float32")
        dead[i] = (model.predict(x) == 0).all(axis=1)
    return float(dead[:, 0].mean()), float(dead.all(axis=1).mean())
