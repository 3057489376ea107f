"""`StepLength`: how far along the updates the loss falls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements

_ROUNDING = 1e-6  # of a loss of float32
_ENOUGH = 6  # steps of which a fraction is worth something


@dataclass(frozen=True)
class StepLength:
    """How long the steps of a window are, where -1 is no step, 0 ends at the least loss along it.

    A quadratic through the loss before, the slope along the update and the loss after (alpha of
    Cockpit, Schneider et al. 2021): ``1 + 2 (after - before) / |slope|``; beyond 1 the loss is
    higher than before. The slope is that which norms allow, ``sum |g| |update|`` of the tensors:
    exact for plain gradient descent, at least as steep as that of other updates. So a length below
    1 is at most what is said here, and one beyond 1 at least that.

    Cockpit measures both losses on the same rows, which costs another forward pass. Here they are
    those of the steps of a window, whose changes add up to that from the first to the last, and
    what other rows change about it is told from how losses bend. That makes `high` a bound that a
    rule may rest on: nothing but short steps keeps the whole slope. Great lengths show nothing as
    long as rows differ: noise makes gradients larger, but not those of other rows, so that the
    length goes to 1 at any rate, and where steps are tiny the rest is divided by next to nothing.
    Only where all steps have the same rows is a loss that rises the step's own fault (`rises`).

    Attributes
    ----------
    middle, high : float
        NaN where nothing is known.
    rises : float
        Fraction of the steps after which the loss is higher, by more than float32 rounds; NaN where
        they are so few that one more makes a difference.
    """

    middle: float
    high: float
    rises: float

    @classmethod
    def of(cls, recent: Measurements) -> StepLength:
        """That of a window."""
        losses = recent.losses
        slopes = (recent.gradient_norms * recent.update_norms).sum(axis=1)[:-1]
        slope = float(slopes.sum())
        if len(losses) < 4 or not (math.isfinite(slope) and np.isfinite(losses).all() and slope):
            return cls(math.nan, math.nan, math.nan)
        change = float(losses[-1] - losses[0])
        error = 2 * math.sqrt(2) * noise(losses)
        rises = np.diff(losses) > _ROUNDING * np.abs(losses[:-1])
        middle, high = (1 + 2 * d / slope for d in (change, change + error))
        return cls(middle, high, float(rises.mean()) if len(rises) >= _ENOUGH else math.nan)


def noise(losses: Array) -> float:
    """Deviation of losses (K,) around straight lines through their neighbours."""
    bends = losses[1:-1] - 0.5 * (losses[:-2] + losses[2:])
    return float(np.sqrt(np.mean(bends**2) / 1.5))
