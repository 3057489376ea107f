"""Schedules of cosines: annealing with or without warm restarts, and one cycle."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.schedules.base import Schedule, between, duration, half_cosine, in_steps


class Cosine(Schedule):
    """Half a cosine from 1 to `end`, which it keeps; several cycles are warm restarts.

    SGDR (Loshchilov & Hutter 2017, eq. 5). Each cycle starts at 1 again.

    Parameters
    ----------
    steps : int or float
        Duration of all cycles together.
    end : float
        In [0, 1].
    cycles : int
    cycle_mult : float
        Length of a cycle, as a multiple of the one before; above 0. Cycles start on whole steps.
    """

    def __init__(
        self,
        steps: int | float = 1.0,
        end: float = 0.0,
        cycles: int = 1,
        cycle_mult: float = 1.0,
    ) -> None:
        self.steps = duration("steps", steps)
        self.end = checks.number("end", end, 0, 1)
        self.cycles = checks.count("cycles", cycles)
        self.cycle_mult = checks.number("cycle_mult", cycle_mult, 0, open_low=True)
        if isinstance(self.steps, int):
            self._starts(self.steps)

    def curve(self, steps: Array, total: int | None) -> Array:
        """``end + (1 - end) (1 + cos(pi u)) / 2``, u being the part of the cycle that is done."""
        starts = self._starts(in_steps("steps", self.steps, total))
        cycle = np.minimum(np.searchsorted(starts, steps, side="right") - 1, self.cycles - 1)
        done = (steps - starts[cycle]) / np.diff(starts)[cycle]
        return half_cosine(1.0, self.end, np.minimum(done, 1))

    def _starts(self, length: int) -> Array:
        """The step at which each cycle starts, and that at which the last one ends."""
        if self.cycles <= length:
            # the longest cycle has the weight 1, so that no weight overflows
            powers = np.arange(self.cycles) - (self.cycles - 1 if self.cycle_mult > 1 else 0)
            ends = np.cumsum(self.cycle_mult**powers)
            starts = np.concatenate([[0], np.rint(ends / ends[-1] * length)]).astype(np.int64)
            if np.diff(starts).min() > 0:
                return starts
        raise ValueError(
            f"{self.cycles} cycles, each {self.cycle_mult:g} times as long as the one before, do "
            f"not fit into {length} steps"
        )


class OneCycle(Schedule):
    """From `start` up to 1 and down to `end`, once (Smith & Topin 2018), as in PyTorch.

    The learning rate of the optimizer is the peak. The last of the `steps` has the factor `end`,
    which stays.

    Parameters
    ----------
    steps : int or float
        Duration.
    rise : float
        The part of it that goes up, in (0, 1): the peak is ``rise * steps`` steps into the cycle,
        counted from 1.
    start, end : float
        In [0, 1]; PyTorch's ``1 / div_factor`` and ``1 / (div_factor * final_div_factor)``.
    anneal : "cosine" or "linear"
    momentum_range : (float, float), optional
        The lowest and the highest momentum (of Adam: beta1), each in [0, 1). The momentum then
        goes the other way: from high to low and back to high.
    """

    def __init__(
        self,
        steps: int | float = 1.0,
        rise: float = 0.3,
        start: float = 1 / 25,
        end: float = 1 / 250000,
        anneal: str = "cosine",
        momentum_range: Any = None,
    ) -> None:
        self.steps = duration("steps", steps)
        self.rise = checks.number("rise", rise, 0, 1, open_low=True, open_high=True)
        self.start = checks.number("start", start, 0, 1)
        self.end = checks.number("end", end, 0, 1)
        if anneal not in ("cosine", "linear"):
            raise ValueError(f"anneal must be 'cosine' or 'linear', got {anneal!r}")
        self.anneal = anneal
        self.momentum_range = None if momentum_range is None else _low_high(momentum_range)

    def curve(self, steps: Array, total: int | None) -> Array:
        """`start` to 1 until the peak, 1 to `end` from there."""
        return self._up_and_down(steps, total, self.start, 1.0, self.end)

    def momentum_curve(self, steps: Array, total: int | None) -> Array | None:
        """High to low until the peak, low to high from there; None without a `momentum_range`."""
        if self.momentum_range is None:
            return None
        low, high = self.momentum_range
        return self._up_and_down(steps, total, high, low, high)

    def _up_and_down(
        self, steps: Array, total: int | None, start: float, middle: float, end: float
    ) -> Array:
        # a cycle of few steps may have its peak before its first step, at peak <= 0
        length = in_steps("steps", self.steps, total)
        peak, last = self.rise * length - 1, length - 1
        anneal = half_cosine if self.anneal == "cosine" else between
        up = np.minimum(steps / peak, 1) if peak > 0 else np.ones(steps.shape)
        down = np.clip((steps - peak) / (last - peak), 0, 1)
        return np.where(steps <= peak, anneal(start, middle, up), anneal(middle, end, down))


def _low_high(values: Any) -> tuple[float, float]:
    if not isinstance(values, (list, tuple)) or len(values) != 2:
        raise TypeError(f"momentum_range must be a pair of numbers, got {values!r}")
    low, high = (
        checks.number(f"momentum_range[{i}]", value, 0, 1, open_high=True)
        for i, value in enumerate(values)
    )
    if low > high:
        raise ValueError(f"momentum_range must be (lowest, highest), got ({low:g}, {high:g})")
    return low, high
