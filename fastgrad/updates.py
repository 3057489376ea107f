"""What becomes of a gradient: clips, the optimizer, constraints on the parameters, an average."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgrad import checks, clipping, naming, optimizers, schedules
from fastgrad.arena import Array, Part, aligned
from fastgrad.constraints import get as constraints_of
from fastgrad.health.probe import Probe
from fastgrad.model import Sequential
from fastgrad.optimizers import Optimizer
from fastgrad.program import Tape
from fastgrad.schedules import ReduceOnPlateau

AHEAD = 1024  # steps whose scheduled rates are known to a replay


@dataclass
class Group:
    """Neighbours in the arenas that share the optimizer's settings."""

    overrides: Mapping[str, Any]
    parts: Sequence[Part]  # starts counted from `start`
    start: int
    stop: int
    state: dict[str, Array]

    def configured(self, optimizer: Optimizer) -> Optimizer:
        """The optimizer with the settings of this group."""
        if not self.overrides:
            return optimizer
        own = copy.copy(optimizer)
        for name, value in self.overrides.items():
            setattr(own, name, value)
        return own


class Update:
    """The end of a training step, for all parameters of a model.

    Parameters
    ----------
    model : Sequential
    optimizer, clip, schedule, per_layer, average, constraints
        As for `Trainer`.

    Attributes
    ----------
    optimizer : Optimizer
    clips : tuple of Clip
    constraints : tuple of Constraint
    schedule : Schedule or None
    per_layer : mapping
    decay : float or None
        Of the average.
    groups : list of Group
    state : dict of str to ndarray
        All state of the optimizer, by name; with several groups the name starts with the group's
        number.
    clip_state : list of dict
        All state of each clip, its account included.
    mean : ndarray or None
        The average of the parameters over the steps.
    averaged : bool
        Whether the model's parameters and their average have changed places.
    rate : float
        The learning rate of the last step.
    scale : float
        What all learning rates are multiplied with.
    """

    def __init__(
        self,
        model: Sequential,
        optimizer: Any,
        clip: Any,
        schedule: Any,
        per_layer: Any,
        average: Any,
        constraints: Any,
    ) -> None:
        self.model = model
        self.optimizer: Optimizer = optimizers.get(optimizer)
        self.clips = clipping.get(clip)
        self.constraints = constraints_of(constraints, model)
        # a copy, since some remember how it went
        self.schedule = None if schedule is None else copy.deepcopy(schedules.get(schedule))
        self.decay = (
            None
            if average is None
            else checks.number("average", average, 0, 1, open_low=True, open_high=True)
        )
        self.per_layer: Mapping[str, Any] = {} if per_layer is None else per_layer
        self.groups = self._grouped()
        self.state = {
            name if len(self.groups) == 1 else f"{i}.{name}": array
            for i, group in enumerate(self.groups)
            for name, array in group.state.items()
        }
        self.clip_state = [clip.state(model.parts, model.layer_starts()) for clip in self.clips]
        self.mean: Array | None = None
        if self.decay is not None:
            self.mean = aligned(model.flat_params.size, model.dtype)
            self.mean[...] = model.flat_params
        self.averaged = False
        self.scale = 1.0
        self.rate = self.optimizer.lr
        self._hyper = np.array([g.configured(self.optimizer).hyper() for g in self.groups])
        self._first = np.zeros(1, np.int64)
        self._places = self._scheduled_places()
        self._table = np.zeros((AHEAD, len(self._places)))

    def _grouped(self) -> list[Group]:
        """One group where all parameters are treated alike."""
        model, optimizer = self.model, self.optimizer
        chosen = naming.select(self.per_layer, [part.name for part in model.parts])
        if not model.parts:
            flat = model.flat_params
            return [Group({}, [], 0, flat.size, optimizer.state(flat, []))]
        groups = []
        runs = itertools.groupby(model.parts, lambda part: chosen.get(part.name, {}))
        found = [(_checked(optimizer, overrides), list(parts)) for overrides, parts in runs]
        edges = [parts[0].start for _, parts in found] + [model.flat_params.size]
        spans = itertools.pairwise(edges)
        for (overrides, parts), (start, stop) in zip(found, spans, strict=True):
            own = [replace(part, start=part.start - start) for part in parts]
            group = Group(overrides, own, start, stop, {})
            group.state = group.configured(optimizer).state(model.flat_params[start:stop], own)
            groups.append(group)
        return groups

    def _scheduled_places(self) -> Array:
        """Where in the hyperparameters of all groups a schedule writes."""
        rows, columns = self._hyper.shape
        places = [row * columns for row in range(rows)]
        if self.schedule is not None and self.schedule.momentum(0, AHEAD) is not None:
            place = self.optimizer.momentum_place
            if place is None or not self._hyper[:, place].all():
                raise ValueError(f"{self.schedule!r} needs momentum, {self.optimizer!r} has none")
            places += [row * columns + place for row in range(rows)]
        return np.array(places, np.int64)

    def prepare(self, step: int, count: int, total: int | None) -> None:
        """Set what the next `count` steps read, at most `AHEAD` of them.

        Parameters
        ----------
        step : int
            Steps done.
        count : int
        total : int or None
            Steps of the whole run, where they are known.
        """
        for row, group in zip(self._hyper, self.groups, strict=True):
            optimizers.read_hyper(group.configured(self.optimizer), group.state, row)
        self._hyper[:, 0] *= self.scale
        self.rate = self.optimizer.lr * self.scale
        if self.schedule is None:
            return
        steps = np.arange(step, step + count)
        factors = self.schedule.factors(steps, total)
        groups = len(self.groups)
        self._first[0] = step
        self._table[:count, :groups] = factors[:, None] * self._hyper[:, 0]
        momentum = self.schedule.momentum(steps, total)
        if momentum is not None:
            self._table[:count, groups:] = momentum[:, None]
        self.rate *= float(factors[-1])

    def begin_epoch(self) -> None:
        """Have the clips' accounts of an epoch start here."""
        for clip, state in zip(self.clips, self.clip_state, strict=True):
            clip.begin_epoch(state)

    def record_clips(self, tape: Tape, probe: Probe | None = None) -> None:
        """Record what changes the gradient."""
        model = self.model
        if probe is not None and self.clips:
            probe.before_clips(tape, model.flat_grads)
        flat, places = (model.flat_grads, model.flat_params), (model.parts, model.layer_starts())
        for clip, state in zip(self.clips, self.clip_state, strict=True):
            clip.record(tape, *flat, *places, state)

    def record_step(self, tape: Tape, step: Array, probe: Probe | None = None) -> None:
        """Record the update of the parameters and of their average, and the count of steps."""
        params, grads = self.model.flat_params, self.model.flat_grads
        if self.schedule is not None:
            flat = self._hyper.reshape(-1)
            tape.call("schedule", self._table, self._places, self._first, step, flat)
        for row, group in zip(self._hyper, self.groups, strict=True):
            own = slice(group.start, group.stop)
            optimizer = group.configured(self.optimizer)
            pieces = grads[own], params[own], group.state, row, step, group.parts
            if probe is None:
                optimizer.record(tape, *pieces)
            else:
                probe.update(tape, optimizer, *pieces, group.start, bool(self.clips))
        if probe is not None:
            probe.close_update(tape, self._hyper.reshape(-1)[:1])
        for constraint in self.constraints:
            constraint.record(tape, self.model)
        if self.mean is not None:
            tape.call("average", params, self.decay, step, self.mean)
        tape.call("end_step", step)

    @contextmanager
    def swapped(self, wanted: bool) -> Iterator[None]:
        """Have parameters and average change places, if there is one, until the block ends."""
        if self.mean is None or not wanted:
            yield
            return
        self._swap(self.model.flat_params, self.mean)
        try:
            yield
        finally:
            self._swap(self.model.flat_params, self.mean)

    def _swap(self, params: Array, mean: Array) -> None:
        kept = params.copy()
        params[...] = mean
        mean[...] = kept
        self.averaged = not self.averaged

    def plateaus(self) -> list[ReduceOnPlateau]:
        """The parts of the schedule that want to know how each epoch went."""
        return [] if self.schedule is None else self.schedule.plateaus()


def _checked(optimizer: Optimizer, overrides: Any) -> Mapping[str, Any]:
    """Settings of this optimizer that may differ between layers."""
    if not isinstance(overrides, Mapping):
        raise TypeError(f"per_layer needs a dict of settings for each name, got {overrides!r}")
    unknown = sorted(set(overrides) - set(vars(optimizer)))
    if unknown:
        known = ", ".join(vars(optimizer))
        raise ValueError(f"per_layer sets {unknown[0]!r}; {optimizer!r} has {known}")
    return overrides
