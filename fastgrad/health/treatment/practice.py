"""`Practice`: rounds of trials, each of which keeps the cure that measurably helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from fastgrad.health.treatment.choice import LEAST, MUCH, alike, confirmed, overtakes, promises
from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.cures import chosen, combined, of_steps
from fastgrad.health.treatment.diagnosis import Change, Diagnosis
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.treatment.trial import Material, Trial, run

_LENGTHENED = 5  # times the steps, where nothing helps
_LARGER = "larger_learning_rate"
_CONFIRMATIONS = 3  # of what looked best, in a round
_SETTLED = "the learning rate was for the setup as it was before"

_IsBetter: TypeAlias = "Callable[[tuple[Trial, Trial], tuple[Trial, Trial]], bool]"


@dataclass(frozen=True)
class Tried:
    """A variant of a cure, in both orders of the minibatches once it has been confirmed."""

    cure: Cure
    change: Change
    trial: Trial
    again: Trial | None = None

    @property
    def known(self) -> Trial:
        """All that is known of it."""
        return self.trial if self.again is None else self.trial.together(self.again)


def _beyond(trial: Trial, tried: Iterable[Tried], cure: str = _LARGER) -> Trial | None:
    """That of the next larger learning rate, from twice as much on."""
    of_cure = [one.trial for one in tried if one.cure.name == cure]
    twice = 2 * trial.setup.optimizer.lr
    larger = [one for one in of_cure if one.setup.optimizer.lr >= twice]
    return min(larger, key=lambda one: one.setup.optimizer.lr, default=None)


def _is_safe(one: Tried, tried: Iterable[Tried]) -> bool:
    """Whether steps that may be longer than before have nothing wrong beyond them, either."""
    if one.cure.name not in (_LARGER, "optimizer"):
        return True
    beyond = _beyond(one.trial, tried, one.cure.name)
    return beyond is not None and beyond.ok


class Practice:
    """The trials of one call, counted and shown."""

    def __init__(self, material: Material, shown: bool) -> None:
        from tqdm import tqdm

        self.material = material
        self.trials = self.shorter = 0
        self.bar = tqdm(unit=" trials", disable=not shown)
        self.changes: tuple[Change, ...] = ()
        self.rejected: list[Change] = []
        self.again: dict[int, tuple[Trial, Trial]] = {}
        # what lowered the loss most of all that were not kept, and the changes before it
        self.rival: tuple[Tried, tuple[Change, ...]] | None = None

    def __enter__(self) -> Practice:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def treat(self, setup: Setup, cures: int, rounds: int) -> Diagnosis:
        """Rounds of trials, until nothing is wrong or nothing helps.

        What nothing helps gets longer trials, if the run is longer: what has to be remembered for
        many time steps, for one, is learned late, and then all at once.
        """
        first = self._run(setup, "as it is")
        now = self._rounds(first, cures, rounds)
        most = min(self.material.most_steps, _LENGTHENED * self.material.steps)
        if rounds and not first.ok and not self.changes and most > self.material.steps:
            self.material, self.shorter = replace(self.material, steps=most), self.trials
            first = self._run(setup, "as it is, for longer")
            now = self._rounds(first, cures, rounds)
        better = self._overtaking(now)
        if better is not None:
            now = self._rounds(better, cures, 1)
        counts = self.material.steps, self.trials, self.shorter
        return Diagnosis(self.changes, tuple(self.rejected), first, now, *counts)

    def _rounds(self, now: Trial, cures: int, rounds: int) -> Trial:
        for _ in range(rounds):
            settling = now.ok
            better = self._round(now, cures)
            if better is None:
                break
            grown = better.setup.optimizer.lr > now.setup.optimizer.lr
            now = better
            # a larger rate is taken only where a still larger one is fine, which may be better yet
            if settling and now.ok and not grown:
                break
        return now

    def _round(self, now: Trial, count: int) -> Trial | None:
        """The best of some cures, if it helps on other minibatches, too."""
        findings = Findings(self.material, now)
        settling = now.ok and bool(self.changes)
        least = MUCH if now.ok and not settling else LEAST
        tried: list[Tried] = []
        for cure in chosen(findings, count, bool(self.changes)):
            tried += self._try(cure, findings, now)
        if not now.ok and not any(one.trial.ok for one in tried if one.cure is tried[0].cure):
            tried += self._combine(tried, now)
        # what leaves warnings where there are none is no cure
        free = [one for one in tried if one.trial.ok or not now.ok]
        if settling:
            free = [one for one in free if _is_safe(one, tried)]
        edge = settling and self._is_on_edge(now, tried)
        good = [one for one in free if promises(one.trial, now, 0.0 if edge else least)]

        def is_better(trials: tuple[Trial, Trial], before: tuple[Trial, Trial]) -> bool:
            if settling:
                return overtakes(trials, before, edge)
            return confirmed(trials, before, self.material.constant_loss, least)

        kept = self._kept(good, now, is_better)
        self.rejected += [
            one.change for one in tried if kept is None or one.trial is not kept.trial
        ]
        if kept is None:
            return None
        best = min(good, key=lambda one: one.trial.loss)
        if self.rival is None or best.trial.loss < self.rival[0].trial.loss:
            self.rival = best, self.changes
        self.changes += (kept.change,)
        return kept.trial

    def _is_on_edge(self, now: Trial, tried: list[Tried]) -> bool:
        """Whether somewhat longer steps diverge: then curved directions swing with these."""
        beyond = _beyond(now, tried)
        return beyond is not None and not beyond.loss < self.material.constant_loss

    def _kept(self, good: list[Tried], now: Trial, is_better: _IsBetter) -> Tried | None:
        """The best of those that help in another order, too."""
        rest, found = list(good), []
        for _ in range(min(len(good), _CONFIRMATIONS)):
            one = rest.pop(self._best(rest, now))
            before = self._again(now, "as it was, once more")
            again = self._again(one.trial, one.change.what)
            if is_better((one.trial, again), (now, before)):
                found.append(replace(one, again=again))
        return found[self._best(found, now)] if found else None

    def _best(self, some: Sequence[Tried], now: Trial) -> int:
        return alike([(one.cure.extent, one.known) for one in some], now, self.material)

    def _overtaking(self, now: Trial) -> Trial | None:
        """What would have been better than all that was kept: of cures that seemed to help alike
        the least was taken, in the hope that a learning rate would make up for the difference."""
        if self.rival is None or self.rival[0].trial is now:
            return None
        one, earlier = self.rival
        if (now.ok and not one.trial.ok) or not promises(one.trial, now):
            return None
        pair = one.trial, self._again(one.trial, one.change.what)
        pair_now = now, self._again(now, "as it is now, once more")
        if not overtakes(pair, pair_now, least=MUCH if now.ok else LEAST):
            return None
        self.rejected += [change for change in self.changes if change not in earlier]
        self.rejected.remove(one.change)
        self.changes = *earlier, one.change
        return one.trial

    def _combine(self, tried: list[Tried], now: Trial) -> list[Tried]:
        """The first cure that is not of steps with others that are: it may wait for them."""
        found: list[Tried] = []
        first = next((one for one in tried if not of_steps(one.cure)), None)
        if first is not None and not first.trial.ok:
            beyond = Findings(self.material, first.trial)
            for cure in combined(first.cure):
                found += self._try(cure, beyond, now, f"{first.change.what}, ")
        return found

    def _try(self, cure: Cure, findings: Findings, now: Trial, with_what: str = "") -> list[Tried]:
        """All variants of a cure."""
        found = []
        for what, setup in cure.apply(findings):
            trial = self._run(setup, with_what + what)
            change = self._change(cure, with_what + what, now, trial)
            found.append(Tried(cure, change, trial))
        return found

    def _change(self, cure: Cure, what: str, before: Trial, after: Trial) -> Change:
        _, error = after.gain(before)
        settling = before.ok and self.changes
        why = _SETTLED if settling or not before.symptoms else before.symptoms[0].cause
        return Change(cure.name, what, why, before.loss, after.loss, error, after.warnings)

    def _again(self, trial: Trial, what: str) -> Trial:
        """The same on minibatches in another order."""
        if id(trial) not in self.again:
            self.again[id(trial)] = trial, self._run(trial.setup, what, order=1)
        return self.again[id(trial)][1]

    def _run(self, setup: Setup, what: str, order: int = 0) -> Trial:
        self.bar.set_postfix_str(what, refresh=False)
        found = run(setup, self.material, order)
        self.trials += 1
        self.bar.update(1)
        return found
