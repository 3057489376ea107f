"""`Trainer`: model, loss, clips and optimizer, recorded as one program and replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import (
    backends,
    checks,
    clipping,
    full_batch,
    losses,
    penalties,
    policies,
    samples,
    streaming,
    truncated,
)
from fastgrad.arena import Array
from fastgrad.clipping import ClipReport
from fastgrad.constraints import Constraint
from fastgrad.data.file_rows import FileRows
from fastgrad.feeding import Batch, Feed, Held
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.optimizers import LBFGS, Optimizer
from fastgrad.penalties import Penalty
from fastgrad.policies import Guard
from fastgrad.program import Tape, Workspace
from fastgrad.recording import Recorder
from fastgrad.recurrent import models
from fastgrad.samples import Samples
from fastgrad.schedules import Schedule
from fastgrad.stepping import Stepper
from fastgrad.updates import Update

if TYPE_CHECKING:
    from fastgrad.health import Measurements, Provenance


class Trainer:
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

    def __init__(
        self,
        model: Sequential,
        loss: Any,
        optimizer: Any = "adam",
        clip: Any = None,
        rng: Any = None,
        *,
        schedule: Any = None,
        per_layer: Any = None,
        accumulate: int = 1,
        average: float | None = None,
        on_nonfinite: Any = "raise",
        total_steps: int | None = None,
        regularizers: Any = None,
        constraints: Any = None,
    ) -> None:
        if not isinstance(model, Sequential):
            raise TypeError(f"model must be a fastgrad.Sequential, got {type(model).__name__}")
        self.model = model
        self._loss_function: Loss = losses.get(loss)
        self._update = Update(model, optimizer, clip, schedule, per_layer, average, constraints)
        self._penalties = penalties.get(regularizers, model)
        self.accumulate = checks.count("accumulate", accumulate)
        policy = policies.get(on_nonfinite)
        if isinstance(self.optimizer, LBFGS):
            full_batch.refuse(self._update, policy, self.accumulate)
        self.rng = checks.generator(rng)
        # of both, so that a second trainer of the same model does not drop the same again
        seed = model._seed ^ checks.seed_of(self.rng)
        self._recorder = Recorder(model, self._update, self.accumulate, seed, self._penalties)
        total = None if total_steps is None else checks.count("total_steps", total_steps)
        self._stepper = Stepper(model, self._update, self._recorder, policy, total)
        self._held = Held()
        self._finite: tuple[Any, ...] = ()

    # Recorded programs hold on to these: others need another trainer.

    @property
    def loss(self) -> Loss:
        """What is minimized."""
        return self._loss_function

    @property
    def optimizer(self) -> Optimizer:
        """What makes the updates; its hyperparameters may be changed between steps."""
        return self._update.optimizer

    @property
    def clips(self) -> tuple[clipping.Clip, ...]:
        """What the gradient goes through before the update."""
        return self._update.clips

    @property
    def regularizers(self) -> tuple[Penalty, ...]:
        """What is added to the loss."""
        return self._penalties

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What holds for the weights after each update."""
        return self._update.constraints

    @property
    def schedule(self) -> Schedule | None:
        """What the learning rate follows."""
        return self._update.schedule

    @property
    def per_layer(self) -> Mapping[str, Any]:
        """Settings of the optimizer for some parameters, by name."""
        return self._update.per_layer

    @property
    def average_decay(self) -> float | None:
        """Decay of the average of the parameters, if there is one."""
        return self._update.decay

    @property
    def state(self) -> dict[str, Array]:
        """The optimizer's state vectors, by name."""
        return self._update.state

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return self._update.rate

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        return int(self._recorder.step[0])

    def clip_reports(self, epoch: bool = False) -> list[ClipReport]:
        """The account of every clip, in the order in which they act; see `ClipReport`.

        Parameters
        ----------
        epoch : bool
            Whether that of the present or last epoch alone is wanted.
        """
        pairs = zip(self.clips, self._update.clip_state, strict=True)
        return [clip.read(state, epoch) for clip, state in pairs]

    @property
    def guard(self) -> Guard:
        """The account of steps that were not finite."""
        return self._stepper.guard

    @property
    def stepper(self) -> Stepper:
        """What runs the steps, for callbacks that save or watch them."""
        return self._stepper

    def arrays(self) -> dict[str, Array]:
        """Everything that good steps change, as live arrays by name."""
        return self._stepper.arrays()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the model's parameters be their average, if there is one, until the block ends."""
        with self._update.swapped(self.steps > 0 and not self._update.averaged):
            yield

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Within `averaged`, have the parameters be themselves until this block ends."""
        with self._update.swapped(self._update.averaged):
            yield

    def every(self, steps: int, function: Callable[[], object]) -> None:
        """Have a function called within epochs, after each so many steps of one.

        Not in those with `bptt`.
        """
        self._stepper.pauses.append((checks.count("steps", steps), function))

    def keep_average(self) -> None:
        """Have the parameters be their average, if there is one, from now on."""
        mean = self._update.mean
        if mean is not None and self.steps:
            self.model.flat_params[...] = mean

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
            How many steps of each sequence count; what x and y hold after them means nothing.

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
        own = self.samples(self.model.checked("x", x), y, sample_weight, lengths)
        self._refuse_parts()
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
            forward, as in prediction. Windows in which nothing counts are left out.

        Returns
        -------
        float
            The mean over minibatches of the loss before each update, weighted by their rows, or by
            their steps where outputs are sequences with lengths or in windows; for `LBFGS` the
            loss after the last iteration.

        Raises
        ------
        ValueError, TypeError, GradientError
            As `step`. KeyboardInterrupt stops between two steps and leaves a usable model.
        """
        self._refuse_averaged()
        size = checks.count("batch_size", batch_size)
        if isinstance(X, FileRows):
            others = {"sample_weight": sample_weight, "lengths": lengths, "bptt": bptt}
            checks.only("FileRows", y=y, **others)
            self.refuse_reordering(len(X), size, shuffle)
            return streaming.epoch(self, X, size, shuffle)
        rows = self.model.checked("X", X, check_finite=False)
        given = self.samples(rows, y, sample_weight, lengths)
        self.refuse_reordering(len(rows), size, shuffle)
        self._check_finite_once(X, rows)
        if bptt is not None:
            return truncated.epoch(self, given, size, shuffle, bptt)
        own = self._held_samples(given, X, y, sample_weight)
        if isinstance(self.optimizer, LBFGS):
            batch = self.filled(own)
            with self._stepper.epoch():
                full_batch.epoch(self._recorder, self.optimizer, batch)
            return self.mean_loss()
        feed = self.ordered(own, size, shuffle)
        with self._stepper.epoch():
            self._stepper.go_through(feed, 0, feed.steps)
        return self.mean_loss()

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
        """
        with self.model._memory.aside():
            z = self.model.predict(X, batch_size, lengths=lengths)
        return self.loss_of(z, y, sample_weight, lengths)

    def loss_of(self, z: Array, y: Any, sample_weight: Any = None, lengths: Any = None) -> float:
        """Mean loss of outputs z, (N, outputs) or (N, T, outputs), for the targets y."""
        steps = None
        if lengths is not None and z.ndim > 2:
            steps = checks.lengths("lengths", lengths, z.shape, z.ndim)
        dtype = self.model.dtype
        own = samples.checked(self.loss, z, z.shape, dtype, y, sample_weight, steps)
        tape = Tape(backends.active(), Workspace(), dtype, lengths=steps)
        value = np.zeros(1)
        own.loss.record(tape, z, own.target.copy(), own.weight, value)
        program = tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep)
        program.run([1], backends.num_threads())
        return float(value[0])

    def provenance(self, history: Measurements | None = None) -> Provenance | None:
        """Where the last step that failed, or was left out, first met a number that is not finite.

        Its minibatch is run once more, from what the step began with; nothing that outlives it
        changes.

        Parameters
        ----------
        history : Measurements, optional
            Of the steps before, to be shown with it.

        Returns
        -------
        Provenance or None
            None where no step has failed, or where its passes are finite now.
        """
        from fastgrad.health.provenance import of_snapshot  # which looks at training from above

        failure = self._recorder.failure
        return None if failure is None else of_snapshot(failure, history)

    def gradient_norm(self) -> float:
        """Norm of the whole gradient of the last step, in float64, after clipping.

        NaN after a step that was not finite.
        """
        if self.guard.bad and not self.guard.good:
            return math.nan
        return math.sqrt(float(np.einsum("i,i->", *[self.model.flat_grads] * 2, dtype=np.float64)))

    def samples(
        self, rows: Array, y: Any, sample_weight: Any = None, lengths: Any = None
    ) -> Samples:
        """Rows that the model has checked, with what belongs to them, which is checked here."""
        steps = None
        if lengths is not None:
            steps = self.model.checked_lengths("lengths", lengths, rows.shape)
        outputs, dtype = self.model.output_shape(rows.shape), self.model.dtype
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

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Trainer points into memory and cannot be copied or pickled: copy or save its model, "
            "or keep the run with Checkpoint"
        )

    def _check_finite_once(self, given: Any, rows: Array) -> None:
        """The same array need not be searched at every epoch: training itself would notice."""
        seen = (id(given), rows.shape, rows.ctypes.data if rows is given else None)
        if seen != self._finite or rows is not given:
            checks.finite("X", rows)
            self._finite = seen

    def filled(self, given: Samples, start: str = "own") -> Batch:
        """The recording for as many rows, with these in it; `start` is that of `Tape`."""
        batch = self._recorder.batch(len(given.x), given, start)
        batch.fill(given)
        return batch

    def _held_samples(self, found: Samples, X: Any, y: Any, weight: Any) -> Samples:
        """The same in places of their own, unless they are what the user has given."""
        hold = self._held.hold
        # what indexes memory nobody may change once it has been checked
        return Samples(
            hold("X", None if self.model.indices is not None else X, found.x),
            hold("y", None if found.loss.labels else y, found.target),
            found.loss,
            None if found.weight is None else hold("sample_weight", weight, found.weight),
            None if found.lengths is None else hold("lengths", None, found.lengths),
        )

    def ordered(self, given: Samples, size: int, shuffle: bool) -> Feed:
        """The program of a pass over these arrays, with the order of rows."""
        feed = self._recorder.feed(given, size)
        feed.order[...] = self.order(len(given.x), shuffle)
        return feed

    def order(self, rows: int, shuffle: bool) -> Array:
        """Rows in the order in which they are trained on."""
        found = np.arange(rows)
        if shuffle:
            self.rng.shuffle(found)
        return found
