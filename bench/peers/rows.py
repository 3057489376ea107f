"""Training steps of dense networks: the rows, the data and the first parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEARNING_RATE = 1e-3
CHECKED_STEPS = 5


@dataclass(frozen=True)
class Row:
    """One workload: a relu MLP in float32, trained with Adam.

    With `blocks` it is the residual one of Gorishniy et al. 2021 (Revisiting Deep Learning Models
    for Tabular Data): a linear layer, blocks ``x + linear(relu(linear(BatchNorm(x))))`` of one
    width, then ``linear(relu(BatchNorm(x)))``.

    Attributes
    ----------
    widths : tuple of int
        Inputs, hidden units, ..., outputs.
    batch : int
        Samples of one minibatch; a step is one minibatch.
    steps : int
        Minibatches of the data set; an epoch is one pass over them.
    loss : {"cross_entropy", "mse"}
        Mean over samples (and outputs); cross entropy takes integer labels.
    goals : mapping of int to float
        Threads to the ratio (best peer / fastgrad) that is required.
    blocks : int
        Residual blocks of the one hidden width.
    """

    kind: ClassVar[str] = "step"

    widths: tuple[int, ...]
    batch: int
    steps: int
    loss: str
    goals: Mapping[int, float]
    blocks: int = 0

    @property
    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of every linear layer."""
        if not self.blocks:
            return list(pairwise(self.widths))
        inputs, width, outputs = self.widths
        return [(inputs, width), *[(width, width)] * (2 * self.blocks), (width, outputs)]

    @property
    def name(self) -> str:
        """Widths joined by dashes, long runs shortened: ``64-20x128-10``."""
        if self.blocks:
            inputs, width, outputs = self.widths
            return f"{inputs}-{self.blocks} residual blocks of {width}-{outputs}"
        parts: list[str] = []
        for width, run in groupby(self.widths):
            times = len(list(run))
            parts += [f"{times}x{width}"] if times > 2 else [str(width)] * times
        return "-".join(parts)

    @property
    def flops(self) -> int:
        """Floating-point operations of one step's products; the first layer needs no dX."""
        return sum(
            2 * self.batch * fan_in * fan_out * (3 if layer else 2)
            for layer, (fan_in, fan_out) in enumerate(self.linear)
        )


STEPS = (
    Row((16, 64, 64, 4), 32, 200, "cross_entropy", {1: 1.7, 2: 1.7}),
    Row((64, 100, 10), 200, 50, "cross_entropy", {1: 1.5, 2: 1.5}),
    Row((784, 128, 10), 64, 50, "cross_entropy", {1: 1.4, 2: 1.4}),
    Row((64, *[128] * 20, 10), 64, 50, "cross_entropy", {1: 1.4, 2: 2.0}),
    Row((784, 512, 512, 10), 128, 50, "cross_entropy", {1: 1.2, 2: 1.35}),
    Row((1024, 2048, 2048, 1024), 256, 8, "mse", {1: 1.2, 2: 1.2}),
    Row((64, 128, 10), 64, 50, "cross_entropy", {1: 1.5, 2: 1.5}, blocks=6),
)


@dataclass(frozen=True)
class Task:
    """A row with its data and first parameters.

    Attributes
    ----------
    row : Row
    x : ndarray of shape (N, F), float32
    y : ndarray of shape (N,) int64, or (N, O) float32
    weights : list of ndarray of shape (fan_out, fan_in), float32
    biases : list of ndarray of shape (fan_out,), float32
        Batch normalization starts with weights of 1 and biases of 0.
    """

    row: Row
    x: Array
    y: Array
    weights: list[Array]
    biases: list[Array]

    def minibatch(self, number: int) -> tuple[Array, Array]:
        """Minibatch `number` of the data in its own order."""
        part = slice(number * self.row.batch, (number + 1) * self.row.batch)
        return self.x[part], self.y[part]

    def permutations(self, count: int) -> list[Array]:
        """Shuffled orders of the samples, drawn before the clock starts."""
        rng = np.random.default_rng(1)
        return [rng.permutation(len(self.x)) for _ in range(count)]


def make_task(row: Row) -> Task:
    """Draw the data and the first parameters; the same ones in every process.

    Parameters
    ----------
    row : Row

    Returns
    -------
    Task
    """
    rng = np.random.default_rng(0)
    samples, outputs = row.batch * row.steps, row.widths[-1]
    x = rng.standard_normal((samples, row.widths[0]), dtype=np.float32)
    y: Array
    if row.loss == "mse":
        y = rng.standard_normal((samples, outputs), dtype=np.float32)
    else:
        y = rng.integers(0, outputs, samples)
    weights: list[Array] = []
    biases: list[Array] = []
    for fan_in, fan_out in row.linear:
        scale = np.float32(math.sqrt(2 / fan_in))
        weights.append(scale * rng.standard_normal((fan_out, fan_in), dtype=np.float32))
        biases.append(np.float32(0.1) * rng.standard_normal(fan_out, dtype=np.float32))
    return Task(row, x, y, weights, biases)
