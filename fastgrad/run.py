"""`Run`: what `fit` returns and callbacks see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgrad.health.health import Health
from fastgrad.model import Sequential
from fastgrad.train import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from fastgrad.run_data import Data

Callback: TypeAlias = "Callable[[Run], object]"


@dataclass
class Settings:
    """What `fit` was told besides what its trainer knows.

    Attributes
    ----------
    epochs, batch_size : int
    shuffle : bool
    validation : float, "given" or None
    split : numpy.random.Generator
        The one that drew the validation rows, as it was before.
    bptt : int, optional
    """

    epochs: int
    batch_size: int
    shuffle: bool
    validation: float | str | None
    split: np.random.Generator
    bptt: int | None = None


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
        clipping), ``lr`` (of that step), ``seconds``, ``samples_per_second``; with validation
        ``val_loss``, and ``val_accuracy`` for integer classes, of all rows or, where outputs are
        sequences, of all steps that count; with clips ``clipped`` and ``kept``, which have an entry
        for each clip: the fraction of the epoch's steps in which it acted, and the mean over these
        steps of the norm after clipping over the norm before (`Trainer.clip_reports` has the
        account of all epochs); with a policy other than "raise" ``left_out``, the steps of the
        epoch that were not finite.
    stopped : str or None
        Why the run ended before its last epoch.
    """

    def __init__(self, model: Sequential, trainer: Trainer, settings: Settings) -> None:
        self.model = model
        self.trainer = trainer
        self.settings = settings
        self.callbacks: Sequence[Callback] = ()
        self.data: Data | None = None
        self.fingerprint: list[Any] | None = None  # of the data, once something needs it
        self.started = 0.0  # when the epoch would have begun, had it run without a break
        self.elapsed = 0.0  # seconds of an epoch that is resumed
        self.bad_before: int | None = None  # steps left out before the epoch
        self.epoch_start: np.random.Generator | None = None  # the trainer's, within an epoch
        self.epoch = 0
        self.history: dict[str, list[Any]] = {}
        self.stopped: str | None = None

    @property
    def health(self) -> Health | None:
        """What is known of the gradients; None where `fit` was told not to look."""
        return self.trainer.health

    @property
    def usual_monitor(self) -> str:
        """What most callbacks look at: `val_loss` where there is one, else `loss`."""
        return "val_loss" if "val_loss" in self.history else "loss"

    def latest(self, name: str) -> float:
        """The last value of a name in the history that is a number per epoch."""
        if name not in self.history:
            raise ValueError(f"monitor {name!r} is none of {', '.join(self.history)}")
        value = self.history[name][-1]
        if not isinstance(value, (int, float, np.number)):
            raise TypeError(f"monitor {name!r} must be a number per epoch, got {value!r}")
        return float(value)

    def record(self, **values: Any) -> None:
        """Append to the history, a value to each of these lists."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def plot(self, figure: Figure | SubFigure | None = None) -> list[Axes]:
        """Draw the history: loss, accuracy, gradient norm, learning rate, clipping.

        Parameters
        ----------
        figure : matplotlib Figure or SubFigure, optional
            Where to draw; a new figure of pyplot by default.

        Returns
        -------
        list of matplotlib.axes.Axes
            A panel for each of these that there is.
        """
        from fastgrad.plots import run_axes

        return run_axes(self.history, figure)

    def __repr__(self) -> str:
        last = {name: values[-1] for name, values in self.history.items()}
        shown = ", ".join(
            f"{name} {value:.4g}" for name, value in last.items() if isinstance(value, float)
        )
        ending = f", stopped: {self.stopped}" if self.stopped else ""
        return f"<Run of {self.epoch} epochs: {shown}{ending}>"
