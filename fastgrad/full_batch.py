"""An epoch of an optimizer that asks for loss and gradient of all rows: `LBFGS`."""

from __future__ import annotations

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array
from fastgrad.feeding import Batch
from fastgrad.locate import explained, find_not_finite
from fastgrad.optimizers import LBFGS
from fastgrad.policies import Policy, Raise
from fastgrad.program import Tape, Workspace
from fastgrad.recording import Recorder
from fastgrad.updates import Update

_SETTLED = 2000  # updates of a running mean, after which a momentum of 0.01 leaves 2e-9 of it


def refuse(update: Update, policy: Policy, accumulate: int) -> None:
    """Raise ValueError where a trainer was given what only steps on minibatches can use."""
    given = {
        "clip": update.clips,
        "schedule": update.schedule is not None,
        "per_layer": update.per_layer,
        "accumulate": accumulate > 1,
        "average": update.decay is not None,
        "constraints": update.constraints,
        "on_nonfinite": not isinstance(policy, Raise),
    }
    named = [name for name, value in given.items() if value]
    if named:
        raise ValueError(f"{update.optimizer} takes no {', '.join(named)}")


def epoch(recorder: Recorder, optimizer: LBFGS, batch: Batch) -> None:
    """Minimize the loss of a recorded batch that holds all rows.

    Raises
    ------
    GradientError
        For a loss or gradient that is not finite. The parameters are those of the last iteration,
        as after any other exception.
    """
    model, params = recorder.model, recorder.model.flat_params
    backend, threads = batch.tape.backend, backends.num_threads()
    program = backend.program([batch.calls], recorder.status, batch.tape.keep)
    good = params.copy()
    model._flow = batch.tape.through_time
    model._memory.sequences = len(batch.x)

    def loss_and_gradient(x: Array) -> tuple[float, Array]:
        params[...] = x
        program.run([1], threads)
        if recorder.status[0]:
            steps = int(recorder.step[0])
            recorder.failed(batch, np.arange(len(batch.x)))
            raise explained(
                find_not_finite(model, batch, recorder.loss[0], steps), recorder.failure
            )
        return float(recorder.loss[0]), model.flat_grads.astype(np.float64)

    def accept(x: Array) -> None:
        good[...] = x

    try:
        end = optimizer.minimize(loss_and_gradient, params.astype(np.float64), accept)
        loss_and_gradient(end)  # the line search may have looked elsewhere since
    except BaseException:
        params[...] = good
        raise
    # running statistics come to be those of the only batch there is
    settling = backend.program([batch.closing[:-1]], recorder.status, batch.tape.keep)
    settling.run([_SETTLED], threads)
    tape = Tape(backend, Workspace(), model.dtype)
    tape.call("end_step", recorder.step)
    closing = backend.program([batch.closing + tape.take()], recorder.status, batch.tape.keep)
    closing.run([1], threads)
