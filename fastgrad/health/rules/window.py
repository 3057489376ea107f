"""`Window`: what rules look at; `Losses`: those of a whole run, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.health.measurements import Measurements
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import median
from fastgrad.health.rules.step_length import StepLength

_BLOCKS = 128


class Losses:
    """Mean and least loss of stretches of steps, all of the same number, which doubles at times.

    At most 256 stretches are kept, so that runs of any length fit.

    Attributes
    ----------
    length : int
        Steps of a stretch.
    means : ndarray, (B,)
        Of each stretch, the oldest first.
    """

    def __init__(self) -> None:
        self.length = 1
        self.means: Array = np.zeros(0)
        self._rest: Array = np.zeros(0)

    def state(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        return {"length": self.length, "means": self.means, "rest": self._rest}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.length = state["length"]
        self.means, self._rest = (np.array(state[name], float) for name in ("means", "rest"))

    def add(self, losses: Array) -> None:
        """Losses of further steps; those that are not finite are left out."""
        rest = np.concatenate([self._rest, losses[np.isfinite(losses)]])
        while len(rest) >= self.length:
            count = min(len(rest) // self.length, 2 * _BLOCKS - len(self.means))
            whole, rest = rest[: count * self.length], rest[count * self.length :]
            found = whole.reshape(count, self.length).mean(axis=1)
            self.means = np.concatenate([self.means, found])
            if len(self.means) == 2 * _BLOCKS:
                self.means = self.means.reshape(-1, 2).mean(axis=1)
                self.length *= 2
        self._rest = rest


@dataclass(frozen=True)
class RecentLoss:
    """The loss of the last quarter of a run.

    Errors are standard ones, of what differs between one stretch and the next (von Neumann et al.
    1941), so that a loss that falls all the time does not seem to be noisy by it. They are root
    mean squares: of losses that are small at most steps and large at a few, such as those of rare
    classes, medians would tell too little.

    Attributes
    ----------
    mean, error : float
        Of the last quarter.
    fall, fall_error : float
        From the quarter before it.
    """

    mean: float
    error: float
    fall: float
    fall_error: float

    @classmethod
    def of(cls, means: Array) -> RecentLoss:
        """That of mean losses (B,) of stretches of a run."""
        count = max(1, len(means) // 4)
        if len(means) < 2 * count:
            return cls(math.nan, math.nan, math.nan, math.nan)
        before, now = means[-2 * count : -count], means[-count:]
        changes = np.diff(means[-2 * count :])
        error = math.sqrt(float(np.mean(changes**2)) / 2 / count)
        mean = float(now.mean())
        return cls(mean, error, float(before.mean()) - mean, math.sqrt(2) * error)


@dataclass(frozen=True)
class Window:
    """Recent steps, and what is kept of all that came before.

    Attributes
    ----------
    recent : Measurements
        Those since the last look, at least four.
    first : Measurements
        The first steps of all.
    losses : Losses
        Of all steps, without penalties.
    weights : ndarray of bool, (S,)
        Which tensors are weights that are meant to change.
    constant_loss : float
        As that of `Facts`.
    profile, first_profile : dict of str to float
        The gradient of each layer's outputs over that of the last one's, a median over steps; and
        that of the first step.
    relative : float
        Update of the weights over their norm, as `steps.relative` has it.
    rising : float
        Largest update of the weights over their norm so far, as a median over a window.
    flow : tuple of float
        The gradient of the first layer over that of the last one at the last looks, six at most.
    dead_units : dict of str to float
        Fraction of the units of each layer that are proven to be dead for all inputs between the
        least and the largest value of each feature.
    silent_units : dict of str to float
        Fraction of those that were not alive at any row of the last epoch.
    failure : GradientError, optional
        What has ended the run, or was left out of it, after these steps.
    val_losses : tuple of float
        After the last epochs.
    """

    recent: Measurements
    first: Measurements
    losses: Losses
    weights: Array
    constant_loss: float = math.nan
    profile: Mapping[str, float] = field(default_factory=dict)
    first_profile: Mapping[str, float] = field(default_factory=dict)
    relative: float = math.nan
    rising: float = 0.0
    flow: tuple[float, ...] = ()
    dead_units: Mapping[str, float] = field(default_factory=dict)
    silent_units: Mapping[str, float] = field(default_factory=dict)
    failure: GradientError | None = None
    val_losses: tuple[float, ...] = ()

    @cached_property
    def steps(self) -> int:
        """Steps done."""
        return int(self.recent.steps[-1]) + 1 if len(self.recent) else 0

    @property
    def start(self) -> int:
        """Steps done before the window."""
        if len(self.recent):
            return int(self.recent.steps[0])
        return 0 if self.failure is None else self.failure.step

    @cached_property
    def broken(self) -> bool:
        """Whether a number in it is none."""
        bad = self.recent.gradient_nonfinite.any() or not np.isfinite(self.recent.losses).all()
        return self.failure is not None or bool(bad)

    @cached_property
    def means(self) -> Array:
        """(B,): as those of `losses`."""
        return self.losses.means

    @property
    def tenth(self) -> int:
        """How many of the stretches of losses are a tenth of them."""
        return max(1, len(self.means) // 10)

    @cached_property
    def least(self) -> float:
        """The least mean loss of a tenth of the run so far; NaN without any."""
        if not len(self.means):
            return math.nan
        return float(np.convolve(self.means, np.ones(self.tenth) / self.tenth, "valid").min())

    @cached_property
    def error(self) -> float:
        """Standard error of the mean loss of a tenth of the run."""
        noise = median(np.abs(np.diff(self.means))) if len(self.means) > 1 else 0.0
        return 1.05 * noise / math.sqrt(self.tenth)  # of normal numbers: 1.4826 / sqrt(2)

    @cached_property
    def last(self) -> float:
        """The mean loss of the last tenth; NaN without any."""
        return float(self.means[-self.tenth :].mean()) if len(self.means) else math.nan

    @cached_property
    def recent_loss(self) -> RecentLoss:
        """Where the loss is now, and how sure that is."""
        return RecentLoss.of(self.means)

    @cached_property
    def progress(self) -> float:
        """How far the loss has come from that of constant outputs (0) towards 0 (1).

        The best tenth of the run so far counts, less two standard errors: a run that is worse again
        keeps its progress, and one that has had luck with a few minibatches has made none. Where
        the loss of constant outputs is not known, the first one takes its place.
        """
        if not len(self.means):
            return 0.0
        return float(1 - (self.least + 2 * self.error) / self.reference)

    @cached_property
    def fallen(self) -> float:
        """How far the loss has come from the first tenth of the run; as `progress` has it."""
        if not len(self.means):
            return 0.0
        first = float(self.means[: self.tenth].mean())
        return 1 - (self.least + 2 * self.error) / first if first > 0 else 0.0

    @cached_property
    def gain(self) -> float:
        """The same of the last tenth alone."""
        return float(1 - self.last / self.reference) if len(self.means) else 0.0

    @cached_property
    def reference(self) -> float:
        """The loss of constant outputs, or the first one."""
        if self.constant_loss > 0:
            return self.constant_loss
        first = float(self.means[0]) if len(self.means) else math.nan
        return first if first > 0 else math.nan

    @cached_property
    def growth(self) -> float:
        """How many times larger weights are than they were, as a median; 1 where there is none."""
        if not (self.weights.any() and len(self.first) and len(self.recent)):
            return 1.0
        before = self.first.weight_norms[0, self.weights]
        now = self.recent.weight_norms[-1, self.weights]
        good = (before > 0) & np.isfinite(now)
        return median(now[good] / before[good]) if good.any() else 1.0

    @cached_property
    def step_length(self) -> StepLength:
        """Of the recent steps."""
        return StepLength.of(self.recent)

    def stands(self, limits: Limits) -> bool:
        """Whether nothing is learned: chance allows neither better losses nor ones that fall."""
        recent = self.recent_loss
        hopeful = 1 - (recent.mean - 2 * recent.error) / self.reference
        falls = recent.fall + 2 * recent.fall_error > limits.learning * self.reference
        return self.progress < limits.stuck and hopeful < limits.stuck and not falls

    def severity(self, limits: Limits, far: bool) -> str:
        """How bad a symptom is for a run that has come as far as this one.

        A symptom that does no harm is worth no more than a remark: it is critical where nothing is
        learned and it is far beyond its limit, and a warning where one of both holds.
        """
        learning = not (self.progress < limits.learning or self.broken)
        if far:
            if not learning:
                return "critical"
            return "warning" if self.progress < limits.learned else "info"
        early = self.steps < limits.patience and not self.broken
        return "info" if learning or early else "warning"

    def severity_at_birth(self, limits: Limits, far: bool) -> str:
        """The same of a symptom that was there at the first step.

        It has cost the run steps, whether it has passed since or not, and is worth a warning until
        the run has nearly come to its end.
        """
        found = self.severity(limits, far)
        return "warning" if found == "info" and self.progress < limits.almost else found
