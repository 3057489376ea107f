"""`Assembly`: what a trainer is made of, and what is known of it between steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastgrad import checks, clipping, full_batch, losses, penalties, policies
from fastgrad.arena import Array
from fastgrad.clipping import ClipReport
from fastgrad.constraints import Constraint
from fastgrad.feeding import Held
from fastgrad.health.health import Health
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.optimizers import LBFGS, Optimizer
from fastgrad.penalties import Penalty
from fastgrad.policies import Guard
from fastgrad.recording import Recorder
from fastgrad.schedules import Schedule
from fastgrad.stepping import Stepper
from fastgrad.updates import Update

if TYPE_CHECKING:
    from fastgrad.health import Measurements, Provenance
    from fastgrad.train import Trainer


class Assembly:
    """The base of `Trainer`, which has its parts and trains nothing; see there for parameters."""

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
        health: bool = False,
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
        watched = checks.flag("health", health)
        if watched and isinstance(self.optimizer, LBFGS):
            raise ValueError("health is measured at steps of minibatches: LBFGS has none")
        own = model, self._update, self.accumulate, seed, self._penalties
        self._recorder = Recorder(*own, watched=watched)
        total = None if total_steps is None else checks.count("total_steps", total_steps)
        self._stepper = Stepper(model, self._update, self._recorder, policy, total)
        self._held = Held()
        self._health: Health | None = None
        if self._recorder.probe is not None:
            self._health = Health(cast("Trainer", self), self._recorder.probe)
            self._stepper.health = self._health

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
    def health(self) -> Health | None:
        """Statistics of all steps and what they say, if they are asked for."""
        return self._health

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

    def keep_average(self) -> None:
        """Have the parameters be their average, if there is one, from now on."""
        mean = self._update.mean
        if mean is not None and self.steps:
            self.model.flat_params[...] = mean

    def provenance(self, history: Measurements | None = None) -> Provenance | None:
        """Where the last step that failed, or was left out, first met a number that is not finite.

        Its minibatch is run once more, from what the step began with; nothing that outlives it
        changes.

        Parameters
        ----------
        history : Measurements, optional
            Of the steps before, to be shown with it; by default those that `health` has measured.

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

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Trainer points into memory and cannot be copied or pickled: copy or save its model, "
            "or keep the run with Checkpoint"
        )
