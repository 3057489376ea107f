"""`fit`: epochs, callbacks and progress around a `Trainer`."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad import checks, optimizers
from fastgrad.errors import GradientError
from fastgrad.health.report.terminal import worst
from fastgrad.model import Sequential
from fastgrad.optimizers import LBFGS
from fastgrad.policies import Raise
from fastgrad.run import Callback, Run, Settings
from fastgrad.run_data import Data, prepared
from fastgrad.streaming import Batches, are_batches
from fastgrad.train import Trainer


def fit(
    model: Sequential,
    X: Any,
    y: Any = None,
    *,
    loss: Any,
    optimizer: Any = "adam",
    clip: Any = None,
    regularizers: Any = None,
    constraints: Any = None,
    schedule: Any = None,
    per_layer: Any = None,
    accumulate: int = 1,
    average: float | None = None,
    on_nonfinite: Any = "raise",
    epochs: int = 10,
    batch_size: int = 64,
    steps_per_epoch: int | None = None,
    validation: Any = None,
    sample_weight: Any = None,
    lengths: Any = None,
    bptt: int | None = None,
    shuffle: bool = True,
    callbacks: Sequence[Callback] = (),
    health: bool = True,
    progress: bool | None = None,
    rng: Any = None,
) -> Run:
    """Train a model.

    Parameters
    ----------
    model : Sequential
    X : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T); FileRows; or batches
        Batches are an iterable, or a function that returns an iterator for each epoch; their items
        are ``(x, y)``, ``(x, y, sample_weight)`` or ``(x, y, sample_weight, lengths)``, where the
        weight may be None; a third item is never taken for lengths. Each is a minibatch as it is,
        in that order. The rows of an array that are trained on give `Standardize` its statistics,
        if it has none yet.
    y : array-like, optional
        Targets, as the loss takes them; `FileRows` and batches have their own.
    loss, optimizer, clip, regularizers, constraints, schedule, per_layer
        As for `Trainer`.
    accumulate, average, on_nonfinite
        As for `Trainer`. With `average`, validation and callbacks see the averaged parameters, and
        the model ends with them.
    epochs, batch_size : int
    steps_per_epoch : int, optional
        Batches of an epoch, where they do not end by themselves.
    validation : float, (X, y) or (X, y, lengths), optional
        A fraction of the rows, drawn at random and not trained on, or a set of its own; of rows
        that are not in memory no fraction can be taken.
    sample_weight, lengths, bptt
        As for `Trainer.epoch`. With both lengths and bptt a schedule that is given in parts of the
        run may come a little short of its end: it counts the windows of the longest sequence for
        each minibatch.
    shuffle : bool
        Whether each epoch draws the order of rows anew.
    callbacks : sequence of callable
        Each is called with the `Run` after every epoch; one that returns True ends the run. One
        that has a method ``start(run)`` gets it called before the first epoch, and ``finish(run)``
        after the last one. What ``state()`` returns, a dict of numbers, strings and arrays, is
        kept in checkpoints and handed back to ``set_state``.
    health : bool
        Whether each step leaves statistics of gradients, updates and activations behind, for some
        percent of its time: see `Run.health`. `LBFGS` leaves none.
    progress : bool, optional
        Whether a progress bar is shown; by default where standard error is a terminal.
    rng : int or numpy.random.Generator
        Seed of the validation split, of the order of rows and of dropout.

    Returns
    -------
    Run

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit; the model has not changed. For values in files, and for
        batches, when it is their turn; the model is that of the steps before.
    GradientError
        As `Trainer.epoch`; the error has the run so far as its attribute ``run``.
    KeyboardInterrupt
        On Ctrl-C, between two steps; the model is usable, and ``run`` is there as well.
    """
    generator = checks.generator(rng)
    settings = Settings(
        epochs=checks.count("epochs", epochs, minimum=0),
        batch_size=checks.count("batch_size", batch_size),
        shuffle=bool(shuffle),
        validation="given" if isinstance(validation, (tuple, list)) else validation,
        split=copy.deepcopy(generator),
        bptt=bptt,
    )
    callbacks = callables(callbacks)
    if are_batches(X, y):
        X = Batches(X, steps_per_epoch, settings.epochs)
    elif steps_per_epoch is not None:
        raise ValueError("steps_per_epoch is for batches; batch_size divides rows into steps")
    optimizer = optimizers.get(optimizer)
    trainer = Trainer(
        model,
        loss,
        optimizer,
        clip,
        generator,
        schedule=schedule,
        per_layer=per_layer,
        accumulate=accumulate,
        average=average,
        on_nonfinite=on_nonfinite,
        regularizers=regularizers,
        constraints=constraints,
        health=checks.flag("health", health) and not isinstance(optimizer, LBFGS),
    )
    data = prepared(trainer, X, y, sample_weight, lengths, validation, settings, generator)
    run = Run(model, trainer, settings)
    return train(run, data, callbacks, progress)


def train(run: Run, data: Data, callbacks: Sequence[Callback], progress: bool | None) -> Run:
    """The epochs that a run still has before it."""
    settings, trainer = run.settings, run.trainer
    steps = data.steps(trainer, settings)
    trainer.stepper.total_steps = steps * settings.epochs or None
    run.callbacks, run.data = callbacks, data
    _tell(callbacks, "start", run)
    if not isinstance(data.X, Batches):
        run.model.fit_input(data.X, again=False, lengths=data.lengths)
    # what is saved must know what the others made of the epoch
    ordered = sorted(callbacks, key=lambda callback: hasattr(callback, "saves"))
    with _bar(run, settings.epochs, progress) as bar:
        while run.epoch < settings.epochs and run.stopped is None:
            try:
                _epoch(run, data, bar, ordered)
            except (GradientError, KeyboardInterrupt) as error:
                error.run = run  # type: ignore[union-attr]
                raise
    trainer.keep_average()
    _tell(callbacks, "finish", run)
    return run


def _epoch(run: Run, data: Data, bar: Any, callbacks: Sequence[Callback]) -> None:
    """Train on all data once, and let everybody know."""
    trainer = run.trainer
    run.epoch_start = copy.deepcopy(trainer.rng)
    if run.bad_before is None:
        run.bad_before = trainer.guard.bad
    run.started = time.perf_counter() - run.elapsed
    mean_loss = data.epoch(trainer, run.settings)
    seconds = time.perf_counter() - run.started
    with trainer.averaged():
        _note(run, mean_loss, seconds, trainer.guard.bad - run.bad_before, data)
        run.epoch_start, run.bad_before, run.elapsed = None, None, 0.0
        _reduce(run)
        if trainer.health is not None:
            losses = run.history.get("val_loss")
            trainer.health.epoch(losses[-1] if losses else None)
        bar.update(1)
        bar.set_postfix_str(_postfix(run), refresh=False)
        # every callback sees the epoch, even if an earlier one has stopped the run
        for callback in callbacks:
            if _is_true(callback(run)):
                run.stopped = run.stopped or "a callback stopped it"


def callables(callbacks: Any) -> tuple[Callback, ...]:
    """The callbacks, if they are some."""
    found = (callbacks,) if callable(callbacks) else callbacks
    if not isinstance(found, (list, tuple)) or not all(map(callable, found)):
        raise TypeError(f"callbacks must be a list of functions, got {callbacks!r}")
    for one in found:
        if isinstance(one, type):
            raise TypeError(f"callbacks: {one.__name__} is a class; make one: {one.__name__}(...)")
    return tuple(found)


def _tell(callbacks: Sequence[Callback], name: str, run: Run) -> None:
    for callback in callbacks:
        method = getattr(callback, name, None)
        if method is not None:
            method(run)


def _is_true(answer: object) -> bool:
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def _note(
    run: Run,
    loss: float,
    seconds: float,
    bad: int,
    data: Data,
) -> None:
    trainer = run.trainer
    rows = data.X.rows if isinstance(data.X, Batches) else len(data.X)
    run.epoch += 1
    run.record(
        epoch=run.epoch,
        loss=loss,
        gradient_norm=trainer.gradient_norm(),
        lr=trainer.rate,
        seconds=seconds,
        samples_per_second=rows / seconds,
    )
    if trainer.clips:
        reports = trainer.clip_reports(epoch=True)
        run.record(clipped=[r.fraction for r in reports], kept=[r.mean_kept for r in reports])
    if type(trainer.guard.policy) is not Raise:
        run.record(left_out=bad)
    if data.held_out is not None:
        X, y, lengths = data.held_out
        with run.model._memory.aside():
            z = run.model.predict(X, lengths=lengths)
        run.record(val_loss=trainer.loss_of(z, y, lengths=lengths))
        if trainer.loss.labels and y.ndim == z.ndim - 1:
            right = z.argmax(axis=-1) == y
            if right.ndim > 1 and lengths is not None:
                right = right[np.arange(right.shape[1]) < lengths[:, None]]
            run.record(val_accuracy=float(right.mean()))


def _reduce(run: Run) -> None:
    """Tell the schedule how the epoch went."""
    if run.trainer.schedule is not None:
        for plateau in run.trainer.schedule.plateaus():
            plateau.update(run.latest(plateau.monitor or run.usual_monitor))


def _postfix(run: Run) -> str:
    last = {name: values[-1] for name, values in run.history.items()}
    shown = [f"loss {last['loss']:.4f}"]
    if "val_loss" in last:
        shown.append(f"val {last['val_loss']:.4f}")
    if "val_accuracy" in last:
        shown.append(f"acc {last['val_accuracy']:.1%}")
    shown.append(f"|g| {last['gradient_norm']:.3g}")
    shown.append(f"{last['samples_per_second']:,.0f} rows/s")
    if run.health is not None and (verdicts := run.health.known):
        shown.append(worst(verdicts))
    return ", ".join(shown)


def _bar(run: Run, epochs: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    return tqdm(total=epochs, initial=run.epoch, unit="epoch", disable=not shown)
