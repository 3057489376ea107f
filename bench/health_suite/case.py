"""`Case`: one labelled training run."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad.layers import Layer

Array = NDArray[Any]
Layers = Callable[[], Sequence[Layer]]


@dataclass(frozen=True)
class Case:
    """A run and what is true of it.

    Attributes
    ----------
    name : str
    task : str
        One of `TASKS`.
    layers : callable
        Makes the layers.
    optimizer : Optimizer
    least : float
        The score that a healthy run must reach: accuracy, or the part of the loss of constant
        outputs that is gone.
    epochs, batch_size : int
    clip, regularizers : optional
        As for `Trainer`.
    loss : str, optional
        Instead of the task's.
    x, y : callable, optional
        What is done to inputs and targets.
    seed : int
    families : tuple of str
        Those of which a verdict is right; none for a healthy run.
    cures : tuple of str
        The names of which one must be the first verdict's first cure.
    twin : str
        The healthy case that it was made from.
    """

    name: str
    task: str
    layers: Layers
    optimizer: Any
    least: float = 0.0
    epochs: int = 8
    batch_size: int = 64
    clip: Any = None
    regularizers: Any = None
    loss: str | None = None
    x: Callable[[Array], Array] | None = None
    y: Callable[[Array], Array] | None = None
    seed: int = 0
    families: tuple[str, ...] = ()
    cures: tuple[str, ...] = ()
    twin: str = ""

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.families

    @property
    def half(self) -> str:
        """ "A", on which thresholds are fixed, or "B", which is reported; by the name alone."""
        return "AB"[zlib.crc32(self.name.encode()) % 2]

    def but(self, name: str, families: str, cures: str, **changes: Any) -> Case:
        """This healthy run with a fault; families and cures are words with blanks between."""
        return replace(
            self,
            name=f"{self.name}/{name}",
            twin=self.name,
            families=tuple(families.split()),
            cures=tuple(cures.split()),
            **changes,
        )


def mlp(
    sizes: Sequence[int],
    activation: str,
    weight: Any = None,
    *,
    last: Any = None,
    bias: Any = "zeros",
    norm: bool = False,
    dropout: float = 0.0,
    first: Sequence[Any] = (),
) -> Layers:
    """Dense layers of these sizes; `first` are functions that make layers in front of them.

    `weight` is the initializer of the hidden layers, and of the last one unless `last` is given.
    """

    def make() -> list[Layer]:
        found: list[Layer] = [one() for one in first]
        for i in range(len(sizes) - 2):
            options = {"weight_init": weight, "bias_init": bias}
            if norm:
                found.append(fg.Dense(sizes[i], sizes[i + 1], **options))
                found += [fg.BatchNorm(sizes[i + 1]), fg.Activation(activation)]
            else:
                found.append(fg.Dense(sizes[i], sizes[i + 1], activation, **options))
            if dropout:
                found.append(fg.Dropout(dropout))
        own = weight if last is None else last
        return [*found, fg.Dense(sizes[-2], sizes[-1], weight_init=own)]

    return make


def wide(inputs: int, width: int, depth: int, outputs: int) -> list[int]:
    """Sizes of `depth` hidden layers of the same width."""
    return [inputs, *[width] * depth, outputs]


def residual(
    inputs: int, width: int, blocks: int, outputs: int, activation: str, scale: float
) -> Layers:
    """Blocks of two layers with a way around them."""

    def block() -> Layer:
        return fg.Residual(fg.Dense(width, width, activation), fg.Dense(width, width), scale=scale)

    return lambda: [
        fg.Dense(inputs, width, activation),
        *[block() for _ in range(blocks)],
        fg.Dense(width, outputs),
    ]


def recurrent(
    kind: Any, inputs: int, units: int, outputs: int, *args: Any, last: Any = None, **options: Any
) -> Layers:
    """A recurrent layer and a dense one."""
    return lambda: [
        kind(inputs, units, *args, **options),
        fg.Dense(units, outputs, weight_init=last),
    ]


def update_bias(bias: float, units: int = 48) -> Array:
    """Biases of a GRU whose update gate keeps sigmoid(bias) of the state at each step."""
    found = np.zeros(3 * units)
    found[units : 2 * units] = bias
    return found
