"""`doctor`: finds out what is wrong with a training setup, and changes what measurably helps."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np

from fastgrad import checks, clipping, optimizers, penalties
from fastgrad.health.rules.data import expected_losses
from fastgrad.health.treatment.choice import LEAST, MUCH, alike, helps
from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.cures import chosen, combined, of_steps
from fastgrad.health.treatment.diagnosis import Change, Diagnosis
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.treatment.trial import Material, Rows, Trial, run
from fastgrad.model import Sequential
from fastgrad.recurrent.models import stateful_layer

_MOST_HELD_OUT = 2000
_CONFIRMATIONS = 3  # of what looked best, in a round
_SETTLED = "the learning rate was for the setup as it was before"


def doctor(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any = "adam",
    clip: Any = None,
    regularizers: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    validation: Any = 0.2,
    lengths: Any = None,
    steps: int | None = None,
    cures: int = 5,
    rounds: int = 4,
    progress: bool | None = None,
    rng: Any = None,
) -> Diagnosis:
    """Try cures for what is wrong with a training setup, and keep what measurably helps.

    The setup trains for some steps with health measured at each. While there are warnings, the
    cures that they prescribe are tried, each from the same first weights (but for those that it
    draws anew), on the same minibatches. Of those that lower the loss of rows held out by more than
    chance, the one with the least warnings left and, among those that help alike, the one that
    changes least is tried once more on minibatches in another order; if it helps there, too, it is
    kept, and what is left to cure is looked for again; at last a learning rate that suits what has
    been changed. Without warnings only cures of what is noted as information are tried, and kept if
    they lower the loss by a fifth; with nothing to note the setup comes back as it is.

    Parameters
    ----------
    model : Sequential
        It is left as it is; parameters that it has are where each trial starts from.
    X, y, lengths : array-like
        As for `fit`.
    loss, optimizer, clip, regularizers
        As for `fit`; `LBFGS` has no minibatches to look at.
    epochs, batch_size : int
        Of the run that this is about.
    validation : float, (X, y) or (X, y, lengths)
        A fraction of the rows, 2000 of them at most, or a set of its own, to judge by.
    steps : int, optional
        Steps of each trial; by default those of the run, 200 at most.
    cures, rounds : int
        How many cures are tried, in up to four variants each, before one is kept, and how many are
        kept. With the first run, combinations with other steps, and confirmations there are at most
        ``1 + rounds * (4 * cures + 14)`` trials, and most often a quarter of that; cures of the
        learning rate start with a range test of 100 steps.
    progress : bool, optional
        Whether a progress bar is shown; by default where standard error is a terminal.
    rng : int or numpy.random.Generator
        Seed of the rows held out, of their order, and of weights that are drawn anew.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Examples
    --------
    >>> import fastgrad as fg
    >>> from fastgrad.datasets import load_digits
    >>> X, y = load_digits()
    >>> model = fg.Sequential(fg.Dense(64, 32, "relu"), fg.Dense(32, 10), rng=0)
    >>> found = fg.health.doctor(model, X / 16, y, loss="cross_entropy", epochs=4, rng=0)
    >>> found.changes
    ()
    """
    clips = clipping.get(copy.deepcopy(clip))
    setup = Setup(
        copy.deepcopy(model),
        copy.deepcopy(optimizers.get(optimizer)),
        clips,
        penalties.get(copy.deepcopy(regularizers), model),
    )
    checks.count("cures", cures)
    checks.count("rounds", rounds, minimum=0)
    material = _material(
        setup, X, y, lengths, loss, validation, epochs, batch_size, steps, checks.generator(rng)
    )
    shown = sys.stderr.isatty() if progress is None else progress
    with _Practice(material, shown) as practice:
        return practice.treat(setup, cures, rounds)


class _Practice:
    """The trials of one call, counted and shown."""

    def __init__(self, material: Material, shown: bool) -> None:
        from tqdm import tqdm

        self.material = material
        self.trials = 0
        self.bar = tqdm(unit="trial", disable=not shown)
        self.changes: list[Change] = []
        self.rejected: list[Change] = []

    def __enter__(self) -> _Practice:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def treat(self, setup: Setup, cures: int, rounds: int) -> Diagnosis:
        """Rounds of trials, until nothing is wrong or nothing helps."""
        first = now = self._run(setup, "as it is")
        for _ in range(rounds):
            settling = now.ok
            better = self._round(now, cures)
            if better is None:
                break
            now = better
            if settling and now.ok:
                break
        changes, rejected = tuple(self.changes), tuple(self.rejected)
        return Diagnosis(changes, rejected, first, now, self.material.steps, self.trials)

    def _round(self, now: Trial, count: int) -> Trial | None:
        """The best of some cures, if it helps on other minibatches, too."""
        findings = Findings(self.material, now)
        constant = self.material.constant_loss
        least = MUCH if now.ok and not self.changes else LEAST
        tried: list[tuple[Cure, Change, Trial]] = []
        for cure in chosen(findings, count, bool(self.changes)):
            tried += self._try(cure, findings, now)
        if not now.ok and not any(trial.ok for cure, _, trial in tried if cure is tried[0][0]):
            tried += self._combine(tried, now)
        good = [one for one in tried if helps(one[2], now, constant, least)]
        kept = None
        again: Trial | None = None
        for _ in range(min(len(good), _CONFIRMATIONS)):
            best = alike([(cure.extent, trial) for cure, _, trial in good], now, self.material)
            candidate = good.pop(best)
            again = again or self._run(now.setup, "as it was, once more", order=1)
            confirmed = self._run(candidate[2].setup, candidate[1].what, order=1)
            if helps(confirmed, again, constant, least):
                kept = candidate
                break
        self.rejected += [one[1] for one in tried if one is not kept]
        if kept is None:
            return None
        self.changes.append(kept[1])
        return kept[2]

    def _combine(
        self, tried: list[tuple[Cure, Change, Trial]], now: Trial
    ) -> list[tuple[Cure, Change, Trial]]:
        """The first cure that is not of steps with others that are: it may wait for them."""
        found: list[tuple[Cure, Change, Trial]] = []
        first = next((one for one in tried if not of_steps(one[0])), None)
        if first is not None and not first[2].ok:
            beyond = Findings(self.material, first[2])
            for cure in combined(first[0]):
                found += self._try(cure, beyond, now, f"{first[1].what}, ")
        return found

    def _try(
        self, cure: Cure, findings: Findings, now: Trial, with_what: str = ""
    ) -> list[tuple[Cure, Change, Trial]]:
        """All variants of a cure."""
        found = []
        for what, setup in cure.apply(findings):
            trial = self._run(setup, with_what + what)
            found.append((cure, _change(cure, with_what + what, now, trial), trial))
        return found

    def _run(self, setup: Setup, what: str, order: int = 0) -> Trial:
        self.bar.set_postfix_str(what, refresh=False)
        found = run(setup, self.material, order)
        self.trials += 1
        self.bar.update(1)
        return found


def _change(cure: Cure, what: str, before: Trial, after: Trial) -> Change:
    _, error = after.gain(before)
    why = before.symptoms[0].cause if before.symptoms else _SETTLED
    return Change(cure.name, what, why, before.loss, after.loss, error, after.warnings)


def _material(
    setup: Setup,
    X: Any,
    y: Any,
    lengths: Any,
    loss: Any,
    validation: Any,
    epochs: int,
    batch_size: int,
    steps: int | None,
    rng: np.random.Generator,
) -> Material:
    from fastgrad.train import Trainer  # which knows of health itself

    model = copy.deepcopy(setup.model)
    name = stateful_layer(model.layers)
    if name is not None:
        raise ValueError(f"layer {name} is stateful: rows drawn at random do not go on from others")
    trainer = Trainer(
        model,
        loss,
        setup.optimizer,
        setup.clip,
        regularizers=setup.regularizers,
        health=True,
    )

    def checked(name: str, X: Any, y: Any, lengths: Any = None) -> Rows:
        found = trainer.samples(model.checked(name, X, lengths=lengths), y, lengths=lengths)
        return Rows(found.x, found.target, found.lengths)

    rows = checked("X", X, y, lengths)
    if isinstance(validation, (tuple, list)):
        held_out = checked("validation X", *validation)
    else:
        part = checks.number("validation", validation, 0, 1, open_low=True, open_high=True)
        order = rng.permutation(len(rows))
        count = min(max(round(part * len(rows)), 1), len(rows) - 1, _MOST_HELD_OUT)
        rows, held_out = rows.some(order[count:]), rows.some(order[:count])
    size = min(checks.count("batch_size", batch_size), len(rows))
    of_run = checks.count("epochs", epochs) * -(-len(rows) // size)
    length = min(of_run, 200) if steps is None else checks.count("steps", steps)
    constant, _, _ = expected_losses(trainer, held_out.X, held_out.y, held_out.lengths)
    return Material(trainer.loss, rows, held_out, size, length, constant, checks.seed_of(rng))
