"""`Diagnosis`: a setup before and after treatment, and what was tried."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastgrad.clipping import Clip
from fastgrad.health.treatment.trial import Trial
from fastgrad.health.verdicts import Verdict
from fastgrad.model import Sequential
from fastgrad.optimizers import Optimizer
from fastgrad.penalties import Penalty

if TYPE_CHECKING:
    from fastgrad.run import Run


@dataclass(frozen=True)
class Change:
    """Something that was tried, with what it did.

    Attributes
    ----------
    cure : str
        Its name, as in what `Verdict.cures` start with.
    what : str
        What was changed.
    why : str
        The cause that the first verdict named.
    before, after : float
        Loss of rows held out after the same number of steps without and with it; inf where
        training broke off.
    error : float
        Standard error of the difference.
    left : tuple of Verdict
        Warnings that are left with it.
    """

    cure: str
    what: str
    why: str
    before: float
    after: float
    error: float
    left: tuple[Verdict, ...] = ()

    def __str__(self) -> str:
        left = "" if not self.left else f", {_count(len(self.left), 'warning')} left"
        return f"{self.cure}: {self.what}: {_told(self.before)} -> {_told(self.after)}{left}"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `doctor` hands back: a setup to train with, and how it was found.

    Attributes
    ----------
    model : Sequential
        Not trained; the one that was given is left as it was.
    optimizer : Optimizer
    clip : tuple of Clip or None
    regularizers : tuple of Penalty or None
    changes : tuple of Change
        What was changed, in this order; empty for a setup that comes back as it was.
    rejected : tuple of Change
        What was tried and did not help, or less.
    before, after : Trial
        Runs of the setup as it was given and as it is handed back.
    steps, trials, shorter : int
        Steps of each trial, how many there were, and how many of them had fewer steps, with which
        nothing helped.
    """

    changes: tuple[Change, ...]
    rejected: tuple[Change, ...]
    before: Trial
    after: Trial
    steps: int
    trials: int
    shorter: int = 0

    @property
    def model(self) -> Sequential:
        """The model to train."""
        return self.after.setup.model

    @property
    def optimizer(self) -> Optimizer:
        """What to train it with."""
        return self.after.setup.optimizer

    @property
    def clip(self) -> tuple[Clip, ...] | None:
        """What its gradient is to go through."""
        return self.after.setup.clip or None

    @property
    def regularizers(self) -> tuple[Penalty, ...] | None:
        """What is to be added to its loss."""
        return self.after.setup.regularizers or None

    @property
    def verdicts(self) -> dict[str, tuple[Verdict, ...]]:
        """Those "before" and "after"."""
        return {"before": self.before.verdicts, "after": self.after.verdicts}

    def fit(self, X: Any, y: Any, *, loss: Any, **options: Any) -> Run:
        """`fastgrad.fit` of the model with these settings; `options` are its other arguments."""
        from fastgrad.fitting import fit  # which knows of health itself

        return fit(
            self.model,
            X,
            y,
            loss=loss,
            optimizer=self.optimizer,
            clip=self.clip,
            regularizers=self.regularizers,
            **options,
        )

    def report(self) -> str:
        """What was wrong, what was done about it, and what came of it, as text."""
        lines = [f"{self._trials()}, judged by rows held out"]
        lines += ["", "before: " + _state(self.before)]
        lines += [f"  {verdict}" for verdict in self.before.symptoms]
        if not self.changes:
            lines += ["", f"nothing is changed: {self._nothing()}"]
        for i, change in enumerate(self.changes):
            lines += ["", f"{i + 1}. {change.cure}: {change.what}"]
            lines += [f"   because {change.why}"]
            lines += [f"   loss {_told(change.before)} -> {_told(change.after)}{_error(change)}"]
        if self.changes:
            lines += ["", "after: " + _state(self.after)]
            lines += [f"  {verdict}" for verdict in self.after.warnings]
        if self.rejected:
            lines += ["", "tried, and not taken:"]
            lines += [f"  {change}" for change in self.rejected]
        return "\n".join(lines)

    def _trials(self) -> str:
        longest = self.trials - self.shorter
        each = " each" * (longest > 1)
        told = f"{_count(longest, 'trial')} of {_count(self.steps, 'step')}{each}"
        return told if not self.shorter else f"{told} after {self.shorter} shorter ones"

    def _nothing(self) -> str:
        if self.before.ok:
            return "nothing is wrong"
        return "no cure helped by more than chance" if self.rejected else "no cure was tried"

    def __repr__(self) -> str:
        done = "; ".join(change.what for change in self.changes) or "nothing is changed"
        return f"<Diagnosis: loss {_told(self.before.loss)} -> {_told(self.after.loss)}: {done}>"


def _state(trial: Trial) -> str:
    found = _count(len(trial.warnings), "warning") if trial.warnings else "nothing is wrong"
    return f"loss {_told(trial.loss)}, {found}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _error(change: Change) -> str:
    """Nothing beside a run that broke off: its loss has no scatter."""
    if not math.isfinite(change.before):
        return ""
    return f" (standard error of the difference {change.error:.2g})"


def _told(loss: float) -> str:
    return f"{loss:.4g}" if math.isfinite(loss) else "not finite"
