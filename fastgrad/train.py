"""`Trainer`: model, loss, clips and optimizer, recorded as one program and replayed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad import backends, checks, full_batch, padding, samples, streaming, truncated
from fastgrad.arena import Array, write
from fastgrad.assembly import Assembly
from fastgrad.data.file_rows import FileRows
from fastgrad.feeding import Batch, Feed
from fastgrad.optimizers import LBFGS
from fastgrad.program import Tape, Workspace
from fastgrad.recurrent import models
from fastgrad.samples import Samples


class Trainer(Assembly):
    """Trains a model, a minibatch or a whole epoch per call.

    Parameters
    ----------
    model : Sequential
    loss : str or Loss
        "mse", "mae", "huber", "cross_entropy", "binary_cross_entropy", or an object with options.
    optimizer : str or Optimizer
    clip : Clip or list of Clip, optional
        Applied to the gradient before the update.
    rng : int or numpy.random.Generator
        Seed of the order of rows in `epoch`, and of dropout.
    schedule : Schedule, str or float, optional
        The factor on all learning rates at each step (`fastgrad.schedules`); by name "linear",
        "cosine", "one_cycle" or "reduce_on_plateau" with their defaults.
    per_layer : dict, optional
        Settings of the optimizer for some parameters: ``{"0": {"lr": 1e-4}, "2.weight":
        {"weight_decay": 0.0}}``. A name is that of a parameter or of a layer with all it holds;
        the longest one counts.
    accumulate : int
        Minibatches whose gradients make one step, each weighted by its rows: large batches in
        little memory. BatchNorm sees each minibatch on its own. The last step of an epoch is made
        of those that are left. Lengths do not change these weights.
    average : float, optional
        Decay of a moving average of the parameters (Polyak & Juditsky 1992), in (0, 1): the mean
        over all steps, each weighing that much of what the next one weighs. See `averaged`.
        Running statistics of `BatchNorm` are not averaged, nor is the average within constraints
        that are not convex (`UnitNorm`).
    on_nonfinite : "raise", "skip", "roll_back" or a policy
        What to do about a loss or gradient that is not finite (`Skip`, `RollBack`).
    total_steps : int, optional
        Steps of the whole training, for schedules that are given as parts of it; `fit` knows it.
    regularizers : L1, L2 or list of them, optional
        Added to the loss and, before clips, to the gradient.
    constraints : MaxNorm, NonNegative, UnitNorm or list of them, optional
        What holds for the weights after each update, imposed in this order.
    health : bool
        Whether each step leaves statistics behind; see `Trainer.health`.

    Attributes
    ----------
    steps : int
        Optimizer steps done.
    state : dict of str to ndarray
        The optimizer's state vectors.
    rate : float
        The learning rate of the last step.
    guard : Guard
        The account of steps that were not finite.
    """

    def every(self, steps: int, function: Callable[[], object]) -> None:
        """Have a function called within epochs, after each so many steps of one.

        Not in those with `bptt`.
        """
        self._stepper.pauses.append((checks.count("steps", steps), function))

    def step(self, x: Any, y: Any, sample_weight: Any = None, lengths: Any = None) -> float:
        """Train on one minibatch.

        Parameters
        ----------
        x : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T)
        y : array-like
            Targets, as the loss takes them.
        sample_weight : array-like (N,), optional
            Of rows; where outputs are sequences, (N, T) gives each step its own.
        lengths : array-like (N,), optional
            How many steps of each sequence count; what x, y and sample_weight hold after them may
            be anything. The model gets zeros there, or the index 0.

        Returns
        -------
        float
            The loss before the update. Where outputs are sequences it is the mean over all steps
            that count, and 0 if there are none.

        Raises
        ------
        ValueError, TypeError
            For wrong shapes, kinds or values; nothing has changed then.
        GradientError
            For a loss or gradient that is not finite; the parameters are those before the step.
        """
        self._refuse_averaged()
        rows = self.model.checked("x", x, lengths=lengths)
        own = self.samples(rows, y, sample_weight, lengths, may_be_empty=True)
        self._refuse_parts()
        self.watch(own, len(own.x))
        self._stepper.single(self.filled(own))
        return float(self._recorder.loss[0])

    def epoch(
        self,
        X: Any,
        y: Any = None,
        batch_size: int = 64,
        shuffle: bool = True,
        sample_weight: Any = None,
        lengths: Any = None,
        bptt: int | None = None,
    ) -> float:
        """Train on all rows once, in one native call.

        Parameters
        ----------
        X : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T); or FileRows
            Not copied where it is C-contiguous and of the model's dtype. `FileRows` bring their
            targets with them, and are trained on window by window.
        y : array-like
        batch_size : int
            The last minibatch may be smaller.
        shuffle : bool
            Whether the order of rows is drawn anew.
        sample_weight, lengths
            As for `step`.
        bptt : int, optional
            Steps of truncated backpropagation through time (Williams & Peng 1990): sequences are
            cut into windows of so many steps, each of which goes on from the states with which
            the one before it ended and makes an optimizer step, whose gradients end where it
            begins. Memory does not grow with T then. Where outputs are no sequences there is one
            step, for the last `bptt` steps of each sequence; the windows before them only run
            forward, as in prediction. So do windows in which nothing counts, and those whose step
            `on_nonfinite` leaves out: the next one goes on from where they end, unless that is not
            finite, which ends the sequences of the minibatch.

        Returns
        -------
        float
            The mean over minibatches of the loss before each update, weighted by their rows, or by
            their steps where outputs are sequences with lengths or in windows; for `LBFGS` the
            loss after the last iteration.

        Raises
        ------
        ValueError, TypeError, GradientError
            As `step`, and where outputs are sequences of which no step counts. KeyboardInterrupt
            stops between two steps and leaves a usable model.
        """
        self._refuse_averaged()
        size = checks.count("batch_size", batch_size)
        if isinstance(X, FileRows):
            others = {"sample_weight": sample_weight, "lengths": lengths, "bptt": bptt}
            checks.only("FileRows", y=y, **others)
            self.refuse_reordering(len(X), size, shuffle)
            return streaming.epoch(self, X, size, shuffle)
        rows = self.model.checked("X", X, check_finite=False, lengths=lengths)
        given = self.samples(rows, y, sample_weight, lengths)
        self.refuse_reordering(len(rows), size, shuffle)
        self._held.check_finite("X", X, rows)
        self.watch(given, size, len(rows), cut=bptt is not None)
        if bptt is not None:
            return truncated.epoch(self, given, size, shuffle, bptt)
        own = self._held.samples(given, X, y, sample_weight)
        if isinstance(self.optimizer, LBFGS):
            batch = self.filled(own)
            with self._stepper.epoch():
                full_batch.epoch(self._recorder, self.optimizer, batch)
            return self.mean_loss()
        feed = self.ordered(own, size, shuffle)
        with self._stepper.epoch():
            self._stepper.go_through(feed, 0, feed.steps)
        return self.mean_loss()

    def watch(
        self, given: Samples, size: int, total: int | None = None, *, cut: bool = False
    ) -> None:
        """Let health know what the next steps will be made of; see `Health.begin`."""
        if self._health is not None:
            self._health.begin(given, min(size, len(given.x)), total, cut=cut)

    def mean_loss(self) -> float:
        """The mean over the rows of the present or last epoch so far."""
        total, rows = self._recorder.total.tolist()
        return total / rows if rows else math.nan

    def evaluate(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        batch_size: int | None = None,
        lengths: Any = None,
    ) -> float:
        """Mean loss over rows, without training.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As for `epoch`.
        batch_size : int, optional
            As for `Sequential.predict`. Stateful layers start from zeros, and go on afterwards from
            where they were.

        Raises
        ------
        ValueError, TypeError
            As `epoch`.
        """
        with self.model._memory.aside():
            z = self.model.predict(X, batch_size, lengths=lengths)
        return self.loss_of(z, y, sample_weight, lengths)

    def loss_of(self, z: Array, y: Any, sample_weight: Any = None, lengths: Any = None) -> float:
        """Mean loss of outputs z, (N, outputs) or (N, T, outputs), for the targets y."""
        steps = None
        if lengths is not None and z.ndim > 2:
            steps = checks.lengths("lengths", lengths, z.shape, z.ndim)
            samples.refuse_empty(z.shape, steps)
            z = padding.cleared(z, steps)
        dtype = self.model.dtype
        own = samples.checked(self.loss, z, z.shape, dtype, y, sample_weight, steps)
        tape = Tape(backends.active(), Workspace(), dtype, lengths=steps)
        value = np.zeros(1)
        own.loss.record(tape, z, own.target.copy(), own.weight, value)
        program = tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep)
        program.run([1], backends.num_threads())
        return float(value[0])

    def samples(
        self,
        rows: Array,
        y: Any,
        sample_weight: Any = None,
        lengths: Any = None,
        may_be_empty: bool = False,
    ) -> Samples:
        """Rows that the model has checked, with what belongs to them, which is checked here.

        Some step must count, unless they `may_be_empty`.
        """
        steps = None
        if lengths is not None:
            steps = self.model.checked_lengths("lengths", lengths, rows.shape)
        outputs, dtype = self.model.output_shape(rows.shape), self.model.dtype
        if not may_be_empty:
            samples.refuse_empty(outputs, steps)
        return samples.checked(self.loss, rows, outputs, dtype, y, sample_weight, steps)

    def refuse_reordering(self, rows: int, size: int, shuffle: bool) -> None:
        """Raise ValueError where a stateful layer could not go on from minibatch to minibatch."""
        self._refuse_parts()
        models.refuse_reordering(self.model.layers, rows, size, shuffle)

    def _refuse_parts(self) -> None:
        name = models.stateful_layer(self.model.layers) if self.accumulate > 1 else None
        if name is not None:
            raise ValueError(
                f"layer {name} is stateful, and goes on after each step: it needs accumulate 1, "
                f"got {self.accumulate}"
            )

    def _refuse_averaged(self) -> None:
        if self._update.averaged:
            raise RuntimeError("within averaged() the parameters are their average: train after it")

    def filled(self, given: Samples, start: str = "own") -> Batch:
        """The recording for as many rows, with these in it; `start` is that of `Tape`."""
        batch = self._recorder.batch(len(given.x), given, start)
        batch.fill(given)
        return batch

    def ordered(self, given: Samples, size: int, shuffle: bool) -> Feed:
        """The program of a pass over these arrays, with the order of rows."""
        feed = self._recorder.feed(given, size)
        write(feed.order, self.order(len(given.x), shuffle))
        return feed

    def order(self, rows: int, shuffle: bool) -> Array:
        """Rows in the order in which they are trained on."""
        found = np.arange(rows)
        if shuffle:
            self.rng.shuffle(found)
        return found
