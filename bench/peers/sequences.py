"""Recurrent rows: a pass forward and backward over a sequence, its data and its check."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import loops

Array = NDArray[Any]


@dataclass(frozen=True)
class SequenceRow:
    """One recurrent layer in float32, forward and backward over a batch of sequences.

    The loss is ``sum(dy * y)`` over all time steps with a given dy. Wanted are the gradients of all
    parameters; there is no input gradient and no optimizer.

    Attributes
    ----------
    cell : {"LSTM", "GRU", "RNN"}
        The GRU is PyTorch's variant, the RNN that of tanh.
    length : int
        Time steps T.
    batch : int
        Sequences N.
    inputs, hidden : int
        Features I of a step, and units H.
    goals : mapping of int to float
        Threads to the ratio (best peer / fastgrad) that is required.
    """

    kind: ClassVar[str] = "pass"
    steps: ClassVar[int] = 1

    cell: str
    length: int
    batch: int
    inputs: int
    hidden: int
    goals: Mapping[int, float]

    @property
    def name(self) -> str:
        """For example ``LSTM 64-128, 100 steps``."""
        return f"{self.cell} {self.inputs}-{self.hidden}, {self.length} steps"

    @property
    def flops(self) -> int:
        """Floating-point operations of one pass's products; the inputs need no gradient."""
        sums = self.length * self.batch * loops.GATES[self.cell] * self.hidden
        return 2 * sums * (2 * self.inputs + 3 * self.hidden)


SHAPES = (  # T, N, I, H
    (100, 32, 64, 128),
    (100, 32, 128, 256),
    (50, 64, 256, 512),
    (400, 16, 2, 64),
    (50, 1, 32, 64),
)
_GOALS: dict[str, list[dict[int, float]]] = {  # shape by shape
    "LSTM": [{1: 1.2, 2: 2.0}, {1: 1.5, 2: 1.5}, {1: 1.25, 2: 1.5}, {1: 1.4, 2: 1.4}, {1: 2, 2: 2}],
    "GRU": [{1: 1.8, 2: 1.8}] * 5,
    "RNN": [{1: 1.5, 2: 1.5}] * 5,
}
PASSES = tuple(
    SequenceRow(cell, *shape, goal)
    for cell, goals in _GOALS.items()
    for shape, goal in zip(SHAPES, goals, strict=True)
)
MEAN_GOALS = {1: 1.8, 2: 2.4}  # of the geometric mean over PASSES

# Widths that fill no vector, or not the last one; measured only when asked for.
ODD_PASSES = tuple(SequenceRow("LSTM", 100, 32, 64, hidden, {}) for hidden in (50, 100, 130, 200))


@dataclass(frozen=True)
class SequenceTask:
    """A recurrent row with its data and parameters.

    Attributes
    ----------
    row : SequenceRow
    x : ndarray of shape (N, T, I), float32
    dy : ndarray of shape (N, T, H), float32
    params : dict of str to ndarray of float32
        By PyTorch's names, in its gate orders.
    """

    row: SequenceRow
    x: Array
    dy: Array
    params: dict[str, Array]

    @cached_property
    def exact(self) -> dict[str, Array]:
        """Gradients of the parameters in float64."""
        params = {name: value.astype(np.float64) for name, value in self.params.items()}
        x, dy = self.x.astype(np.float64), self.dy.astype(np.float64)
        return loops.gradients(self.row.cell, x, dy, params)

    def error(self, grads: Mapping[str, Array]) -> float:
        """Largest deviation of any gradient, as a part of the largest element of its array."""
        deviations = [
            np.abs(grads[name] - exact).max() / np.abs(exact).max()
            for name, exact in self.exact.items()
        ]
        return float(np.max(deviations))  # NaN where there is one, which max() might pass over


def make_sequence_task(row: SequenceRow) -> SequenceTask:
    """Draw data and parameters (PyTorch's initializer); the same ones in every process.

    Parameters
    ----------
    row : SequenceRow

    Returns
    -------
    SequenceTask
    """
    rng = np.random.default_rng(0)
    sums, hidden = loops.GATES[row.cell] * row.hidden, row.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih_l0": (sums, row.inputs),
        "weight_hh_l0": (sums, hidden),
        "bias_ih_l0": (sums,),
        "bias_hh_l0": (sums,),
    }
    bound = 1 / math.sqrt(hidden)
    params = {
        name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()
    }
    x, dy = (
        rng.standard_normal((row.batch, row.length, features), dtype=np.float32)
        for features in (row.inputs, hidden)
    )
    return SequenceTask(row, x, dy, params)


@dataclass(frozen=True)
class Passes:
    """A recurrent row in one mode of one peer.

    Attributes
    ----------
    task : SequenceTask
    run : callable
        Makes that many passes and returns when they are done.
    gradients : callable
        Returns the gradients of the last pass, named and laid out as the parameters.
    """

    task: SequenceTask
    run: Callable[[int], None]
    gradients: Callable[[], Mapping[str, Array]]

    def check(self) -> float:
        """Error of the gradients of a second pass: the first must not leave anything behind."""
        self.run(2)
        return self.task.error(self.gradients())

    def reset(self) -> None:
        """Do nothing: a pass changes no parameters."""

    def epochs(self, count: int) -> None:
        """Make `count` passes."""
        self.run(count)
