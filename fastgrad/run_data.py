"""What a run trains on, and what it validates with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import checks, truncated
from fastgrad.arena import Array
from fastgrad.data.file_rows import FileRows
from fastgrad.recording import planned
from fastgrad.recurrent import models
from fastgrad.run import Settings
from fastgrad.samples import refuse_empty
from fastgrad.streaming import Batches
from fastgrad.train import Trainer


@dataclass
class Data:
    """What a run trains on, and what it validates with; all checked that is in memory."""

    X: Array | FileRows | Batches
    y: Array | None
    weight: Array | None
    lengths: Array | None
    held_out: tuple[Array, Array, Array | None] | None

    def epoch(self, trainer: Trainer, settings: Settings) -> float:
        """Train on all of it once; return the mean loss."""
        if isinstance(self.X, Batches):
            return self.X.epoch(trainer)
        how = settings.batch_size, settings.shuffle, self.weight, self.lengths, settings.bptt
        return trainer.epoch(self.X, self.y, *how)

    def steps(self, trainer: Trainer, settings: Settings) -> int:
        """Optimizer steps of an epoch, or 0 where only the end will tell."""
        size, accumulate = settings.batch_size, trainer.accumulate
        if isinstance(self.X, Batches):
            return -(-(self.X.steps or 0) // accumulate)
        if settings.bptt is not None:
            rows, times = self.X.shape[:2]
            sequences = len(trainer.model.output_shape(self.X.shape)) > 2
            longest = times if self.lengths is None else int(self.lengths.max())
            return truncated.steps_of_epoch(rows, size, longest, settings.bptt, sequences)
        return sum(count for _, count in planned(len(self.X), size, accumulate))


def prepared(
    trainer: Trainer,
    X: Any,
    y: Any,
    weight: Any,
    lengths: Any,
    validation: Any,
    settings: Settings,
    rng: np.random.Generator,
) -> Data:
    """Training rows, what belongs to them, and what is held out; all checked."""
    model = trainer.model
    own_set = isinstance(validation, (tuple, list))
    if isinstance(X, (FileRows, Batches)):
        what = "FileRows" if isinstance(X, FileRows) else "batches"
        checks.only(what, y=y, sample_weight=weight, lengths=lengths, bptt=settings.bptt)
        if validation is not None and not own_set:
            raise ValueError(f"validation must be (X, y) with {what}, got {validation!r}")
        if isinstance(X, FileRows):
            trainer.refuse_reordering(len(X), settings.batch_size, settings.shuffle)
        held_out = None if validation is None else _held_out(trainer, validation)
        return Data(X, None, None, None, held_out)
    rows = model.checked("X", X, lengths=lengths)
    if settings.bptt is not None:
        settings.bptt = truncated.checked(trainer, settings.bptt, rows.shape)
    data = trainer.samples(rows, y, weight, lengths)
    if validation is None or own_set:
        held_out = None if validation is None else _held_out(trainer, validation)
        trainer.refuse_reordering(len(rows), settings.batch_size, settings.shuffle)
        return Data(rows, data.target, data.weight, data.lengths, held_out)
    fraction = checks.number("validation", validation, 0, 1, open_low=True, open_high=True)
    name = models.stateful_layer(model.layers)
    if name is not None:
        raise ValueError(
            f"validation {fraction} would draw rows at random, but layer {name} is stateful and "
            "needs them as they are: give validation=(X, y)"
        )
    count = round(len(rows) * fraction)
    if not 0 < count < len(rows):
        raise ValueError(
            f"validation {fraction} of {len(rows)} rows leaves {len(rows) - count} to train on and "
            f"{count} to validate with"
        )
    order = rng.permutation(len(rows))
    held, rest = order[:count], order[count:]
    own_weight, own_lengths = (
        None if array is None else array[rest] for array in (data.weight, data.lengths)
    )
    held_lengths = None if data.lengths is None else data.lengths[held]
    for part in (own_lengths, held_lengths):
        refuse_empty(model.output_shape(rows.shape), part)
    held_out = rows[held], data.target[held], held_lengths
    return Data(rows[rest], data.target[rest], own_weight, own_lengths, held_out)


def _held_out(trainer: Trainer, given: Any) -> tuple[Array, Array, Array | None]:
    """A validation set apart from the rows to train on."""
    if len(given) not in (2, 3):
        raise ValueError(
            "validation must be (X, y[, lengths]) without weights, or a fraction, got "
            f"{len(given)} items"
        )
    X, y, lengths = (*given, None)[:3]
    rows = trainer.model.checked("validation X", X, lengths=lengths)
    found = trainer.samples(rows, y, lengths=lengths)
    return rows, found.target, found.lengths
