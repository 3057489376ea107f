"""`Health`: what is known of the gradients of a training run, as `run.health`."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.health.budget import Budget, budget
from fastgrad.health.history import History
from fastgrad.health.measurements import Measurements
from fastgrad.health.probe import Probe
from fastgrad.health.rules.bounds import proven_dead
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.monitor import Monitor
from fastgrad.health.rules.window import Losses
from fastgrad.health.verdicts import Verdict
from fastgrad.samples import Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from fastgrad.health.prediction import Prediction
    from fastgrad.train import Trainer

_TYPICAL = 512  # rows that stand for the data,
_NUMBERS = 1 << 20  # unless they have more numbers
_SHARE = 0.002  # of the time, at most, that looks on the way may take
_GUESS = 2e-3  # seconds that the first of them takes


class Health:
    """Statistics of every step of a training run, and what they say.

    It belongs to a trainer; `run.health` and `trainer.health` are the same object.
    """

    def __init__(self, trainer: Trainer, probe: Probe) -> None:
        self._trainer = trainer
        self._probe = probe
        self._read = 0  # steps that have been taken in
        nothing = Measurements.empty(probe.tensors, probe.sizes.tolist(), probe.layers)
        self._history = History(nothing)
        self._losses = Losses()
        self._monitor: Monitor | None = None
        self._told = 0  # how much is known of the data
        self._start: tuple[Array, Array, Samples | None] | None = None
        self._typical: tuple[Samples, int] | None = None  # rows, and how many make a minibatch
        self._prediction: Prediction | None = None
        self._box: tuple[Array, Array] | None = None  # of the inputs
        self._looked = time.perf_counter()
        self._took = _GUESS

    # what a trainer tells

    def begin(
        self,
        samples: Samples | None,
        batch_size: int,
        total: int | None = None,
        *,
        cut: bool = False,
    ) -> None:
        """Take what is known before a step: at the first one, or where it is more than before.

        Parameters
        ----------
        samples : Samples or None
        batch_size : int
        total : int, optional
            Rows of the data that the samples are of, which may be more than these; by default
            they are a minibatch, of which nobody knows how many follow.
        cut : bool
            Whether a step has but a part of its sequences.
        """
        # nothing, a minibatch, rows of data of known size, all rows
        told = 0 if samples is None else 1 + (total is not None) + (total == len(samples.x))
        if self._monitor is not None and told <= self._told:
            return
        self._told = told
        facts = self._facts(samples, batch_size, total, cut)
        if self._monitor is None:
            self._monitor = Monitor(facts, losses=self._losses)
            self._keep(samples, batch_size)
        else:  # the model is no longer as it was before the first step
            old = self._monitor.facts
            self._monitor.facts = replace(facts, layers=old.layers, weights=old.weights)
        if samples is None or total != len(samples.x):
            return  # the box of some rows proves nothing of others
        if samples.x.ndim == 2 and self._trainer.model.indices is None:
            self._box = samples.x.min(axis=0), samples.x.max(axis=0)

    def _facts(
        self, samples: Samples | None, batch_size: int, total: int | None, cut: bool
    ) -> Facts:
        """What rules may know."""
        given: tuple[Any, Any, Any] = None, None, None
        if samples is not None:
            given = samples.x, samples.target, samples.lengths
        with np.errstate(all="ignore"):  # of data that nothing can be trained on
            return Facts.of(
                self._trainer,
                *given,
                batch_size=batch_size,
                total=0 if total is None else total,
                cut=cut,
            )

    def _keep(self, samples: Samples | None, batch_size: int) -> None:
        """Have the model as it is now, some rows and the first minibatch for later."""
        first = None
        if samples is not None:
            rows = len(samples.x)
            first = samples.some(np.arange(min(batch_size, rows)))
            # of all the data, which may be sorted
            count = min(rows, max(batch_size, min(_TYPICAL, _NUMBERS // first.x[0].size)))
            typical = samples.some(np.linspace(0, rows - 1, count).astype(int))
            self._typical = typical, min(batch_size, rows)
        model = self._trainer.model
        self._start = model.flat_params.copy(), model.flat_buffers.copy(), first

    def state(self) -> dict[str, Any]:
        """What is kept in a checkpoint: the losses so far, which tell whether a run learns."""
        self.look()
        return self._losses.state()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from there; the steps so far have left no other measurements."""
        self._losses.set_state(state)
        self._read = self._trainer.steps

    def passed(self) -> None:
        """Some steps have been made: take them in, if they would be lost or it costs little."""
        waiting = self._trainer.steps - self._read
        if waiting + self.room > self._probe.capacity or (
            waiting and time.perf_counter() - self._looked > self._took / _SHARE
        ):
            self.look()

    @property
    def room(self) -> int:
        """Steps that may be made before `passed` is told of them."""
        return self._probe.capacity // 2

    def failed(self, error: GradientError) -> None:
        """A step was not finite."""
        self.look()
        if self._monitor is None:
            self.begin(None, 1)
        assert self._monitor is not None
        self._monitor.failed(error)

    def epoch(self, val_loss: float | None = None) -> None:
        """An epoch has ended."""
        self.passed()
        if self._monitor is not None:
            lived = self._probe.lived
            silent = {name: 1 - float(units.mean()) for name, units in lived.items()}
            # what can be proven to be dead is silent, too
            proven: dict[str, float] = {}
            if max(silent.values(), default=0.0) >= self._monitor.limits.dead:
                proven = self._proven_dead()
            self._monitor.epoch(val_loss, proven, silent, self._trainer.steps)
            for units in lived.values():
                units[...] = 0

    def _proven_dead(self) -> dict[str, float]:
        """Of the present parameters, where the box of the inputs is known."""
        if self._box is None:
            return {}
        model = self._trainer.model
        return proven_dead(model.layers, model.params, *self._box)

    def look(self) -> None:
        """Take in all steps that have been made."""
        started = time.perf_counter()
        steps = self._trainer.steps
        if steps < self._read:  # some have been undone
            self._history.back_to(steps)
            self._read = steps
        if steps > self._read:
            found = self._probe.read(self._read, steps)
            self._read = steps
            self._history.add(found)
            if self._monitor is None:
                self.begin(None, 1)
            assert self._monitor is not None
            self._monitor.observe(found)
        self._looked = time.perf_counter()
        self._took = self._looked - started

    # what a user asks

    @property
    def measurements(self) -> Measurements:
        """Statistics of the steps: of all, or of a few thousand spread over a longer run."""
        self.look()
        return self._history.measurements

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What is wrong, the worst first, causes before what they cause."""
        self.look()
        return self.known

    @property
    def known(self) -> tuple[Verdict, ...]:
        """The verdicts on the steps that have been taken in, without a look at later ones."""
        return () if self._monitor is None else self._monitor.verdicts

    @property
    def ok(self) -> bool:
        """Whether no verdict is a warning or worse."""
        return not any(verdict.rank for verdict in self.verdicts)

    @property
    def gradient_norms(self) -> Array:
        """(steps, tensors): norms of the gradients before clips."""
        return self.measurements.gradient_norms

    @property
    def time_gradient_norms(self) -> dict[str, Array]:
        """(steps, T) for each recurrent layer, level and direction ("0.l0"): norms of dL/dh_t."""
        return {n: flow[:, :, 0] for n, flow in self.measurements.through_time.items()}

    @property
    def prediction(self) -> Prediction:
        """What theory expected of the model as it was before the first step."""
        from fastgrad.health.prediction import predict

        if self._start is None:
            raise RuntimeError("nothing is known of the model before the first step")
        if self._prediction is None:
            trainer = self._trainer
            model = copy.deepcopy(trainer.model)
            model.flat_params[...], model.flat_buffers[...] = self._start[:2]
            if self._typical is None:
                found = predict(model, optimizer=trainer.optimizer, loss=trainer.loss)
            else:
                given, rows = self._typical
                found = predict(
                    model,
                    given.x,
                    y=given.target,
                    optimizer=trainer.optimizer,
                    loss=given.loss,
                    lengths=given.lengths,
                    rows=rows,
                )
            self._prediction = found
        return self._prediction

    def budget(self, x: Any = None, y: Any = None, lengths: Any = None) -> Budget:
        """What each layer makes of the gradient, with the present parameters.

        Parameters
        ----------
        x, y, lengths : array-like, optional
            As for `Trainer.step`; by default the first minibatch of the run.
        """
        trainer = self._trainer
        if x is not None:
            rows = trainer.model.checked("x", x, lengths=lengths)
            samples = trainer.samples(rows, y, lengths=lengths)
        elif self._start is None or self._start[2] is None:
            raise ValueError("budget needs x and y: the run has kept no minibatch")
        else:
            samples = self._start[2]
        return budget(trainer.model, samples)

    def table(self, width: int | None = None) -> str:
        """All of it as text, for a terminal."""
        from fastgrad.health.report import table

        return table(self.measurements, self.verdicts, self._expected(), width=width)

    def plot(self, figure: Figure | SubFigure | None = None) -> Sequence[Axes]:
        """Draw it; by default on a new figure of pyplot.

        Returns
        -------
        list of Axes
            One of each figure; ``axes[0].get_figure(root=True)`` has all of them, to be saved.
        """
        from fastgrad.health.report import draw

        return draw(self.measurements, self.verdicts, *self._extras(), figure=figure)

    def to_html(self, path: str | Path, title: str = "Gradient health") -> None:
        """Write it as one page that needs nothing else."""
        from fastgrad.health.report import write

        write(path, self.measurements, self.verdicts, *self._extras(), title=title)

    def _extras(self) -> tuple[Prediction | None, Budget | None]:
        """Prediction and budget, where they can be had."""
        known = self._start is not None and self._start[2] is not None
        return self._expected(), self.budget() if known else None

    def _expected(self) -> Prediction | None:
        """What was predicted, where steps can be compared with it: each of one known minibatch."""
        known = self._start is not None and self._start[2] is not None
        return self.prediction if known and self._trainer.accumulate == 1 else None

    def __repr__(self) -> str:
        verdicts = self.verdicts
        steps = self._trainer.steps
        if not verdicts:
            return f"<Health of {steps} steps: nothing is wrong>"
        return f"<Health of {steps} steps:\n" + "\n".join(f"  {v}" for v in verdicts) + ">"
