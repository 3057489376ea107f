"""One step of LSTM and GRU in the mean: of squares of states, and of gradients, unit by unit.

Gates are normal before their functions, with a variance that all units share and the mean that the
unit's bias gives; signals of different units and gates are independent (Chen, Pennington &
Schoenholz 2018, arXiv:1806.05394, and Gilboa et al. 2019, arXiv:1901.08987, who do the same).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid

_Z, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)  # all functions here are smooth
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_EPS = 1e-5  # of a layer norm


@dataclass(frozen=True)
class State:
    """Squares at one step, each an array over units: of h, and mean and square of the memory.

    Attributes
    ----------
    h2, mean, square : ndarray
    following : tuple of ndarray
        Covariance of the memory with what is written to it next, by what that lasts from: the
        inputs, and h.
    steady, lasting : float
        Of h, as for a `Signal`.
    """

    h2: Array
    mean: Array
    square: Array
    following: tuple[Array, ...]
    steady: float = 0.0
    lasting: float = 0.0

    @classmethod
    def first(cls, units: int) -> State:
        zeros = np.zeros(units)
        return cls(zeros, zeros, zeros, (zeros, zeros))


@dataclass(frozen=True)
class Gate:
    """Means over inputs of a gate's value and slope, and of their squares."""

    mean: Array
    square: Array
    slope: Array
    slope_square: Array


@dataclass(frozen=True)
class Step:
    """What one step does to gradients on the way back, each an array over units.

    Attributes
    ----------
    back : callable
        ``back(h, c)`` for squares of the gradients of h and of the memory from the step above:
        those of all gates, of the memory as a whole, and of the memory one step before.
    keep : ndarray
        Mean of the gate that keeps the memory.
    through : ndarray
        Mean square of what n sees its part of h through, in a GRU.
    lasting : tuple of (int, ndarray, int)
        Gates whose gradients at two steps point in one direction: which, the square of the mean of
        what the memory's gradient is multiplied with, and what that lasts as: 0, as long as the
        gradient itself, 1, as h and the memory, and 2, as x.
    into : ndarray
        Squared mean of what the gradient of h is multiplied with on its way to the memory.
    factors : tuple of (ndarray, ndarray, ndarray)
        Mean, mean square, and the variance that lasts as the memory does, of all that gradients are
        multiplied with: h on its way to the memory, the memory on its way to the step before, and
        what each gate gets of it, the last one of an LSTM of h.
    """

    back: Callable[[Array, Array], tuple[list[Array], Array, Array]]
    keep: Array
    through: Array
    lasting: tuple[tuple[int, Array, int], ...]
    into: Array
    factors: tuple[tuple[Array, Array, Array], ...]


def gate(bias: Array, variance: float, tanh: bool = False) -> Gate:
    """Of a sigmoid or a tanh of a normal variable with that mean."""
    u = bias[:, None] + np.sqrt(variance) * _Z
    return _means(np.tanh(u), True) if tanh else _means(sigmoid(u), False)


def lstm_step(
    biases: list[Array],
    variances: list[float],
    lasting: list[tuple[float, float]],
    before: State,
    normed: bool = False,
) -> tuple[State, Step]:
    """The next state, and the way back, for gates i, f, g, o; `normed` is what h sees of c.

    `lasting` are the variances of g that inputs and h carry over to other steps, and by how much
    each step lessens them.
    """
    i, f, o = (gate(biases[k], variances[k]) for k in (0, 1, 3))
    g = gate(biases[2], variances[2], tanh=True)
    mean = f.mean * before.mean + i.mean * g.mean
    both = 2 * f.mean * i.mean * (before.mean * g.mean + sum(before.following))
    square = f.square * before.square + i.square * g.square + both
    centre, scale = 0.0, 1.0
    if normed:
        centre = float(mean.mean())
        scale = 1 / np.sqrt(float(square.mean()) - centre**2 + _EPS)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    seen = _means(np.tanh(((mean - centre)[:, None] + spread[:, None] * _Z) * scale), True)
    steepness = seen.slope_square * scale**2

    def back(h: Array, c: Array) -> tuple[list[Array], Array, Array]:
        c = c + h * o.square * steepness
        gates = [
            c * g.square * i.slope_square,
            c * before.square * f.slope_square,
            c * i.square * g.slope_square,
            h * seen.square * o.slope_square,
        ]
        return gates, c, c * f.square

    written = (i.slope * g.slope) ** 2
    still = (
        (2, (i.mean * g.slope) ** 2, 0),
        (1, before.square * f.slope**2, 1),
        *((0, written * variance, 2 - k) for k, (variance, _) in enumerate(lasting)),
    )
    following = _following(f.mean, i.mean, g.slope, lasting, before)
    h2, rest = o.square * seen.square, square - mean**2
    last = _lasting(f.mean, i.mean, following, rest)
    # tanh(c) and its slope at two steps, by the first terms of their series in the correlation
    linear = (seen.slope * scale) ** 2 * rest
    alike = linear + np.maximum(seen.square - seen.mean**2 - linear, 0) * last**2
    into = (o.mean * scale) ** 2 * (seen.slope**2 + (seen.slope_square - seen.slope**2) * last**2)
    steady = float((o.mean**2 * alike).mean() / h2.mean()) if h2.any() else 0.0
    state = State(h2, mean, square, following, steady, last)
    old, zeros = before.square - before.mean**2, np.zeros_like(mean)
    factors = (
        (o.mean * seen.slope * scale, o.square * steepness, zeros),
        (f.mean, f.square, zeros),
        (g.mean * i.slope, g.square * i.slope_square, zeros),
        (before.mean * f.slope, before.square * f.slope_square, old * f.slope**2),
        (i.mean * g.slope, i.square * g.slope_square, zeros),
        (
            seen.mean * o.slope,
            seen.square * o.slope_square,
            (seen.square - seen.mean**2) * o.slope**2,
        ),
    )
    return state, Step(back, f.mean, np.ones_like(mean), still, into, factors)


def gru_step(
    biases: list[Array],
    variances: list[float],
    lasting: list[tuple[float, float]],
    before: State,
) -> tuple[State, Step]:
    """The same for gates r, z, n; the last of the four variances is of what n sees of h."""
    r, z = (gate(biases[k], variances[k]) for k in (0, 1))
    inner = variances[3]
    n = gate(biases[2], variances[2] + float(r.square.mean()) * inner, tanh=True)
    new = 1 - 2 * z.mean + z.square
    mean = z.mean * before.mean + (1 - z.mean) * n.mean
    both = 2 * (z.mean - z.square) * (before.mean * n.mean + sum(before.following))
    square = z.square * before.square + new * n.square + both

    apart = before.square + n.square - 2 * (before.mean * n.mean + sum(before.following))

    def back(h: Array, c: Array) -> tuple[list[Array], Array, Array]:
        total = h + c
        of_n = total * new * n.slope_square
        gates = [of_n * inner * r.slope_square, total * apart * z.slope_square, of_n]
        return gates, total, total * z.square

    still = (2, ((1 - z.mean) * n.slope) ** 2, 0), (1, before.square * z.slope**2, 1)
    seen = float(np.square(r.mean).mean())  # of h by n
    lasting = [lasting[0], (seen * lasting[1][0], lasting[1][1])]
    following = _following(z.mean, 1 - z.mean, n.slope, lasting, before)
    last = _lasting(z.mean, 1 - z.mean, following, square - mean**2)
    state = State(square, mean, square, following, 1.0, last)
    ones, zeros, of_n = np.ones_like(mean), np.zeros_like(mean), new * n.slope_square
    through = (1 - z.mean) * n.slope
    old = before.square - before.mean**2
    factors = (
        (ones, ones, zeros),
        (z.mean, z.square, zeros),
        (zeros, of_n * inner * r.slope_square, through**2 * inner * r.slope**2),
        ((before.mean - n.mean) * z.slope, apart * z.slope_square, old * z.slope**2),
        (through * r.mean, of_n * r.square, zeros),
    )
    return state, Step(back, z.mean, r.square, still, ones, factors)


def _following(
    keep: Array, write: Array, slope: Array, lasting: list[tuple[float, float]], before: State
) -> tuple[Array, ...]:
    """Covariance of the memory with what is written next: what was written resembles it."""
    return tuple(
        last * (keep * old + write * slope**2 * variance)
        for old, (variance, last) in zip(before.following, lasting, strict=True)
    )


def _lasting(keep: Array, write: Array, following: tuple[Array, ...], rest: Array) -> float:
    """Correlation of the memory with that of the next step."""
    total = float(rest.mean())
    both = keep * rest + write * sum(following)
    return min(float(both.mean()) / total, 0.999) if total > 0 else 0.0


def _means(f: Array, tanh: bool) -> Gate:
    """Of values of a tanh, or of a sigmoid."""
    slope = 1 - f * f if tanh else f * (1 - f)
    return Gate(f @ _WEIGHTS, (f * f) @ _WEIGHTS, slope @ _WEIGHTS, (slope * slope) @ _WEIGHTS)
