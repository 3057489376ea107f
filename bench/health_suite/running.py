"""Runs a case as a user would, with the probe on, and has a monitor judge it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from bench.health_suite.case import Case
from bench.health_suite.tasks import TASKS, Task
from fastgrad.errors import GradientError
from fastgrad.health.measurements import Measurements
from fastgrad.health.probe import Probe
from fastgrad.health.rules import Facts, Limits, Monitor, proven_dead
from fastgrad.health.verdicts import Verdict
from fastgrad.layers import Dense

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes
    ----------
    case : str
    score : float
        See `score`.
    steps : int
    verdicts : tuple of Verdict
    """

    case: str
    score: float
    steps: int
    verdicts: tuple[Verdict, ...]

    @property
    def alarms(self) -> tuple[Verdict, ...]:
        """Verdicts of warning or worse."""
        return tuple(verdict for verdict in self.verdicts if verdict.rank)


@dataclass(frozen=True)
class Epoch:
    """What a monitor is told of an epoch, so that other limits can be tried on it.

    Attributes
    ----------
    measured : Measurements
    dead, silent : dict of str to float
        As `Monitor.epoch` takes them.
    failure : GradientError or None
    """

    measured: Measurements
    dead: dict[str, float]
    silent: dict[str, float]
    failure: GradientError | None


def run(case: Case) -> tuple[Outcome, Facts, list[Epoch]]:
    """Train as the case says; what was found, and what it was found from."""
    task = TASKS[case.task]()
    X, y = _changed(case.x, task.X), _changed(case.y, task.y)
    model = fg.Sequential(*case.layers(), rng=case.seed)
    trainer = fg.Trainer(
        model,
        case.loss or task.loss,
        case.optimizer,
        case.clip,
        rng=case.seed,
        regularizers=case.regularizers,
        health=True,
    )
    model.fit_input(X, again=False, lengths=task.lengths)
    facts = Facts.of(trainer, X, y, task.lengths, case.batch_size)
    probe = trainer._recorder.probe
    assert probe is not None
    epochs = []
    for _ in range(case.epochs):
        for lived in probe.lived.values():
            lived[...] = 0
        before, failure = trainer.steps, None
        try:
            trainer.epoch(X, y, case.batch_size, lengths=task.lengths)
        except GradientError as error:
            failure = error
        epochs.append(_epoch(probe, before, trainer, facts, failure))
        if failure is not None:
            break
    verdicts = judged(facts, epochs)
    found = score(case, task, trainer, facts)
    return Outcome(case.name, found, trainer.steps, verdicts), facts, epochs


def judged(facts: Facts, epochs: list[Epoch], limits: Limits | None = None) -> tuple[Verdict, ...]:
    """The verdicts on a run."""
    monitor = Monitor(facts, limits=limits)
    for epoch in epochs:
        monitor.observe(epoch.measured)
        if epoch.failure is not None:
            monitor.failed(epoch.failure)
        monitor.epoch(dead_units=epoch.dead, silent_units=epoch.silent)
    return monitor.verdicts


def score(case: Case, task: Task, trainer: fg.Trainer, facts: Facts) -> float:
    """Accuracy on test rows, or the part of the loss of constant outputs that is gone."""
    X, y = _changed(case.x, task.X_test), _changed(case.y, task.y_test)
    z = trainer.model.predict(X, lengths=task.lengths_test)
    if not np.isfinite(z).all():
        return -math.inf
    if y.ndim == 1:
        return float((z.argmax(-1) == y).mean())
    if task.loss == "binary_cross_entropy":
        return float(((z > 0) == (y > 0.5)).mean())
    return 1 - trainer.loss_of(z, y, lengths=task.lengths_test) / facts.constant_loss


def _epoch(
    probe: Probe, before: int, trainer: fg.Trainer, facts: Facts, failure: GradientError | None
) -> Epoch:
    model, dead = trainer.model, {}
    if facts.inputs is not None and type(model.layers[0]) is Dense:
        dead = proven_dead(model.layers, model.params, facts.inputs.low, facts.inputs.high)
    silent = {name: float(1 - lived.mean()) for name, lived in probe.lived.items()}
    return Epoch(probe.read(before, trainer.steps), dead, silent, failure)


def _changed(change: Any, values: Array) -> Array:
    return values if change is None else change(values)
