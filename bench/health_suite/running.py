"""Runs a case, and measures every step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from bench.health_suite.case import Case
from bench.health_suite.stand_in import Pieces
from bench.health_suite.tasks import TASKS, Task
from fastgrad.errors import GradientError
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
        Accuracy on test rows, or the part of the loss of constant outputs that is gone.
    verdicts : tuple of Verdict
    steps : int
    trace : tuple of float
        Progress of the loss.
    """

    case: str
    score: float
    verdicts: tuple[Verdict, ...]
    steps: int
    trace: tuple[float, ...] = ()

    @property
    def alarms(self) -> tuple[Verdict, ...]:
        """Verdicts of warning or worse."""
        return tuple(v for v in self.verdicts if v.rank)


def run(case: Case, limits: Limits | None = None, record: list[Any] | None = None) -> Outcome:
    """Train as the case says, judged by a `Monitor`; `record` gets what that was told."""
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
    )
    model.fit_input(X, again=False, lengths=task.lengths)
    facts = Facts.of(trainer, X, y, task.lengths, case.batch_size)
    monitor = Monitor(facts, limits=limits)
    if record is not None:
        record.append(facts)
    pieces = Pieces(trainer)
    rng = np.random.default_rng(case.seed + 1)
    for _ in range(case.epochs):
        order = rng.permutation(len(X))
        failed = False
        for start in range(0, len(X) - case.batch_size + 1, case.batch_size):
            chosen = order[start : start + case.batch_size]
            lengths = None if task.lengths is None else task.lengths[chosen]
            measured, failed = pieces.measure(X[chosen], y[chosen], lengths)
            monitor.observe(measured)
            if record is not None:
                record.append(measured)
            if failed:
                break
        dead = None
        if facts.inputs is not None and type(model.layers[0]) is Dense:
            dead = proven_dead(model.layers, model.params, facts.inputs.low, facts.inputs.high)
        monitor.epoch(dead_units=dead)
        if record is not None:
            record.append(dead)
        if failed:
            break
    return Outcome(case.name, score(case, task, trainer, facts), monitor.verdicts, trainer.steps)


def replayed(record: list[Any], limits: Limits | None = None) -> tuple[Verdict, ...]:
    """The verdicts on what another run has recorded."""
    monitor = Monitor(record[0], limits=limits)
    for what in record[1:]:
        if what is None or isinstance(what, dict):
            monitor.epoch(dead_units=what)
        else:
            monitor.observe(what)
    return monitor.verdicts


def score(case: Case, task: Task, trainer: fg.Trainer, facts: Facts) -> float:
    """Accuracy on test rows, or the part of the loss of constant outputs that is gone."""
    X, y = _changed(case.x, task.X_test), _changed(case.y, task.y_test)
    try:
        z = trainer.model.predict(X, lengths=task.lengths_test)
        if not np.isfinite(z).all():
            return -math.inf
        if y.ndim == 1:
            return float((z.argmax(-1) == y).mean())
        if task.loss == "binary_cross_entropy":
            return float(((z > 0) == (y > 0.5)).mean())
        return 1 - trainer.loss_of(z, y, lengths=task.lengths_test) / facts.constant_loss
    except (GradientError, FloatingPointError):
        return -math.inf


def _changed(change: Any, values: Array) -> Array:
    return values if change is None else change(values)
