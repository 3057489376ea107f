"""`fit`: epochs, validation, callbacks, early stopping and progress around a `Trainer`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.model import Sequential
from fastgrad.train import Trainer

Callback: TypeAlias = "Callable[[Run], object]"


class Run:
    """One training run, as `fit` returns it and callbacks see it.

    Attributes
    ----------
    model : Sequential
    trainer : Trainer
    epoch : int
        Epochs done.
    history : dict of str to list
        One value per epoch: ``epoch``, ``loss``, ``gradient_norm`` (of the epoch's last step, after
        clipping), ``lr``, ``seconds``, ``samples_per_second``; with validation ``val_loss``, and
        ``val_accuracy`` for integer classes; with clips ``clipped`` and ``kept``, which have an
        entry for every clip: the fraction of the epoch's steps in which it acted, and the mean over
        the epoch's steps of the norm after clipping over the norm before (`Trainer.clip_reports`
        has the account of all steps).
    stopped : str or None
        Why the run ended before its last epoch.
    """

    def __init__(self, model: Sequential, trainer: Trainer) -> None:
        self.model = model
        self.trainer = trainer
        self.epoch = 0
        self.history: dict[str, list[Any]] = {}
        self.stopped: str | None = None
        self._clip_reports = trainer.clip_reports()

    def record(self, **values: Any) -> None:
        """Append to the history, a value to each of these lists."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = {name: values[-1] for name, values in self.history.items()}
        shown = ", ".join(
            f"{name} {value:.4g}" for name, value in last.items() if isinstance(value, float)
        )
        ending = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<Run of {self.epoch} epochs: {shown}{ending}>"


class EarlyStopping:
    """A callback that stops a run which no longer gets better, and goes back to its best epoch.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are allowed.
    monitor : str, optional
        A name in the history to be minimized; `val_loss` where there is one, else `loss`.
    min_delta : float
        How much less counts as better.
    restore_best : bool
        Whether the model ends with the parameters of the best epoch.
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.patience = checks.count("patience", patience)
        self.monitor = monitor
        self.min_delta = checks.number("min_delta", min_delta, 0)
        self.restore_best = bool(restore_best)
        self.best = np.inf
        self.best_epoch = 0
        self._params: Array | None = None
        self._buffers: Array | None = None

    def __call__(self, run: Run) -> bool:
        """Look at the epoch just done; True stops the run."""
        name = self.monitor or ("val_loss" if "val_loss" in run.history else "loss")
        if name not in run.history:
            raise ValueError(f"monitor {name!r} is none of {', '.join(run.history)}")
        if run.epoch == 1:  # a new run: what an earlier one left does not count
            self.best, self._params = np.inf, None
        value = run.history[name][-1]
        if not isinstance(value, (int, float)):
            raise TypeError(f"monitor {name!r} must be a number per epoch, got {value!r}")
        if value < self.best - self.min_delta or self._params is None:
            self.best, self.best_epoch = value, run.epoch
            self._params = run.model.flat_params.copy()
            self._buffers = run.model.flat_buffers.copy()
        elif run.epoch - self.best_epoch >= self.patience:
            run.stopped = (
                f"{name} has not fallen below {self.best:.4g} (epoch {self.best_epoch}) "
                f"for {self.patience} epochs"
            )
            return True
        return False

    def finish(self, run: Run) -> None:
        """Go back to the best epoch, whether or not the run was stopped."""
        if self.restore_best and run.epoch and self._params is not None:
            run.model.flat_params[...] = self._params
            run.model.flat_buffers[...] = self._buffers


def fit(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any = "adam",
    clip: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    validation: Any = None,
    sample_weight: Any = None,
    shuffle: bool = True,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    rng: Any = None,
) -> Run:
    """Train a model.

    Parameters
    ----------
    model : Sequential
    X : array-like, (N, inputs) or (N, T, inputs)
    y : array-like
        Targets, as the loss takes them.
    loss, optimizer, clip
        As for `Trainer`.
    epochs, batch_size : int
    validation : float or (X, y), optional
        A fraction of the rows, drawn at random and not trained on, or a set of its own.
    sample_weight : array-like (N,), optional
    shuffle : bool
        Whether each epoch draws the order of rows anew.
    callbacks : sequence of callable
        Each is called with the `Run` after every epoch; one that returns True ends the run. One
        that has a method ``finish(run)`` gets it called after the last epoch.
    progress : bool, optional
        Whether a progress bar is shown; by default where standard error is a terminal.
    rng : int or numpy.random.Generator
        Seed of the validation split and of the order of rows.

    Returns
    -------
    Run

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit; the model has not changed.
    GradientError
        As `Trainer.epoch`; the error has the run so far as its attribute ``run``.
    KeyboardInterrupt
        On Ctrl-C, between two steps; the model is usable, and ``run`` is there as well.
    """
    epochs = checks.count("epochs", epochs, minimum=0)
    batch_size = checks.count("batch_size", batch_size)
    callbacks = _callables(callbacks)
    generator = checks.generator(rng)
    trainer = Trainer(model, loss, optimizer, clip, generator)
    run = Run(model, trainer)
    X, y, sample_weight, held_out = _split(trainer, X, y, sample_weight, validation, generator)
    with _bar(epochs, progress) as bar:
        for _ in range(epochs):
            start = time.perf_counter()
            try:
                mean_loss = trainer.epoch(X, y, batch_size, shuffle, sample_weight)
            except (GradientError, KeyboardInterrupt) as error:
                error.run = run  # type: ignore[union-attr]
                raise
            _note(run, mean_loss, time.perf_counter() - start, len(X), held_out)
            bar.update(1)
            bar.set_postfix_str(_postfix(run), refresh=False)
            # every callback sees the epoch, even if an earlier one has stopped the run
            answers = [callback(run) for callback in callbacks]
            if any(map(_is_true, answers)):
                run.stopped = run.stopped or "a callback stopped it"
                break
    for callback in callbacks:
        finish = getattr(callback, "finish", None)
        if finish is not None:
            finish(run)
    return run


def _callables(callbacks: Any) -> tuple[Callback, ...]:
    if not isinstance(callbacks, (list, tuple)) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks must be a list of functions, got {callbacks!r}")
    return tuple(callbacks)


def _is_true(answer: object) -> bool:
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def _split(
    trainer: Trainer, X: Any, y: Any, weight: Any, validation: Any, rng: np.random.Generator
) -> tuple[Array, Array, Any, tuple[Array, Array] | None]:
    """Training rows, their targets and weights, and what is held out; all checked."""
    model = trainer.model
    X = checks.rows("X", X, model.inputs, model.dtype)
    _, y = trainer._targets(y, trainer._output_shape(X))
    if weight is not None:
        weight = checks.weights("sample_weight", weight, len(X), model.dtype)
    if validation is None:
        return X, y, weight, None
    if isinstance(validation, (tuple, list)):
        if len(validation) != 2:
            raise ValueError(
                f"validation must be (X, y) or a fraction, got {len(validation)} items"
            )
        X_val = checks.rows("validation X", validation[0], model.inputs, model.dtype)
        _, y_val = trainer._targets(validation[1], trainer._output_shape(X_val))
        return X, y, weight, (X_val, y_val)
    fraction = checks.number("validation", validation, 0, 1, open_low=True, open_high=True)
    count = round(len(X) * fraction)
    if not 0 < count < len(X):
        raise ValueError(
            f"validation {fraction} of {len(X)} rows leaves {len(X) - count} to train on and "
            f"{count} to validate with"
        )
    order = rng.permutation(len(X))
    held, rest = order[:count], order[count:]
    return X[rest], y[rest], None if weight is None else weight[rest], (X[held], y[held])


def _note(
    run: Run, loss: float, seconds: float, rows: int, held_out: tuple[Array, Array] | None
) -> None:
    run.epoch += 1
    run.record(
        epoch=run.epoch,
        loss=loss,
        gradient_norm=run.trainer.gradient_norm(),
        lr=run.trainer.optimizer.lr,
        seconds=seconds,
        samples_per_second=rows / seconds,
    )
    if run.trainer.clips:
        before, run._clip_reports = run._clip_reports, run.trainer.clip_reports()
        reports = [now.since(then) for now, then in zip(run._clip_reports, before, strict=True)]
        run.record(clipped=[r.fraction for r in reports], kept=[r.mean_kept for r in reports])
    if held_out is not None:
        X, y = held_out
        z = run.model.predict(X)
        run.record(val_loss=run.trainer.loss_of(z, y))
        if run.trainer.loss.labels and y.ndim == 1:
            run.record(val_accuracy=float((z.argmax(axis=-1) == y).mean()))


def _postfix(run: Run) -> str:
    last = {name: values[-1] for name, values in run.history.items()}
    shown = [f"loss {last['loss']:.4f}"]
    if "val_loss" in last:
        shown.append(f"val {last['val_loss']:.4f}")
    if "val_accuracy" in last:
        shown.append(f"acc {last['val_accuracy']:.1%}")
    shown.append(f"|g| {last['gradient_norm']:.3g}")
    shown.append(f"{last['samples_per_second']:,.0f} rows/s")
    return ", ".join(shown)


def _bar(epochs: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=epochs, unit="epoch", disable=not shown)
