"""Ending a run that no longer gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, configs
from fastgrad.arena import Array
from fastgrad.run import Run

_MODES = ("auto", "min", "max")


def one_of_modes(mode: str) -> str:
    """The mode, if it is one."""
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
    return mode


def rises(mode: str, name: str) -> bool:
    """Whether more is better, of what has this name in the history."""
    return mode == "max" or (mode == "auto" and name.endswith("accuracy"))


class EarlyStopping:
    """A callback that stops a run which no longer gets better, and goes back to its best epoch.

    The options have the meaning that they have in Keras.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are allowed.
    monitor : str, optional
        A name in the history; `val_loss` where there is one, else `loss`.
    min_delta : float
        How much better counts as an improvement.
    restore_best : bool
        Whether the model ends with the parameters of the best epoch.
    mode : "auto", "min" or "max"
        Whether less or more of it is better; "auto" is "max" for names that end in ``accuracy``,
        else "min".
    baseline : float, optional
        Only an improvement that is better than this, too, gives the run its patience back.
    start_from_epoch : int
        The epochs at the start that are not looked at, neither to stop nor as the best one.

    Attributes
    ----------
    best : float
        The best value so far; a NaN is worse than any number.
    best_epoch : int
        The epoch of it, counted from 1.
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str = "auto",
        baseline: float | None = None,
        start_from_epoch: int = 0,
    ) -> None:
        self.patience = checks.count("patience", patience)
        self.monitor = monitor
        self.min_delta = checks.number("min_delta", min_delta, 0)
        self.restore_best = bool(restore_best)
        self.mode = one_of_modes(mode)
        self.baseline = None if baseline is None else checks.number("baseline", baseline)
        self.start_from_epoch = checks.count("start_from_epoch", start_from_epoch, minimum=0)
        self._forget()

    def _forget(self) -> None:
        self.best = -np.inf if self.mode == "max" else np.inf
        self.best_epoch = 0
        self._waited = 0
        self._params: Array | None = None
        self._buffers: Array | None = None

    def __call__(self, run: Run) -> bool:
        """Look at the epoch just done; True stops the run."""
        name = self.monitor or run.usual_monitor
        value = run.latest(name)
        if run.epoch == 1:  # a new run: what an earlier one left does not count
            self._forget()
        if run.epoch <= self.start_from_epoch:
            return False
        rising = rises(self.mode, name)
        self._waited += 1
        if self._params is None or self._is_better(value, self.best, rising):
            self.best, self.best_epoch = value, run.epoch
            self._params = run.model.flat_params.copy()
            self._buffers = run.model.flat_buffers.copy()
            if self._beats_baseline(rising):
                self._waited = 0
            return False
        if self._waited < self.patience:
            return False
        verb = "risen above" if rising else "fallen below"
        goal = f"{self.best:.4g} (epoch {self.best_epoch})"
        if not self._beats_baseline(rising):
            goal = f"the baseline {self.baseline:.4g}"
        run.stopped = f"{name} has not {verb} {goal} for {self._waited} epochs"
        return True

    def _is_better(self, value: float, reference: float, rising: bool) -> bool:
        if math.isnan(reference):
            return not math.isnan(value)
        gain = value - reference if rising else reference - value
        return gain > self.min_delta

    def _beats_baseline(self, rising: bool) -> bool:
        return self.baseline is None or self._is_better(self.best, self.baseline, rising)

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them."""
        found = configs.described(self)
        return {name: value for name, value in found.items() if not name.startswith("best")}

    def state(self) -> dict[str, Any]:
        """The best epoch so far, for checkpoints."""
        found: dict[str, Any] = {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
        }
        if self._params is not None:
            found |= {"params": self._params, "buffers": self._buffers}
        return found

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._waited = state["waited"]
        self._params, self._buffers = state.get("params"), state.get("buffers")

    def finish(self, run: Run) -> None:
        """Go back to the best epoch, whether or not the run was stopped."""
        if self.restore_best and run.epoch and self._params is not None:
            run.model.flat_params[...] = self._params
            run.model.flat_buffers[...] = self._buffers
