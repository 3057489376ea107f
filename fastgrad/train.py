"""`Trainer`: model, loss, clips and optimizer, recorded as one program and replayed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad import backends, checks, clipping, losses, optimizers
from fastgrad.arena import Array
from fastgrad.clipping import ClipReport
from fastgrad.feeding import Feed, Held, Step, gather
from fastgrad.locate import find_not_finite
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.optimizers import Optimizer
from fastgrad.program import Tape, Workspace


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

    Attributes
    ----------
    steps : int
        Optimizer steps done.
    state : dict of str to ndarray
        The optimizer's state vectors.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Any,
        optimizer: Any = "adam",
        clip: Any = None,
        rng: Any = None,
    ) -> None:
        if not isinstance(model, Sequential):
            raise TypeError(f"model must be a fastgrad.Sequential, got {type(model).__name__}")
        self.model = model
        self._loss_function: Loss = losses.get(loss)
        self._optimizer: Optimizer = optimizers.get(optimizer)
        self._clips = clipping.get(clip)
        self.rng = checks.generator(rng)
        # of both, so that a second trainer of the same model does not drop the same again
        self._seed = model._seed ^ checks.seed_of(self.rng)
        self.state = self.optimizer.state(model.flat_params)
        layout = model._param_arena.parts, model.layer_starts()
        self._clip_states = [clip.state(*layout) for clip in self.clips]
        self._hyper = np.array(self.optimizer.hyper())
        self._step = np.zeros(1, np.int64)
        self._cursor = np.zeros(1, np.int64)
        self._status = np.zeros(1, np.int64)
        self._loss = np.zeros(1)
        self._total = np.zeros(1)
        self._workspace = Workspace()
        self._steps: dict[Any, Step] = {}
        self._feed: Feed | None = None
        self._held = Held()
        self._finite: tuple[Any, ...] = ()

    # Recorded programs hold on to these three: another one needs another trainer.

    @property
    def loss(self) -> Loss:
        """What is minimized."""
        return self._loss_function

    @property
    def optimizer(self) -> Optimizer:
        """What makes the updates; its hyperparameters may be changed between steps."""
        return self._optimizer

    @property
    def clips(self) -> tuple[clipping.Clip, ...]:
        """What the gradient goes through before the update."""
        return self._clips

    @property
    def steps(self) -> int:
        """Optimizer steps done."""
        return int(self._step[0])

    def clip_reports(self) -> list[ClipReport]:
        """The account of every clip, in the order in which they act."""
        return [c.read(state) for c, state in zip(self.clips, self._clip_states, strict=True)]

    def step(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Train on one minibatch.

        Parameters
        ----------
        x : array-like, (N, inputs) or (N, T, inputs)
        y : array-like
            Targets, as the loss takes them.
        sample_weight : array-like (N,), optional

        Returns
        -------
        float
            The loss before the update.

        Raises
        ------
        ValueError, TypeError
            For wrong shapes, kinds or values; nothing has changed then.
        GradientError
            For a loss or gradient that is not finite; the parameters are those before the step.
        """
        rows = checks.rows("x", x, self.model.inputs, self.model.dtype)
        loss, target = self._targets(y, self._output_shape(rows))
        weight = self._weights(sample_weight, rows, target)
        step = self._recorded(rows.shape, target, weight is not None, loss)
        if step.program is None:
            program = backends.active().program([step.calls], self._status, step.tape.keep)
            step.program = program
        step.x[...] = rows
        step.target[...] = target
        if step.weight is not None:
            step.weight[...] = weight
        self._run(step.program, [1], [step])
        return float(self._loss[0])

    def epoch(
        self,
        X: Any,
        y: Any,
        batch_size: int = 64,
        shuffle: bool = True,
        sample_weight: Any = None,
    ) -> float:
        """Train on all rows once, in one native call.

        Parameters
        ----------
        X : array-like, (N, inputs) or (N, T, inputs)
            Not copied where it is C-contiguous and of the model's dtype.
        y : array-like
        batch_size : int
            The last minibatch may be smaller.
        shuffle : bool
            Whether the order of rows is drawn anew.
        sample_weight : array-like (N,), optional

        Returns
        -------
        float
            The mean over minibatches of the loss before each update, weighted by their rows.

        Raises
        ------
        ValueError, TypeError, GradientError
            As `step`. KeyboardInterrupt stops between two steps and leaves a usable model.
        """
        rows = checks.rows("X", X, self.model.inputs, self.model.dtype, check_finite=False)
        size = checks.count("batch_size", batch_size)
        loss, target = self._targets(y, self._output_shape(rows))
        weight = self._weights(sample_weight, rows, target)
        self._check_finite_once(X, rows)

        rows = self._held.hold("X", X, rows)
        # classes index memory, so nobody may change them once they have been checked
        target = self._held.hold("y", None if loss.labels else y, target)
        if weight is not None:
            weight = self._held.hold("sample_weight", sample_weight, weight)
        feed = self._fed(rows, target, weight, size, loss)
        feed.order[...] = np.arange(len(rows))
        if shuffle:
            self.rng.shuffle(feed.order)
        self._total[0] = 0
        self._run(feed.program, feed.times, feed.steps)
        return float(self._total[0]) / len(rows)

    def evaluate(self, X: Any, y: Any, sample_weight: Any = None, batch_size: int = 1024) -> float:
        """Mean loss over rows, without training.

        Parameters
        ----------
        X, y, sample_weight
            As for `epoch`.
        batch_size : int
        """
        return self.loss_of(self.model.predict(X, batch_size), y, sample_weight)

    def loss_of(self, z: Array, y: Any, sample_weight: Any = None) -> float:
        """Mean loss of outputs z, (N, outputs), for the targets y."""
        loss, target = self._targets(y, z.shape)
        target = target.copy()
        weight = self._weights(sample_weight, z, target)
        tape = Tape(backends.active(), Workspace(), self.model.dtype)
        value = np.zeros(1)
        loss.record(tape, z, target, weight, value)
        program = tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep)
        program.run([1], backends.num_threads())
        return float(value[0])

    def gradient_norm(self) -> float:
        """Norm of the whole gradient of the last step, in float64, after clipping."""
        return math.sqrt(float(np.einsum("i,i->", *[self.model.flat_grads] * 2, dtype=np.float64)))

    def _output_shape(self, rows: Array) -> tuple[int, ...]:
        features = self.model.outputs or rows.shape[-1]
        return (*rows.shape[:-1], features)

    def _targets(self, y: Any, outputs: tuple[int, ...]) -> tuple[Loss, Array]:
        """The loss for targets of this kind, and the targets as its kernel takes them."""
        loss = losses.for_targets(self.loss, y, outputs)
        return loss, loss.targets(y, outputs, self.model.dtype)

    def _weights(self, given: Any, rows: Array, target: Array) -> Array | None:
        if given is None:
            return None
        if rows.ndim > 2:
            raise ValueError(f"sample_weight needs rows (N, features), got sequences {rows.shape}")
        return checks.weights("sample_weight", given, len(target), self.model.dtype)

    def _check_finite_once(self, given: Any, rows: Array) -> None:
        """The same array need not be searched at every epoch: training itself would notice."""
        seen = (id(given), rows.shape, rows.ctypes.data if rows is given else None)
        if seen != self._finite or rows is not given:
            checks.finite("X", rows)
            self._finite = seen

    def _recorded(
        self,
        shape: tuple[int, ...],
        target: Array,
        weighted: bool,
        loss: Loss,
    ) -> Step:
        backend = backends.active()
        key = (shape, target.shape[1:], type(loss), weighted, backend.name)
        if key not in self._steps:
            if len(self._steps) >= 8:
                self._steps.pop(next(iter(self._steps)))
            self._steps[key] = self._record(shape, target, weighted, loss)
        return self._steps[key]

    def _record(self, shape: tuple[int, ...], target: Array, weighted: bool, loss: Loss) -> Step:
        model = self.model
        tape = Tape(
            backends.active(), self._workspace, model.dtype, self._status, self._seed, self._step
        )
        x = tape.empty(shape)
        wanted = tape.empty((shape[0], *target.shape[1:]), target.dtype)
        weight = tape.empty((shape[0],)) if weighted else None
        z, outputs, backward = model.record(tape, x, train=True)
        dz = loss.record(tape, z, wanted, weight, self._loss)
        backward(dz, False)
        layout = model._param_arena.parts, model.layer_starts()
        for clip, state in zip(self.clips, self._clip_states, strict=True):
            clip.record(tape, model.flat_grads, model.flat_params, *layout, state)
        tape.good()
        self.optimizer.record(
            tape, model.flat_grads, model.flat_params, self.state, self._hyper, self._step
        )
        tape.call("end_step", self._loss, shape[0], self._total, self._cursor, self._step)
        return Step(x, wanted, weight, outputs, tape.take(), tape)

    def _fed(self, rows: Array, target: Array, weight: Array | None, size: int, loss: Loss) -> Feed:
        """The program of an epoch over these arrays; that of the last epoch, if it still fits."""
        arrays = [rows, target] if weight is None else [rows, target, weight]
        places = tuple((a.ctypes.data, a.shape) for a in arrays)
        key = (places, size, type(loss), backends.active().name)
        if self._feed is None or self._feed.key != key:
            order = np.empty(len(rows), np.int64)
            full, rest = divmod(len(rows), size)
            segments, times, steps = [], [], []
            for count, batch in ((full, size), (1 if rest else 0, rest)):
                if count:
                    shape = (batch, *rows.shape[1:])
                    step = self._recorded(shape, target, weight is not None, loss)
                    segments.append(gather(step, arrays, order, self._cursor) + step.calls)
                    times.append(count)
                    steps.append(step)
            keep = [arrays, order, [step.tape.keep for step in steps]]
            program = backends.active().program(segments, self._status, keep)
            self._feed = Feed(key, order, program, times, steps)
        return self._feed

    def _run(self, program: Any, times: list[int], steps: list[Step]) -> None:
        optimizers.read_hyper(self.optimizer, self.state, self._hyper)
        self._cursor[0] = 0
        before = self.steps
        program.run(times, backends.num_threads())
        if self._status[0]:
            full_done = self.steps - before >= times[0]
            step = steps[-1] if full_done and len(steps) > 1 else steps[0]
            raise find_not_finite(self.model, step.outputs, self._loss[0], self.steps)
