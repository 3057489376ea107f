"""One step of LSTM and GRU in the mean: of squares of states, and of gradients, unit by unit.

Gates are normal before their functions, with a variance that all units share and the mean that the
unit's bias gives; signals of different units and gates are independent (Chen, Pennington &
Schoenholz 2018, arXiv:1806.05394, and Gilboa et al. 2019, arXiv:1901.08987, who do the same).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid

_Z, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)  # all functions here are smooth
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class State:
    """Squares at one step, each an array over units: of h, and mean and square of the memory."""

    h2: Array
    mean: Array
    square: Array


@dataclass(frozen=True)
class Gate:
    """Means of a gate's value, its square, and its slope's square, over inputs."""

    mean: Array
    square: Array
    slope: Array


def gate(bias: Array, variance: float, tanh: bool = False) -> Gate:
    """Of a sigmoid or a tanh of a normal variable with that mean."""
    u = bias[:, None] + np.sqrt(variance) * _Z
    f = np.tanh(u) if tanh else sigmoid(u)
    slope = 1 - f * f if tanh else f * (1 - f)
    return Gate(f @ _WEIGHTS, (f * f) @ _WEIGHTS, (slope * slope) @ _WEIGHTS)




def lstm_step(biases: list[Array], variances: list[float], before: State) -> tuple[State, Any]:
    """The next state, and what a gradient does on the way back.

    The latter takes powers of the gradients of h and c; it returns those of i, f, g, o, that of
    c one step before, and the mean of the forget gate.
    """
    i, f, o = (gate(biases[k], variances[k]) for k in (0, 1, 3))
    g = gate(biases[2], variances[2], tanh=True)
    mean = f.mean * before.mean + i.mean * g.mean
    both = 2 * f.mean * i.mean * before.mean * g.mean
    square = f.square * before.square + i.square * g.square + both
    seen = _tanh(mean, square - mean**2)

    def back(h: Array, c: Array) -> tuple[list[Array], Array, Array]:
        c = c + h * o.square * seen.slope
        gates = [
            c * g.square * i.slope,
            c * before.square * f.slope,
            c * i.square * g.slope,
            h * seen.square * o.slope,
        ]
        return gates, c * f.square, np.zeros_like(c)

    return State(o.square * seen.square, mean, square), (back, f.mean)


def gru_step(biases: list[Array], variances: list[float], before: State) -> tuple[State, Any]:
    """The same for a GRU, whose memory is h: gates r, z, n, and r times what n sees of h.

    `variances` has that of n's part from h behind it; the part that r lets through reaches h with
    the mean square of r, which is the third result's share.
    """
    r, z = (gate(biases[k], variances[k]) for k in (0, 1))
    inner = variances[3]
    n = gate(biases[2], variances[2] + r.square.mean() * inner, tanh=True)
    keep, new = z.square, 1 - 2 * z.mean + z.square
    mean = z.mean * before.mean + (1 - z.mean) * n.mean
    both = 2 * (z.mean - z.square) * before.mean * n.mean
    square = keep * before.square + new * n.square + both

    def back(h: Array, c: Array) -> tuple[list[Array], Array, Array]:
        total = h + c
        of_n = total * new * n.slope
        of_z = total * (before.square + n.square - 2 * before.mean * n.mean) * z.slope
        return [of_n * inner * r.slope, of_z, of_n], total * keep, r.square

    return State(square, mean, square), (back, z.mean)


def _tanh(mean: Array, variance: Array) -> Gate:
    u = mean[:, None] + np.sqrt(np.maximum(variance, 0))[:, None] * _Z
    f = np.tanh(u)
    return Gate(f @ _WEIGHTS, (f * f) @ _WEIGHTS, np.square(1 - f * f) @ _WEIGHTS)
