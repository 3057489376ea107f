"""Values that units take in the rows of a minibatch, on grids."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.signal import Signal

_REACH = 7.0  # deviations
_INNER = 32  # points for what the rows of a unit differ by


@dataclass(frozen=True)
class Units:
    """Values that units take in the rows: a row for each unit, all of them alike or weighted.

    Attributes
    ----------
    u : ndarray (units, values)
    weights : ndarray (units,)
    within : ndarray (units, values) or (1, values)
        Of the values of each unit.
    known : bool
        Whether units are those of the layer, not some that are drawn.
    alike : bool
        Whether two rows' values of a unit have its mean in common, and not its opposite.
    shares : ndarray
        Of rows of each size, whose values are side by side.
    """

    u: Array
    weights: Array
    within: Array
    known: bool
    alike: bool
    shares: Array

    def sized(self, values: Array) -> Array:
        """Means over the rows of each unit and size, (units, sizes)."""
        parts = (values * self.within).reshape(len(values), len(self.shares), -1)
        return np.asarray(parts.sum(axis=2) / self.shares)

    def squared(self, values: Array) -> float:
        """Mean over units of products of the values of two rows of one size."""
        return float(self.weights @ np.square(self.sized(values)) @ self.shares)

    def between(self, values: Array) -> float:
        """Variance of the mean over units from size to size."""
        means = self.weights @ self.sized(values)
        return float(np.square(means - self.shares @ means) @ self.shares)

    def inner(self, values: Array) -> Array:
        """Means over the rows of each unit."""
        return np.asarray((values * self.within).sum(axis=1))

    def single(self, values: Array) -> float:
        """Mean over units and rows."""
        return float(self.weights @ self.inner(values))

    def pair(self, values: Array, others: Array | None = None) -> float:
        """Mean over units of products of two rows' values."""
        given = self.inner(values)
        other = given if others is None else self.inner(others)
        return float(self.weights @ (given * (other if self.alike else other[::-1])))


def units_of(signal: Signal, variance: float) -> Units:
    if signal.centre is not None and signal.variances is not None:
        n = signal.features
        z = _line(_INNER)
        # every unit on points of its own, so that errors at kinks average out
        z = z + ((np.arange(n) + 0.5) / n - 0.5)[:, None] * (z[1] - z[0])
        density = np.exp(-z * z / 2)
        within = density / density.sum(axis=1, keepdims=True)
        sizes, shares = signal.sizes
        mean = float(shares @ sizes)
        centre = signal.centre / mean
        variances = np.maximum(signal.variances - np.square(centre) * (1 - mean * mean), 0.0)
        u = centre[:, None] + np.sqrt(variances)[:, None] * z
        u = (u[:, None] * sizes[:, None]).reshape(n, -1)
        within = (within[:, None] * shares[:, None]).reshape(n, -1)
        return Units(u, np.full(n, 1 / n), within, True, True, shares)
    apart = min(max(signal.apart, 0.0), 2 * variance)
    common = variance - apart  # below 0 where rows are opposite, as behind a BatchNorm
    rest = math.sqrt(variance - abs(common))
    z, weights, inner, within = grid()
    u = signal.mean + math.sqrt(abs(common)) * z[:, None] + rest * inner
    # the grid is symmetric
    return Units(u, weights, within[None], False, common >= 0, np.ones(1))


@functools.cache
def grid() -> tuple[Array, Array, Array, Array]:
    """Points and weights of two normal variables.

    Even numbers of points, and different ones, so that no kink at 0 meets one, and the errors at
    other kinks average out.
    """

    def rule(count: int) -> tuple[Array, Array]:
        z = _line(count)
        density = np.exp(-z * z / 2)
        return z, density / density.sum()

    return *rule(96), *rule(_INNER)


def _line(count: int) -> Array:
    return np.linspace(-_REACH, _REACH, count)
