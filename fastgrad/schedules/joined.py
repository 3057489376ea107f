"""Schedules made of others: after a warm-up, one after another, multiplied."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.schedules.base import Schedule, between, duration, in_steps, schedule
from fastgrad.schedules.decays import Constant, durations

if TYPE_CHECKING:
    from fastgrad.schedules.plateau import ReduceOnPlateau


class Warmup(Schedule):
    """Climbs to where another schedule starts, along a line, and goes on with that one.

    Parameters
    ----------
    steps : int or float
        Duration.
    then : Schedule, optional
        Has the rest of the run as its own: ``Warmup(0.1, then=Cosine())`` ends with the run.
        By default the factor stays 1.
    start : float, optional
        Factor of the first step, as a part of the first factor of `then`, in [0, 1]; 1 / steps by
        default, so that the first step is not lost.
    """

    def __init__(
        self, steps: int | float, then: Schedule | None = None, start: float | None = None
    ) -> None:
        self.steps = duration("steps", steps)
        self.then = Constant() if then is None else schedule("then", then)
        self.start = None if start is None else checks.number("start", start, 0, 1)

    def curve(self, steps: Array, total: int | None) -> Array:
        """The line from `start` to 1, times the factors of `then`."""
        length, later, rest = self._after(steps, total)
        start = 1 / length if self.start is None else self.start
        return between(start, 1.0, np.minimum(steps / length, 1)) * self.then.curve(later, rest)

    def momentum_curve(self, steps: Array, total: int | None) -> Array | None:
        """That of `then`, whose first one holds from the start."""
        _, later, rest = self._after(steps, total)
        return self.then.momentum_curve(later, rest)

    def plateaus(self) -> list[ReduceOnPlateau]:
        """Those of `then`."""
        return self.then.plateaus()

    def _after(self, steps: Array, total: int | None) -> tuple[int, Array, int | None]:
        """Length of the warm-up, the steps of `then` (0 before its time), and its total."""
        length = in_steps("steps", self.steps, total)
        return length, np.maximum(steps - length, 0), _length(length, total)


class Sequence(Schedule):
    """One schedule after another.

    Each counts its steps from its own start, and takes fractions of its own part of the run.

    Parameters
    ----------
    schedules : list of Schedule
        Two or more.
    milestones : list of int or float
        Durations from the start, in order: where all but the first begin.
    """

    def __init__(self, schedules: Any, milestones: Any) -> None:
        self.schedules = _schedules(schedules)
        self.milestones = durations("milestones", milestones)
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"milestones must be {len(self.schedules) - 1} for {len(self.schedules)} "
                f"schedules, got {len(self.milestones)}"
            )

    def curve(self, steps: Array, total: int | None) -> Array:
        """The factors of the schedule whose turn it is."""
        starts, lengths = self._parts(total)
        parts = zip(self.schedules, starts, lengths, strict=True)
        return _in_turn(
            steps, starts, [s.curve(np.maximum(steps - at, 0), n) for s, at, n in parts]
        )

    def momentum_curve(self, steps: Array, total: int | None) -> Array | None:
        """The momenta of the schedule whose turn it is; one that has none keeps its neighbour's."""
        starts, lengths = self._parts(total)
        known = []
        for s, at, length in zip(self.schedules, starts, lengths, strict=True):
            momenta = s.momentum_curve(np.maximum(steps - at, 0), length)
            if momenta is not None:
                known.append((at, momenta))
        if not known:
            return None
        # outside of its own part, a schedule goes on with its first or its last momentum
        return _in_turn(steps, [at for at, _ in known], [momenta for _, momenta in known])

    def plateaus(self) -> list[ReduceOnPlateau]:
        """Those of all parts."""
        return [one for part in self.schedules for one in part.plateaus()]

    def _parts(self, total: int | None) -> tuple[list[int], list[int | None]]:
        """Where each schedule starts, and its total."""
        starts = [0] + [in_steps("milestones", one, total) for one in self.milestones]
        if any(stop <= start for start, stop in pairwise(starts)):
            raise ValueError(f"milestones must rise, got {self.milestones}, steps {starts[1:]}")
        stops = [*starts[1:], total]
        return starts, [_length(start, stop) for start, stop in zip(starts, stops, strict=True)]


class Product(Schedule):
    """Schedules multiplied: what ``a * b`` makes.

    Parameters
    ----------
    schedules : list of Schedule
        Two or more, of which one at most may change the momentum.
    """

    def __init__(self, schedules: Any) -> None:
        self.schedules = _schedules(schedules)

    def curve(self, steps: Array, total: int | None) -> Array:
        """The product of all factors."""
        found = np.ones(steps.shape)
        for one in self.schedules:
            found *= one.curve(steps, total)
        return found

    def momentum_curve(self, steps: Array, total: int | None) -> Array | None:
        """That of the schedule which has one."""
        curves = (one.momentum_curve(steps, total) for one in self.schedules)
        found = [momenta for momenta in curves if momenta is not None]
        if len(found) > 1:
            raise ValueError(f"{len(found)} of the schedules multiplied change the momentum")
        return found[0] if found else None

    def plateaus(self) -> list[ReduceOnPlateau]:
        """Those of all factors."""
        return [one for part in self.schedules for one in part.plateaus()]


def _schedules(values: Any) -> tuple[Schedule, ...]:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"schedules must be a list of Schedule, got {values!r}")
    if len(values) < 2:
        raise ValueError(f"schedules must be two or more, got {len(values)}")
    return tuple(schedule(f"schedules[{i}]", value) for i, value in enumerate(values))


def _length(start: int, stop: int | None) -> int | None:
    """Steps between; at least 1, for what a short run does not come to."""
    return None if stop is None else max(1, stop - start)


def _in_turn(steps: Array, starts: list[int], values: list[Array]) -> Array:
    """The values of the last one that has started."""
    found = values[0]
    for start, later in zip(starts[1:], values[1:], strict=True):
        found = np.where(steps >= start, later, found)
    return found
