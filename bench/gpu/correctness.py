"""What every side must find before it is timed, and how near it has to come.

The truth is one step, or one pass, of fastgrad's reference backend in float64. A side is given the
same numbers in float32, and is compared array by array: the loss of a training step or the outputs
of a recurrent layer, and the gradient of each parameter. The error of an array is the 2-norm of its
deviation, as a part of the 2-norm of the truth.

Rounding errors are as good as independent, so that they grow with the square root of the number of
additions in a row, the depth. Allowed is ``4 (u sqrt(depth) + v sqrt(levels))``, of u = 2^-24, half
a unit in the last place of float32, and v = 2^-11, that of a factor that is rounded to TF32, or 0;
levels are the layers, or the time steps, that such factors go through one after the other.

A relu has a kink: where its input is as small as the rounding error, a side may be right and have
another gradient. The rows of the minibatch are those that stay far from it. TF32 is too coarse for
that: there a share of some 2 v of the inputs of each layer lies on the other side, which adds the
square root of that share.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..peers.loops import GATES
from ..peers.rows import Row, Task
from ..peers.sequences import SequenceRow, SequenceTask

Array = NDArray[Any]
Found = Mapping[str, Array]

FLOAT32, TF32 = 2.0**-24, 2.0**-11
SAFETY = 4
FAR = 1e-5  # from the kink, as a part of the largest input of the layer


def depth(row: Row | SequenceRow) -> int:
    """Additions one after the other on the longest way to an element of a gradient."""
    if isinstance(row, Row):
        ways = [fan_in + fan_out for fan_in, fan_out in pairwise(row.widths)]
        return sum(ways) + row.batch
    forward, backward = row.inputs + row.hidden, GATES[row.cell] * row.hidden
    return row.length * (forward + backward) + row.length * row.batch


def tolerance(row: Row | SequenceRow, precision: str) -> float:
    """The error that rounding explains, for "fp32" or "tf32"."""
    allowed = SAFETY * FLOAT32 * math.sqrt(depth(row))
    if precision == "tf32":
        levels = len(row.widths) - 1 if isinstance(row, Row) else row.length
        allowed += SAFETY * TF32 * math.sqrt(levels)
        if isinstance(row, Row):
            allowed += math.sqrt(2 * TF32 * levels)
    return allowed


def fault(exact: Found, found: Found, allowed: float) -> str:
    """What is wrong with that, or ""."""
    errors = {name: _error(exact[name], np.asarray(found[name], np.float64)) for name in exact}
    worst = max(errors, key=lambda name: np.inf if np.isnan(errors[name]) else errors[name])
    if errors[worst] <= allowed:
        return ""
    return f"{worst} is off by {errors[worst]:.2g} of its norm, allowed are {allowed:.2g}"


def _error(exact: Array, found: Array) -> float:
    return float(np.linalg.norm(found - exact) / (np.linalg.norm(exact) or 1.0))


def minibatch(task: Task) -> tuple[Array, Array]:
    """Copies of as many rows as a step has, those that come near a kink only where others lack."""
    a = task.x[: 2 * task.row.batch].astype(np.float64)
    near = np.zeros(len(a), bool)
    for w, b in zip(task.weights[:-1], task.biases[:-1], strict=True):
        z = a @ w.T.astype(np.float64) + b
        near |= np.abs(z).min(axis=1) < FAR * np.abs(z).max()
        a = np.maximum(z, 0)
    rows = np.argsort(near, kind="stable")[: task.row.batch]
    return task.x[rows].copy(), task.y[rows].copy()


def named(task: Task | SequenceTask) -> dict[str, Array]:
    """The first parameters, by the names that all sides use: "0.weight", or "weight_ih_l0"."""
    if isinstance(task, SequenceTask):
        return task.params
    found: dict[str, Array] = {}
    for i, (w, b) in enumerate(zip(task.weights, task.biases, strict=True)):
        found |= {f"{i}.weight": w, f"{i}.bias": b}
    return found
