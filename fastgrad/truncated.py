"""Truncated backpropagation through time: long sequences in windows, memory for one of them.

Williams & Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories", 1990.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.optimizers import LBFGS
from fastgrad.predicting import run
from fastgrad.recurrent.models import recurrent_layers
from fastgrad.samples import Samples

if TYPE_CHECKING:
    from fastgrad.train import Trainer


def checked(trainer: Trainer, bptt: Any, shape: tuple[int, ...]) -> int:
    """Steps of a window.

    Raises
    ------
    ValueError, TypeError
        For a model, a trainer or an input that cannot be cut into windows.
    """
    steps = checks.count("bptt", bptt)
    if not trainer.model.are_sequences(shape):
        raise ValueError(f"bptt cuts sequences (N, T, features) into windows, got X {shape}")
    found = recurrent_layers(trainer.model.layers)
    if not found:
        raise ValueError("bptt needs a recurrent layer, whose states go from window to window")
    for name, layer in found.items():
        for option in ("bidirectional", "reverse", "learn_initial", "stateful"):
            if getattr(layer, option):
                raise ValueError(f"bptt goes forward from zeros, but layer {name} has {option}")
    if trainer.accumulate > 1:
        raise ValueError(f"bptt makes a step of each window: accumulate is {trainer.accumulate}")
    if isinstance(trainer.optimizer, LBFGS):
        raise ValueError(f"{trainer.optimizer} takes no bptt")
    for count in (steps, shape[1] % steps):  # some layers take but one number of steps
        if 0 < count < shape[1]:
            outputs = trainer.model.output_shape((shape[0], count, *shape[2:]))
            if len(outputs) > 2 and outputs[1] != count:
                raise ValueError(f"bptt: outputs of {count} steps have {outputs[1]}")
    return steps


def epoch(trainer: Trainer, samples: Samples, size: int, shuffle: bool, bptt: Any) -> float:
    """Train on all rows once, window by window; return the mean loss as `Trainer.epoch` does."""
    steps = checked(trainer, bptt, samples.x.shape)
    outputs = trainer.model.output_shape(samples.x.shape)
    train = _each_window if len(outputs) > 2 else _last_steps
    order = trainer.order(len(samples.x), shuffle)
    with trainer.stepper.epoch():
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            trainer.model._memory.reset()
            train(trainer, samples, rows, steps)
    return trainer.mean_loss()


def steps_of_epoch(rows: int, size: int, longest: int, bptt: int, sequences: bool) -> int:
    """Optimizer steps, where every minibatch has a sequence of the longest ones."""
    return -(-rows // size) * (-(-longest // bptt) if sequences else 1)


def _each_window(trainer: Trainer, samples: Samples, rows: Array, steps: int) -> None:
    """Sequences as outputs: a step for each window in which something counts.

    A window whose step was left out since a loss or gradient was not finite runs forward again, as
    one in which nothing counts does, so that the next one goes on from where it ends. If that is
    not finite either, the rest of these sequences is left out.
    """
    for start in range(0, samples.x.shape[1], steps):
        part = slice(start, start + steps)
        lengths = _within(samples.lengths, rows, start, steps)
        if lengths is not None and not lengths.any():
            return
        weight = None if samples.weight is None else samples.weight[rows]
        if weight is not None and weight.ndim > 1:
            weight = weight[:, part]
        x = samples.x[rows, part]
        if _counts(weight, lengths):
            window = replace(
                samples, x=x, target=samples.target[rows, part], weight=weight, lengths=lengths
            )
            if _step(trainer, window, np.full(len(rows), start), rows):
                continue
        run(trainer.model, x, lengths, start="carried")
        if not all(np.isfinite(state).all() for state in trainer.model.states.values()):
            return


def _last_steps(trainer: Trainer, samples: Samples, rows: Array, steps: int) -> None:
    """One output a sequence: forward over all but its last steps, and one step for these."""
    times = samples.x.shape[1]
    lengths = samples.lengths[rows] if samples.lengths is not None else np.full(len(rows), times)
    starts = np.maximum(lengths - steps, 0)
    for start in range(0, int(starts.max()), steps):
        part = slice(start, min(start + steps, int(starts.max())))
        count = part.stop - part.start
        ragged = _within(starts, None, start, count) if samples.lengths is not None else None
        run(trainer.model, samples.x[rows, part], ragged, start="carried")
    places = np.minimum(starts[:, None] + np.arange(min(steps, times)), times - 1)
    window = replace(
        samples,
        x=samples.x[rows[:, None], places],
        target=samples.target[rows],
        weight=None if samples.weight is None else samples.weight[rows],
        lengths=None if samples.lengths is None else lengths - starts,
    )
    _step(trainer, window, starts, rows)


def _within(lengths: Array | None, rows: Array | None, start: int, count: int) -> Array | None:
    """How many of the `count` steps from `start` on each of these sequences has."""
    if lengths is None:
        return None
    own = lengths if rows is None else lengths[rows]
    return np.asarray(np.clip(own - start, 0, count))


def _counts(weight: Array | None, lengths: Array | None) -> bool:
    """Whether any step of a window has a weight."""
    if weight is None:
        return True
    live = weight.reshape(len(weight), -1).any(axis=1)
    return bool((live if lengths is None else live & (lengths > 0)).any())


def _step(trainer: Trainer, window: Samples, starts: Array, rows: Array) -> bool:
    """Train on a window; return whether that was possible."""
    batch = trainer.filled(window, start="carried")
    batch.starts = starts
    left_out = trainer.guard.bad
    trainer.stepper.single(batch, rows)
    return trainer.guard.bad == left_out
