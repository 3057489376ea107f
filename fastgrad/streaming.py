"""Epochs over what is not in memory as a whole: rows in files, and batches that are handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks, frames, losses
from fastgrad.arena import Array
from fastgrad.data.file_rows import FileRows
from fastgrad.data.windows import Windows
from fastgrad.recording import planned
from fastgrad.samples import Samples

if TYPE_CHECKING:
    from fastgrad.train import Trainer


def windows(trainer: Trainer, rows: FileRows, batch_size: int) -> tuple[losses.Loss, Windows]:
    """The loss for these targets, and the windows that a trainer can use."""
    model = trainer.model
    model._given(rows)
    if rows.y is None:
        raise ValueError("y is needed to train: FileRows(X, y)")

    def outputs(count: int) -> tuple[int, ...]:
        return model.output_shape((count, *rows.shape[1:]))

    sample = np.zeros((1, *rows.y.shape[1:]), rows.y.dtype)
    loss = losses.for_targets(trainer.loss, sample, outputs(1))

    def convert(y: Array) -> Array:
        return loss.targets(y, outputs(len(y)), model.dtype)

    # a step of several minibatches must not end with a window
    size = batch_size * trainer.accumulate
    return loss, Windows(rows, model.input_dtype, size, convert, model.indices)


def epoch(trainer: Trainer, rows: FileRows, batch_size: int, shuffle: bool) -> float:
    """Train on all rows once, window by window; return the mean loss as `Trainer.epoch` does."""
    loss, source = windows(trainer, rows, batch_size)
    steps = sum(count for _, count in planned(len(rows), batch_size, trainer.accumulate))
    first = 0
    try:
        with (
            trainer.stepper.epoch(),
            closing(source.read(trainer.rng if shuffle else None)) as reading,
        ):
            for x, target in reading:
                assert target is not None
                own = Samples(x, target, loss)
                trainer.watch(own, batch_size, len(rows))
                # drawn anew where an epoch is resumed, so that the rest of it is the same
                feed = trainer.ordered(own, batch_size, shuffle)
                feed.whole = False
                trainer.stepper.go_through(feed, first, steps)
                first += feed.steps
    finally:
        trainer.stepper.recorder.release()
    return trainer.mean_loss()


def are_batches(X: Any, y: Any) -> bool:
    """Whether X stands for batches that bring their targets with them."""
    if y is not None or isinstance(X, FileRows) or hasattr(X, "__array__") or frames.is_frame(X):
        return False
    return callable(X) or isinstance(X, Iterable)


class Batches:
    """Batches from an iterable, or from a function that returns an iterator for each epoch.

    Parameters
    ----------
    source : iterable or callable
        Its items are ``(x, y)``, ``(x, y, sample_weight)`` or ``(x, y, sample_weight, lengths)``,
        of any number of rows each; None stands for what there is not. An iterable that can start
        again does so at every epoch; an iterator goes on.
    steps : int, optional
        Batches of an epoch; without it an epoch ends where the batches do.
    epochs : int
        How many are wanted.

    Attributes
    ----------
    rows : int
        Those of the last epoch.
    """

    def __init__(
        self, source: Callable[[], Any] | Iterable[Any], steps: int | None, epochs: int
    ) -> None:
        self._source = source
        self.steps = None if steps is None else checks.count("steps_per_epoch", steps)
        self.rows = 0
        self._epoch = 0
        self._once: Iterator[Any] | None = None
        if not callable(source) and iter(source) is source:
            self._once = iter(source)
            if steps is None and epochs > 1:
                raise ValueError(
                    f"an iterator of batches runs only once, and epochs is {epochs}: give "
                    "steps_per_epoch, or a function that returns an iterator for each epoch"
                )

    def epoch(self, trainer: Trainer) -> float:
        """Train on the batches of one epoch; return the mean loss as `Trainer.epoch` does.

        Raises
        ------
        ValueError
            When the batches end too early; what has been trained on by then stays learnt.
        """
        self._epoch += 1
        trainer.stepper.begin_epoch()
        batches = self._once or iter(self._source() if callable(self._source) else self._source)
        done = self.rows = 0
        while done != self.steps:
            try:
                batch = next(batches)
            except StopIteration:
                break
            done += 1
            parts = self._parts(batch, done)
            try:
                trainer.step(*parts)
            except (ValueError, TypeError) as error:
                error.add_note(f"in batch {done} of epoch {self._epoch}")
                raise
            self.rows += len(parts[0])
        trainer.stepper.finish()
        wanted = self.steps or 1
        if done < wanted:
            least = "" if self.steps is None else f", needs steps_per_epoch {wanted}"
            raise ValueError(f"the batches ended after {done} in epoch {self._epoch}{least}")
        return trainer.mean_loss()

    def _parts(self, batch: Any, number: int) -> tuple[Any, ...]:
        if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 4:
            what = type(batch).__name__
            if isinstance(batch, (tuple, list)):
                what += f" of {len(batch)}"
            raise TypeError(
                f"batch {number} of epoch {self._epoch} must be (x, y) or "
                f"(x, y, sample_weight[, lengths]), got {what}"
            )
        return tuple(batch)
