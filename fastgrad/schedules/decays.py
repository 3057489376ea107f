"""Schedules of one piece: lines, stairs and powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.schedules.base import Schedule, between, duration, in_steps


class Constant(Schedule):
    """The same factor all the time.

    Parameters
    ----------
    factor : float
        At least 0.
    """

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = checks.number("factor", factor, 0)

    def curve(self, steps: Array, total: int | None) -> Array:
        """`factor`."""
        return np.full(steps.shape, self.factor)


class Linear(Schedule):
    """A line from `start` to `end`, which it keeps from then on.

    Parameters
    ----------
    steps : int or float
        Duration; the step of this number is the first with the factor `end`.
    start, end : float
        At least 0.
    """

    def __init__(self, steps: int | float = 1.0, start: float = 1.0, end: float = 0.0) -> None:
        self.steps = duration("steps", steps)
        self.start = checks.number("start", start, 0)
        self.end = checks.number("end", end, 0)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``start + (end - start) min(t / steps, 1)``."""
        done = np.minimum(steps / in_steps("steps", self.steps, total), 1)
        return between(self.start, self.end, done)


class Polynomial(Schedule):
    """A power of the time that is left: from 1 to `end`, which it keeps from then on.

    Parameters
    ----------
    steps : int or float
        Duration.
    power : float
        Above 0; 1 is a line.
    end : float
        At least 0.
    """

    def __init__(self, steps: int | float = 1.0, power: float = 1.0, end: float = 0.0) -> None:
        self.steps = duration("steps", steps)
        self.power = checks.number("power", power, 0, open_low=True)
        self.end = checks.number("end", end, 0)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``end + (1 - end) (1 - min(t / steps, 1))^power``."""
        length = in_steps("steps", self.steps, total)
        left = np.maximum(length - steps, 0) / length
        return between(self.end, 1.0, np.power(left, self.power))


class Step(Schedule):
    """Multiplies with `factor` after every so many steps.

    Parameters
    ----------
    every : int or float
        Duration.
    factor : float
        In (0, 1].
    """

    def __init__(self, every: int | float, factor: float = 0.1) -> None:
        self.every = duration("every", every)
        self.factor = _decay(factor)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``factor^floor(t / every)``."""
        return _power(self.factor, steps // in_steps("every", self.every, total))


class MultiStep(Schedule):
    """Multiplies with `factor` at each milestone.

    Parameters
    ----------
    milestones : sequence of int or float
        Durations from the start, in order.
    factor : float
        In (0, 1].
    """

    def __init__(self, milestones: Any, factor: float = 0.1) -> None:
        self.milestones = durations("milestones", milestones)
        self.factor = _decay(factor)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``factor^m`` after m milestones."""
        at = [in_steps("milestones", one, total) for one in self.milestones]
        if at != sorted(at):
            raise ValueError(f"milestones must be in order, got {self.milestones}, steps {at}")
        return _power(self.factor, np.searchsorted(at, steps, side="right"))


class Exponential(Schedule):
    """Falls at all times, by `factor` in every so many steps.

    Parameters
    ----------
    every : int or float
        Duration: ``Exponential(1, 0.999)`` falls by 0.1% with each step, ``Exponential(1.0, 0.01)``
        to 1% over the run.
    factor : float
        In (0, 1].
    """

    def __init__(self, every: int | float, factor: float = 0.1) -> None:
        self.every = duration("every", every)
        self.factor = _decay(factor)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``factor^(t / every)``."""
        return _power(self.factor, steps / in_steps("every", self.every, total))


class InverseSquareRoot(Schedule):
    """Falls with the square root of time (Vaswani et al. 2017, eq. 3, without its warm-up).

    Theirs is ``Warmup(w, then=InverseSquareRoot(w))``, with the learning rate at its peak.

    Parameters
    ----------
    timescale : int or float
        Duration; after three times as long the factor is 1/2.
    """

    def __init__(self, timescale: int | float) -> None:
        self.timescale = duration("timescale", timescale)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``1 / sqrt(1 + t / timescale)``."""
        return 1 / np.sqrt(1 + steps / in_steps("timescale", self.timescale, total))


def durations(name: str, values: Any) -> tuple[int | float, ...]:
    """One duration or more."""
    if not isinstance(values, (list, tuple)) or not values:
        raise TypeError(f"{name} must be a list of durations, got {values!r}")
    return tuple(duration(f"{name}[{i}]", value) for i, value in enumerate(values))


def _power(factor: float, exponents: Array) -> Array:
    # With a single exponent of 2 np.power squares, which rounds otherwise; so there are always two.
    powers: Array = np.power(factor, np.append(exponents, 0.0))
    return powers[:-1].reshape(exponents.shape)


def _decay(factor: Any) -> float:
    return checks.number("factor", factor, 0, 1, open_low=True)
