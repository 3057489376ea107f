"""Where a step that failed first met a number that is not finite."""

from __future__ import annotations

import re

import numpy as np

from fastgrad.errors import GradientError
from fastgrad.feeding import Batch
from fastgrad.model import Sequential
from fastgrad.program import InSteps
from fastgrad.snapshot import Snapshot


def find_not_finite(model: Sequential, batch: Batch, loss: float, steps: int) -> GradientError:
    """The error to raise: the first culprit in the order of computation.

    Parameters
    ----------
    model : Sequential
        Its gradients are those of the failed step, as far as that came.
    batch : Batch
        The failed step's.
    loss : float
        The failed step's loss.
    steps : int
        Good steps before it.
    """
    layer, tensor, time_step = len(model.layers) - 1, None, None
    what = f"the loss is {loss}, computed from the finite output of layer {layer}"
    for i, output in enumerate(batch.outputs):
        if not np.isfinite(output).all():
            layer, time_step = i, _of_output(batch, f"{i}.")
            what = f"the output of layer {i} ({type(model.layers[i]).__name__}) is not finite"
            break
    else:
        for name, gradient in reversed(list(model.grads.items())):
            if not np.isfinite(gradient).all():
                layer, tensor = int(name.partition(".")[0]), name
                time_step = _of_gradient(batch, name)
                what = f"the gradient of {name} is not finite"
                break
    when = "" if time_step is None else f", first at time step {time_step}"
    kept = "the parameters are those of the last good step"
    return GradientError(f"step {steps}: {what}{when}; {kept}", steps, layer, tensor, time_step)


def explained(error: GradientError, snapshot: Snapshot | None) -> GradientError:
    """The same error with the origin of it, as running the step once more shows it."""
    if snapshot is None:
        error.add_note("its origin was not looked for: the model cannot be copied")
        return error
    from fastgrad.health.provenance import of_snapshot  # which looks at training from above

    try:
        error.provenance = found = of_snapshot(snapshot)
    except Exception as problem:  # in a layer of somebody else, and not what went wrong first
        error.add_note(f"its origin was not found: {type(problem).__name__}: {problem}")
        return error
    why = "the same step, run once more, is finite" if found is None else found.cause
    error.args = (f"{error}; {why}",)
    return error


def _of_output(batch: Batch, layer: str) -> int | None:
    """When the first recurrent layer in it that is to blame gave such a number."""
    for name, known in batch.tape.in_steps.items():
        found = _first_not_finite(known) if name.startswith(layer) else None
        if found is not None:
            sequence, time = found
            return time + (0 if batch.starts is None else int(batch.starts[sequence]))
    return None


def _first_not_finite(known: InSteps) -> tuple[int, int] | None:
    """The sequence and the time step that came first."""
    sequences, offsets = len(known.order), known.offsets
    bad = ~np.isfinite(known.h[sequences : sequences + offsets[-1]]).all(axis=1)
    if not bad.any():
        return None
    return place_in_steps(known, int(bad.argmax()))


def place_in_steps(known: InSteps, row: int) -> tuple[int, int]:
    """The sequence and the time step that a row of steps belongs to."""
    offsets = known.offsets
    step = int(offsets.searchsorted(row, "right")) - 1
    place = row - int(offsets[step])
    if known.reverse:  # which starts where the sequence ends
        step = int((np.diff(offsets) > place).sum()) - 1 - step
    return int(known.order[place]), step


def _of_gradient(batch: Batch, name: str) -> int | None:
    """When the gradient that flows back through time was first such a number."""
    layer, _, own = name.rpartition(".")
    level = re.search(r"l\d+(_reverse)?$", own)
    key = f"{layer}.{level[0]}" if level else ""
    if key not in batch.tape.through_time:
        return None
    bad = np.asarray(~np.isfinite(batch.tape.through_time[key][:, :2]).all(axis=1))
    starts = np.zeros(1, np.int64) if batch.starts is None else batch.starts
    reverse = batch.tape.in_steps[key].reverse
    # of sequences that start or end at different times only the norm over all of them is known
    apart = (starts != starts[0]).any() or (reverse and batch.lengths is not None)
    if apart or not bad.any():
        return None
    step = int(np.flatnonzero(bad)[-1])
    return int(starts[0]) + (len(bad) - 1 - step if reverse else step)
