"""`Monitor`: gives rules what they look at, and believes them once they repeat themselves."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.errors import GradientError
from fastgrad.health.measurements import Measurements
from fastgrad.health.rules import depth, losses, nonfinite, shaping, starts, steps, time, units
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.ranking import ranked
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Losses, Window
from fastgrad.health.verdicts import SEVERITIES, Verdict

RULES: tuple[Rule, ...] = (
    *starts.RULES,
    *shaping.RULES,
    *steps.RULES,
    *units.RULES,
    *depth.RULES,
    *time.RULES,
    *nonfinite.RULES,
    *losses.RULES,
)

_SHORTEST = 4  # steps between two looks
_LONGEST = 256  # steps of a window
_LONG_GONE = 10  # times as many steps as it lasted, and a finding is forgotten in any case
_EPOCHS = 64  # whose validation losses are kept
_FIRST = 4  # steps kept of the start


@dataclass
class _Belief:
    """What became of one rule so far."""

    votes: deque[bool]
    finding: Finding | None = None
    first_step: int = 0
    last_step: int = 0
    held: bool = False


@dataclass(frozen=True)
class _Epoch:
    """What is known at the end of one."""

    steps: int
    val_loss: float | None
    dead_units: Mapping[str, float] | None
    silent_units: Mapping[str, float] | None


class Monitor:
    """Judges a run while it goes on, in memory that does not grow with it.

    It looks at the first steps four by four, later whenever a tenth more of them have been made,
    and at once where a number is not finite.

    Parameters
    ----------
    facts : Facts
    rules : sequence of Rule
    limits : Limits
    losses : Losses, optional
        Of the steps before, where a run goes on.
    """

    def __init__(
        self,
        facts: Facts,
        rules: Sequence[Rule] = RULES,
        limits: Limits | None = None,
        losses: Losses | None = None,
    ) -> None:
        self.facts = facts
        self.rules = tuple(rules)
        self.limits = limits or Limits()
        self._beliefs = {rule.name: _Belief(deque(maxlen=rule.votes[1])) for rule in rules}
        self._pending: Measurements | None = None  # the last steps since a look
        self._waiting = 0  # all of them
        self._first: Measurements | None = None
        self._losses = losses or Losses()
        self._rising = 0.0
        self._flow: deque[float] = deque(maxlen=6)
        self._dead: dict[str, float] = {}
        self._silent: dict[str, float] = {}
        self._val_losses: deque[float] = deque(maxlen=_EPOCHS)
        self._epochs: deque[_Epoch] = deque()  # whose last steps have not been shown
        self._seen = 0  # steps
        self._looked = 0
        self._looks = 0
        self._weights = np.zeros(0, bool)
        self._first_profile: Mapping[str, float] = {}

    def observe(self, measurements: Measurements) -> None:
        """Take the measurements of further steps, which may change afterwards."""
        done = 0
        while done < len(measurements):
            due = max(_SHORTEST, self._looked // 10)
            part = measurements[done : done + max(1, due - self._waiting)]
            if not self._looks and self._epochs:  # of a few steps, perhaps
                part = part[: max(1, self._epochs[0].steps - self._seen)]
            done += len(part)
            self._add(part)
            self._seen = int(part.steps[-1]) + 1
            self._waiting += len(part)
            self._pass_epochs(self._seen - 1)
            if self._waiting >= due or not _is_finite(part):
                self._look()
            self._pass_epochs(self._seen)

    def epoch(
        self,
        val_loss: float | None = None,
        dead_units: Mapping[str, float] | None = None,
        silent_units: Mapping[str, float] | None = None,
        steps: int | None = None,
    ) -> None:
        """Tell that an epoch has ended; its steps may be shown later.

        Parameters
        ----------
        val_loss : float, optional
            On rows that are held out.
        dead_units : mapping of str to float, optional
            What `proven_dead` says of the present parameters.
        silent_units : mapping of str to float, optional
            The fraction of the units of each layer that were not alive at any row of the epoch.
        steps : int, optional
            Steps done by then; by default those that have been shown.
        """
        done = self._seen if steps is None else steps
        self._epochs.append(_Epoch(done, val_loss, dead_units, silent_units))
        self._pass_epochs(self._seen)

    def _pass_epochs(self, steps: int) -> None:
        """Know what was known after so many steps; look, if nothing has been looked at yet."""
        ended = bool(self._epochs) and self._epochs[0].steps <= steps
        while self._epochs and self._epochs[0].steps <= steps:
            epoch = self._epochs.popleft()
            if epoch.val_loss is not None:
                self._val_losses.append(float(epoch.val_loss))
            if epoch.dead_units is not None:
                self._dead = dict(epoch.dead_units)
            if epoch.silent_units is not None:
                self._silent = dict(epoch.silent_units)
        if ended and not self._looks and self._pending is not None:
            self._look()

    def failed(self, error: GradientError) -> None:
        """Tell that a step has met a number that is none, which its measurements do not have."""
        self._look(error)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What is believed now: the worst first, causes before what they cause."""
        found = []
        for rule in self.rules:
            belief = self._beliefs[rule.name]
            if not belief.held or belief.finding is None:
                continue
            found.append(
                Verdict(
                    rule=rule.name,
                    family=rule.family,
                    severity=belief.finding.severity,
                    cause=belief.finding.cause,
                    cures=belief.finding.cures,
                    evidence=belief.finding.evidence,
                    layer=belief.finding.layer,
                    tensor=belief.finding.tensor,
                    time_step=belief.finding.time_step,
                    first_step=belief.first_step,
                )
            )
        return ranked(found)

    def _add(self, part: Measurements) -> None:
        if self._first is None:
            with np.errstate(all="ignore"):
                self._first_profile = depth.profile(part[:1], self.facts)
            self._weights = np.array([n in self.facts.weights for n in part.tensors], bool)
        if self._first is None or len(self._first) < _FIRST:
            start = part[: _FIRST - (0 if self._first is None else len(self._first))]
            first = start.copy() if self._first is None else self._first.then(start)
            self._first = _with_known_flows(first)
        penalty = self.facts.penalty(part.tensors, part.sizes, part.weight_norms)
        self._losses.add(part.losses - penalty)
        recent = part[-_LONGEST:]
        if self._pending is None or len(recent) == _LONGEST:
            self._pending = recent.copy()
        else:
            self._pending = self._pending[len(recent) - _LONGEST :].then(recent)

    def _look(self, failure: GradientError | None = None) -> None:
        recent = self._pending
        if recent is None:
            recent = self._nothing()
        recent = _with_known_flows(recent)
        self._pending, self._waiting = None, 0
        self._looks += 1
        if len(recent):
            self._looked = int(recent.steps[-1]) + 1
        with np.errstate(all="ignore"):
            ratio = steps.relative(recent, self.facts)
            profile = depth.profile(recent, self.facts)
        self._rising = max(self._rising, 0.0 if math.isnan(ratio) else ratio)
        self._flow.append(depth.flow(profile))
        window = Window(
            recent,
            recent if self._first is None else self._first,
            self._losses,
            self._weights,
            self.facts.constant_loss,
            profile,
            self._first_profile,
            ratio,
            self._rising,
            tuple(self._flow),
            self._dead,
            self._silent,
            failure,
            tuple(self._val_losses),
        )
        with np.errstate(all="ignore"):
            learned = window.progress >= self.limits.learned
            in_time = any(map(len, recent.through_time.values()))
            for rule in self.rules:
                if rule.at_start and self._looks > 1:
                    continue  # it would say the same
                if rule.in_time and not in_time:
                    continue  # nothing was looked at
                finding = rule.check(window, self.facts, self.limits)
                self._count(rule, finding, window, learned)

    def _nothing(self) -> Measurements:
        if self._first is not None:
            return self._first[:0]
        return Measurements.empty((), (), ())

    def _count(self, rule: Rule, finding: Finding | None, window: Window, learned: bool) -> None:
        belief = self._beliefs[rule.name]
        if rule.lasting and belief.held:
            return
        belief.votes.append(finding is not None)
        if finding is not None:
            if belief.finding is None:
                belief.first_step = window.start if finding.step is None else finding.step
            belief.last_step = window.steps
            # what has done harm is not made good by a little progress
            worse = belief.finding is None or _rank(finding) >= _rank(belief.finding)
            if learned or rule.whole or worse:
                belief.finding = finding
        elif not any(belief.votes):
            lasted = belief.last_step - belief.first_step
            if learned or rule.whole or window.steps - belief.last_step > _LONG_GONE * lasted:
                belief.finding, belief.held = None, False
        # a run that has broken may never come to another vote
        last = window.broken and finding is not None and finding.severity != "info"
        if last or sum(belief.votes) >= rule.votes[0]:
            belief.held = True


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _with_known_flows(measurements: Measurements) -> Measurements:
    """Without the rows of steps whose sequences had another length, which say nothing."""
    known = {}
    for name, array in measurements.through_time.items():
        rows = ~np.isnan(array).all(axis=(1, 2))
        known[name] = array if rows.all() else array[rows]
    return replace(measurements, through_time=known)


def _is_finite(part: Measurements) -> bool:
    return not part.gradient_nonfinite.any() and bool(np.isfinite(part.losses).all())
