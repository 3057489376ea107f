"""`Window`: what rules look at; `Losses`: those of a whole run, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.health.measurements import Measurements
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits

_BLOCKS = 128


class Losses:
    """Mean and least loss of stretches of steps, all of the same number, which doubles at times.

    At most 128 stretches are kept, so that runs of any length fit.
    """

    def __init__(self) -> None:
        self.length = 1  # steps of a stretch
        self._means: list[float] = []
        self._rest: list[float] = []

    def add(self, losses: Array) -> None:
        """Losses of further steps; those that are not finite are left out."""
        for loss in losses[np.isfinite(losses)].tolist():
            self._rest.append(loss)
            if len(self._rest) == self.length:
                self._means.append(sum(self._rest) / self.length)
                self._rest.clear()
            if len(self._means) == 2 * _BLOCKS:
                pairs = zip(self._means[::2], self._means[1::2], strict=True)
                self._means = [(a + b) / 2 for a, b in pairs]
                self.length *= 2

    @property
    def means(self) -> Array:
        """(B,): of each stretch, the oldest first."""
        return np.array(self._means)


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
    rising: float = 0.0
    flow: tuple[float, ...] = ()
    dead_units: Mapping[str, float] = field(default_factory=dict)
    silent_units: Mapping[str, float] = field(default_factory=dict)
    failure: GradientError | None = None
    val_losses: tuple[float, ...] = ()

    @property
    def steps(self) -> int:
        """Steps done."""
        return int(self.recent.steps[-1]) + 1 if len(self.recent) else 0

    @property
    def start(self) -> int:
        """Steps done before the window."""
        if len(self.recent):
            return int(self.recent.steps[0])
        return 0 if self.failure is None else self.failure.step

    @property
    def broken(self) -> bool:
        """Whether a number in it is none."""
        bad = self.recent.gradient_nonfinite.any() or not np.isfinite(self.recent.losses).all()
        return self.failure is not None or bool(bad)

    def progress(self, facts: Facts) -> float:
        """How far the loss has come from that of constant outputs (0) towards 0 (1).

        The best tenth of the run so far counts, less two standard errors: a run that is worse again
        keeps its progress, and one that has had luck with a few minibatches has made none. Where
        the loss of constant outputs is not known, the first one takes its place.
        """
        means = self.losses.means
        if not len(means):
            return 0.0
        count = max(1, len(means) // 10)
        smooth = np.convolve(means, np.ones(count) / count, "valid")
        noise = float(np.median(np.abs(np.diff(means)))) if len(means) > 1 else 0.0
        error = 1.05 * noise / math.sqrt(count)  # of normal numbers: 1.4826 / sqrt(2)
        return float(1 - (smooth.min() + 2 * error) / self.reference(facts))

    def gain(self, facts: Facts) -> float:
        """The same of the last tenth alone."""
        means = self.losses.means
        if not len(means):
            return 0.0
        return float(1 - means[-max(1, len(means) // 10) :].mean() / self.reference(facts))

    def reference(self, facts: Facts) -> float:
        """The loss of constant outputs, or the first one."""
        known = facts.constant_loss
        if known > 0:
            return known
        first = float(self.losses.means[0]) if len(self.losses.means) else math.nan
        return first if first > 0 else math.nan

    def severity(self, facts: Facts, limits: Limits, far: bool) -> str:
        """How bad a symptom is for a run that has come as far as this one.

        A symptom that does no harm is worth no more than a remark: it is critical where nothing is
        learned and it is far beyond its limit, and a warning where one of both holds.
        """
        progress = self.progress(facts)
        broken = self.broken
        learning = not (progress < limits.learning or broken)
        if far:
            if not learning:
                return "critical"
            return "warning" if progress < limits.learned else "info"
        early = self.steps < limits.patience and not broken
        return "info" if learning or early else "warning"

    def weights(self, facts: Facts) -> Array:
        """(S,): which tensors are weights that are meant to change."""
        names = self.recent.tensors
        return np.array([n in facts.weights and n not in facts.frozen for n in names], bool)
