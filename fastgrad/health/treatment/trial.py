"""Trials: so many steps of a setup on the rows that all others get, judged by rows held out."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.health.treatment.setup import Setup
from fastgrad.health.verdicts import Verdict
from fastgrad.losses import Loss

if TYPE_CHECKING:
    from fastgrad.train import Trainer

_LOOKS = 8  # at the rows held out, at even distances
_LAST = 3  # of the looks, whose mean is the loss of a trial: single ones jump
PARTS = 10  # of the rows held out, whose scatter tells how certain a difference is


@dataclass(frozen=True)
class Rows:
    """Rows with what belongs to them.

    Attributes
    ----------
    X, y : ndarray
    lengths : ndarray (N,) or None
    """

    X: Array
    y: Array
    lengths: Array | None = None

    def some(self, rows: Array | slice) -> Rows:
        """Those of these numbers."""
        lengths = None if self.lengths is None else self.lengths[rows]
        return Rows(self.X[rows], self.y[rows], lengths)

    def __len__(self) -> int:
        return len(self.X)


@dataclass(frozen=True)
class Material:
    """What all trials have in common.

    Attributes
    ----------
    loss : Loss
    rows, held_out : Rows
        To train on, and to be judged by.
    batch_size, steps : int
    constant_loss : float
        That of outputs which are the same for all rows.
    seed : int
        Of the order of rows, of dropout, and of what cures draw.
    most_steps : int
        Those of the run, or what the user has said.
    """

    loss: Loss
    rows: Rows
    held_out: Rows
    batch_size: int
    steps: int
    constant_loss: float
    seed: int
    most_steps: int = 0

    def batches(self, number: int) -> Iterator[Rows]:
        """The steps' rows in `_LOOKS` parts; each number is another order."""
        rng = np.random.default_rng([self.seed, number])
        count = self.steps * self.batch_size
        epochs = -(-count // len(self.rows))
        order = np.concatenate([rng.permutation(len(self.rows)) for _ in range(epochs)])[:count]
        for part in np.array_split(order.reshape(self.steps, self.batch_size), _LOOKS):
            if len(part):
                yield self.rows.some(part.reshape(-1))


@dataclass(frozen=True, repr=False)
class Trial:
    """What became of a setup.

    Attributes
    ----------
    setup : Setup
    losses : ndarray, (10,)
        Of the parts of the rows held out, without penalties; inf where a step was not finite.
    verdicts : tuple of Verdict
    norms : ndarray, (steps,)
        Finite norms of the whole gradient before clips.
    """

    setup: Setup
    losses: Array
    verdicts: tuple[Verdict, ...]
    norms: Array

    @property
    def loss(self) -> float:
        """Mean loss of the rows held out, at the end."""
        return float(self.losses.mean())

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """Verdicts of warning or worse."""
        return tuple(verdict for verdict in self.verdicts if verdict.rank)

    @property
    def symptoms(self) -> tuple[Verdict, ...]:
        """The warnings; without any, what has done no harm so far and may have slowed training."""
        mild = (v for v in self.verdicts if v.family not in ("clipping", "inputs"))
        return self.warnings or tuple(mild)

    @property
    def ok(self) -> bool:
        """Whether there are no warnings."""
        return not self.warnings

    def together(self, other: Trial) -> Trial:
        """This one with the mean losses of both: the same setup on minibatches in two orders."""
        return replace(self, losses=(self.losses + other.losses) / 2)

    def gain(self, other: Trial) -> tuple[float, float]:
        """How much lower the loss is than that of another one, and the standard error of that.

        The error is that of the parts' relative differences: few rows with large losses would
        hide what is true of all the others.
        """
        if not math.isfinite(self.loss):
            return -math.inf, 0.0
        if not math.isfinite(other.loss):
            return math.inf, 0.0
        middle = np.maximum((other.losses + self.losses) / 2, np.finfo(np.float64).tiny)
        relative = (other.losses - self.losses) / middle
        error = relative.std(ddof=1) / math.sqrt(PARTS) * middle.mean()
        return other.loss - self.loss, float(error)


def run(setup: Setup, material: Material, order: int = 0) -> Trial:
    """Train a copy of the setup's model for so many steps, with health measured at each."""
    from fastgrad.train import Trainer  # which knows of health itself

    model = copy.deepcopy(setup.model)
    trainer = Trainer(
        model,
        material.loss,
        copy.deepcopy(setup.optimizer),
        copy.deepcopy(setup.clip),
        material.seed,
        regularizers=setup.regularizers,
        health=True,
    )
    model.fit_input(material.rows.X, again=False, lengths=material.rows.lengths)
    health = trainer.health
    assert health is not None
    found: list[Array] = []
    for rows in material.batches(order):
        try:
            trainer.epoch(rows.X, rows.y, material.batch_size, False, lengths=rows.lengths)
        except GradientError:
            found = [np.full(PARTS, np.inf)]
            break
        health.epoch()
        found.append(_held_out(trainer, material.held_out))
    norms = health.measurements.total_gradient_norm
    losses = np.mean(found[-_LAST:], axis=0)
    return Trial(setup, losses, health.verdicts, norms[np.isfinite(norms)])


def _held_out(trainer: Trainer, rows: Rows) -> Array:
    """(10,): losses of the parts; inf where outputs are not finite."""
    found = []
    z = trainer.model.predict(rows.X, lengths=rows.lengths)
    for part in np.array_split(np.arange(len(rows)), PARTS):
        own = rows.some(part)
        loss = trainer.loss_of(z[part], own.y, lengths=own.lengths)
        found.append(loss if math.isfinite(loss) else math.inf)
    return np.array(found)
