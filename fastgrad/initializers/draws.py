"""Constants, and draws whose spread does not depend on the shape."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.initializers.base import Initializer
from fastgrad.initializers.checks import Array, number


def constant(value: float) -> Initializer:
    """Set every entry to `value`."""
    value = number("value", value)
    return Initializer("constant", (("value", value),), lambda shape, _: np.full(shape, value))


def zeros() -> Initializer:
    """Set every entry to 0."""
    return constant(0.0)


def ones() -> Initializer:
    """Set every entry to 1."""
    return constant(1.0)


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Draw from U(low, high); ``low < high``."""
    low, high = number("low", low), number("high", high)
    if not low < high:
        raise ValueError(f"high: expected more than low = {low}, got {high}")
    settings = (("low", low), ("high", high))
    return Initializer("uniform", settings, lambda shape, rng: rng.uniform(low, high, shape))


def normal(std: float = 0.05, mean: float = 0.0) -> Initializer:
    """Draw from N(mean, std^2); ``std >= 0``."""
    std, mean = number("std", std, minimum=0.0), number("mean", mean)
    settings = (("std", std), ("mean", mean))
    return Initializer("normal", settings, lambda shape, rng: rng.normal(mean, std, shape))


def truncated_normal(
    std: float = 0.05, mean: float = 0.0, lower: float = -2.0, upper: float = 2.0
) -> Initializer:
    """Draw from N(mean, std^2) restricted to [mean + lower std, mean + upper std].

    Parameters
    ----------
    std, mean : float
        Those before the cut, ``std >= 0``; cut at +-2, the draws have a deviation of 0.8796 `std`.
    lower, upper : float
        Bounds in units of `std`, as in JAX; ``lower < 0 < upper``.
    """
    std, mean = number("std", std, minimum=0.0), number("mean", mean)
    lower, upper = number("lower", lower), number("upper", upper)
    if not lower < 0.0 < upper:
        raise ValueError(f"lower, upper: expected lower < 0 < upper, got {lower}, {upper}")
    # Rejection from whichever proposal accepts more. With 0 between the bounds that is about every
    # second draw at worst.
    from_uniform = upper - lower < math.sqrt(2.0 * math.pi)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        z = np.empty(math.prod(shape))
        slots = np.arange(z.size)
        while slots.size:
            if from_uniform:
                proposal = rng.uniform(lower, upper, slots.size)
                accepted = rng.random(slots.size) < np.exp(-0.5 * proposal * proposal)
            else:
                proposal = rng.standard_normal(slots.size)
                accepted = (lower <= proposal) & (proposal <= upper)
            z[slots] = proposal
            slots = slots[~accepted]
        return mean + std * z.reshape(shape)

    settings = (("std", std), ("mean", mean), ("lower", lower), ("upper", upper))
    return Initializer("truncated_normal", settings, draw)
