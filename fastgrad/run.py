"""`Run`: what `fit` returns and callbacks see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.model import Sequential
from fastgrad.train import Trainer

if TYPE_CHECKING:
    from fastgrad.fitting import Data

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
    """

    epochs: int
    batch_size: int
    shuffle: bool
    validation: float | str | None
    split: np.random.Generator


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
        ``val_loss``, and ``val_accuracy`` for integer classes; with clips ``clipped``, the fraction
        of steps so far in which each acted; with a policy other than "raise" ``left_out``, the
        steps of the epoch that were not finite.
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
        self.epoch_start: np.random.Generator | None = None  # the trainer's, within an epoch
        self.epoch = 0
        self.history: dict[str, list[Any]] = {}
        self.stopped: str | None = None

    @property
    def usual_monitor(self) -> str:
        """What most callbacks look at: `val_loss` where there is one, else `loss`."""
        return "val_loss" if "val_loss" in self.history else "loss"

    def latest(self, name: str) -> float:
        """The last value of a name in the history that is a number per epoch."""
        if name not in self.history:
            raise ValueError(f"monitor {name!r} is none of {', '.join(self.history)}")
        value = self.history[name][-1]
        if not isinstance(value, (int, float)):
            raise TypeError(f"monitor {name!r} must be a number per epoch, got {value!r}")
        return value

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
        name = self.monitor or run.usual_monitor
        value = run.latest(name)
        if run.epoch == 1:  # a new run: what an earlier one left does not count
            self.best, self._params = np.inf, None
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

    def state(self) -> dict[str, Any]:
        """The best epoch so far, for checkpoints."""
        found: dict[str, Any] = {"best": self.best, "best_epoch": self.best_epoch}
        if self._params is not None:
            found |= {"params": self._params, "buffers": self._buffers}
        return found

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._params, self._buffers = state.get("params"), state.get("buffers")

    def finish(self, run: Run) -> None:
        """Go back to the best epoch, whether or not the run was stopped."""
        if self.restore_best and run.epoch and self._params is not None:
            run.model.flat_params[...] = self._params
            run.model.flat_buffers[...] = self._buffers
