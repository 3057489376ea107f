"""`Snapshot`: a minibatch with all that its passes hang on, so that they can be run once more."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.feeding import Batch, Feed
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.penalties import Penalty

if TYPE_CHECKING:
    from fastgrad.health import Measurements
    from fastgrad.recording import Recorder

KEPT = 20  # steps before the failed one whose rows are remembered


@dataclass
class Snapshot:
    """What a step began with; that of a failed one holds copies, which later steps do not change.

    Attributes
    ----------
    model : Sequential
        With the gradients of the step before, as far as the passes have left them.
    x, target, weight, lengths : ndarray or None
    dy : ndarray or None
        Where there is no loss: the gradient of the outputs, if there is one.
    loss : Loss or None
    penalties : sequence of Penalty
    backend : str
    seed, count : int
        Of what is random in the layers; see `Tape`.
    start : str
        What recurrent layers start from; see `Tape`.
    starts : ndarray of int64, (N,), or None
        Of a window of longer sequences: the time of its first step.
    states : dict of str to ndarray, (N, units)
        What recurrent layers start from, as far as that is in the model's memory.
    steps : int
        Optimizer steps done before.
    rate : float or None
        Learning rate of the last one.
    optimizer_state : list of (int, dict of str to ndarray)
        Where in the flat parameters it starts, and its vectors; of parameters that are not all
        finite only.
    rows : ndarray of int64, (N,), or None
        The rows of X that the minibatch is made of.
    recent : list of (int, ndarray)
        Step and rows of good steps right before, the last one at the end.
    history : Measurements or None
        Of the steps before, where the trainer measures.
    """

    model: Sequential
    x: Array
    backend: str
    seed: int
    count: int
    target: Array | None = None
    weight: Array | None = None
    lengths: Array | None = None
    dy: Array | None = None
    loss: Loss | None = None
    penalties: Sequence[Penalty] = ()
    start: str = "own"
    starts: Array | None = None
    states: Mapping[str, Array] = field(default_factory=dict)
    steps: int = 0
    rate: float | None = None
    optimizer_state: list[tuple[int, dict[str, Array]]] = field(default_factory=list)
    rows: Array | None = None
    recent: list[tuple[int, Array]] = field(default_factory=list)
    history: Measurements | None = None


def of_step(
    recorder: Recorder,
    batch: Batch,
    rows: Array | None = None,
    recent: Sequence[tuple[int, Array]] = (),
) -> Snapshot:
    """That of the minibatch at which a step has just failed, before anything is put back."""
    model, update, tape = recorder.model, recorder.update, batch.tape
    found = Snapshot(
        copy.deepcopy(model),
        batch.x.copy(),
        tape.backend.name,
        tape.seed,
        int(tape.count[0]),
        batch.target.copy(),
        _copied(batch.weight),
        _copied(batch.lengths),
        loss=batch.loss,
        penalties=recorder.penalties,
        start=tape.start,
        starts=_copied(batch.starts),
        states=states_of(model, len(batch.x)),
        steps=int(recorder.step[0]),
        rate=update.rate,
        rows=_copied(rows),
        recent=[(step, own.copy()) for step, own in recent],
    )
    if recorder.probe is not None:
        found.history = recorder.probe.read(max(found.steps - KEPT, 0), found.steps)
    if not np.isfinite(model.flat_params).all():
        for group in update.groups:
            vectors = {
                name: array.copy()
                for name, array in group.state.items()
                if array.shape == (group.stop - group.start,)
            }
            found.optimizer_state.append((group.start, vectors))
    return found


def states_of(model: Sequential, sequences: int) -> dict[str, Array]:
    """What recurrent layers start from, for as many sequences."""
    known = model._memory.of(sequences).items()
    return {name: state.initial.copy() for name, state in known}


def rows_before(feed: Feed, done: int, steps: int, good: int) -> list[tuple[int, Array]]:
    """Step and rows of the last good steps of a feed.

    Parameters
    ----------
    feed : Feed
    done : int
        Steps of the feed that are done.
    steps : int
        Optimizer steps that are done.
    good : int
        Steps since the last one that was left out.
    """
    found = []
    for back in range(min(KEPT, done, good), 0, -1):
        own = feed.order[feed.row(done - back) : feed.row(done - back + 1)]
        found.append((steps - back, own))
    return found


def _copied(array: Array | None) -> Array | None:
    return None if array is None else array.copy()
