"""What studies share: data, stacks of layers, measurements and short trainings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import fastgrad as fg
from fastgrad.arena import Array
from fastgrad.data.split import split_rows
from fastgrad.datasets import load_digits
from fastgrad.health.walk import walk
from fastgrad.plots import PALETTE, label_axes
from fastgrad.samples import Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Item = TypeVar("Item")


class Data(NamedTuple):
    """Rows to train on, and others."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def digits() -> Data:
    """Handwritten digits: 1437 rows to train on, 360 others; each pixel has mean 0.

    The mean square over all pixels is 1, so that a layer's first pre-activations have the variance
    sigma_w^2.
    """
    images, y = load_digits()
    training, test = split_rows(len(images), 0.2, seed=0)
    X = images - images[training].mean(axis=0)
    X /= np.sqrt(np.square(X[training]).mean())
    return Data(X[training], y[training], X[test], y[test])


def track(items: Iterable[Item], name: str) -> Iterable[Item]:
    """The items, with a progress bar where standard error is a terminal."""
    found: Iterable[Item] = tqdm(list(items), desc=name, leave=False, disable=None)
    return found


def stack(
    depth: int,
    width: int,
    activation: str | None,
    init: Any = None,
    *,
    bias_init: Any = "zeros",
    inputs: int = 64,
    outputs: int = 10,
    rng: int = 0,
    dtype: str = "float32",
) -> fg.Sequential:
    """`depth` hidden layers of one kind, and linear outputs with weights of variance 1 / width."""
    hidden = [
        fg.Dense(n, width, activation, weight_init=init, bias_init=bias_init)
        for n in [inputs, *[width] * (depth - 1)]
    ]
    last = fg.Dense(width, outputs, weight_init="lecun_normal")
    return fg.Sequential(*hidden, last, rng=rng, dtype=dtype)


@dataclass(frozen=True)
class Gradients:
    """Norms of one backward pass, of which that at the outputs is 1.

    Attributes
    ----------
    delta : dict of str to float
        At the outputs of each layer.
    weights : dict of str to float
        Of each parameter.
    """

    delta: Mapping[str, float]
    weights: Mapping[str, float]


def gradients(model: fg.Sequential, x: Any, rng: int = 0) -> Gradients:
    """Measure them, for gradients at the outputs that point in random directions.

    Those of a loss would tell of the labels, too, and of what the outputs have to do with them.
    """
    y = model.forward(x).astype(np.float64)
    noise = np.random.default_rng(rng).standard_normal(y.shape)
    target = y - np.sqrt(np.square(y).mean()) * noise  # the gradient of the squared error is noise
    seen, grads = walk(model, _samples(model, x, target, "mse"), _norm)
    whole = seen.gradients[str(len(model.layers) - 1)]
    return Gradients(
        {name: value / whole for name, value in seen.gradients.items()},
        {name: _norm(array) / whole for name, array in grads.items()},
    )


def outputs(model: fg.Sequential, x: Any) -> dict[str, Array]:
    """What comes out of each layer in training."""
    seen, _ = walk(model, _samples(model, x, model.forward(x), "mse"), np.copy)
    return seen.outputs


def _samples(model: fg.Sequential, x: Any, y: Any, loss: Any) -> Samples:
    return fg.Trainer(model, loss).samples(model.checked("x", x), y)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))


def decades(ratio: float) -> float:
    """Its logarithm; minus infinity for 0."""
    return math.log10(ratio) if ratio > 0 else -math.inf


@dataclass(frozen=True)
class Training:
    """What became of one.

    Attributes
    ----------
    steps, losses : list
        Mean loss of each epoch, and the steps done after it; NaN at the step that was not finite.
    failed : int or None
        That step.
    """

    steps: list[int]
    losses: list[float]
    failed: int | None


def train(
    model: fg.Sequential,
    X: Any,
    y: Any,
    epochs: int,
    *,
    optimizer: Any,
    loss: Any = "cross_entropy",
    batch_size: int = 64,
    clip: Any = None,
    regularizers: Any = None,
    rng: int = 0,
) -> Training:
    """Train for some epochs, or until a step is not finite."""
    trainer = fg.Trainer(model, loss, optimizer, clip=clip, regularizers=regularizers, rng=rng)
    steps: list[int] = []
    losses: list[float] = []
    for _ in range(epochs):
        try:
            losses.append(trainer.epoch(X, y, batch_size))
        except fg.GradientError as error:
            return Training([*steps, error.step], [*losses, math.nan], error.step)
        steps.append(trainer.steps)
    return Training(steps, losses, None)


def accuracy(model: fg.Sequential, X: Any, y: Any) -> float:
    """The fraction of rows whose largest output is that of their class."""
    return float(np.mean(model.predict(X).argmax(axis=1) == y))


def median(values: Iterable[float]) -> float:
    """Of a few runs."""
    return float(np.median(list(values)))


def draw_trainings(axes: Axes, runs: Mapping[str, Training], chance: float | None = None) -> None:
    """Losses over steps, told apart by colour and marker; chance as a dotted line."""
    for color, marker, (name, run) in zip(PALETTE, "osD^vPX", runs.items(), strict=False):
        every = max(1, len(run.steps) // 12)
        label = name if run.failed is None else f"{name} (not finite: step {run.failed})"
        axes.plot(
            run.steps,
            run.losses,
            color=color,
            marker=marker,
            markersize=4,
            markevery=every,
            linewidth=1.6,
            label=label,
        )
    if chance is not None:
        axes.axhline(chance, color="grey", linestyle=":", label="guessing")
    label_axes(axes, title="Training", xlabel="step", ylabel="mean loss of the epoch")
    axes.legend(frameon=False, fontsize=9)


def draw_profiles(
    axes: Axes, profiles: Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]]
) -> None:
    """(predicted, measured) over layers from the first: a line and points of one colour each."""
    for color, marker, (name, (predicted, measured)) in zip(
        PALETTE, "osD^vPX", profiles.items(), strict=False
    ):
        layers = np.arange(1, len(measured) + 1)
        axes.plot(layers, predicted, color=color, linewidth=1.6)
        every = max(1, len(layers) // 25)
        axes.plot(layers[::every], measured[::every], marker, color=color, markersize=5, label=name)
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=9, title="points measured, lines predicted")


def log_norms(found: Mapping[str, float], suffix: str = ".weight") -> Array:
    """log10 of the norms whose names end so, in their order."""
    return np.array([decades(value) for name, value in found.items() if name.endswith(suffix)])
