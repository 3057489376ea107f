"""`ReduceOnPlateau`: the one schedule with a state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.schedules.base import Schedule


class ReduceOnPlateau(Schedule):
    """Multiplies with `factor` whenever a metric has stopped getting better, as in PyTorch.

    `update` is to be told the metric after every epoch. Multiply it with another schedule to have
    both: ``Warmup(100) * ReduceOnPlateau()``.

    Parameters
    ----------
    factor : float
        In (0, 1).
    patience : int
        Epochs without improvement that are allowed, one after the other.
    mode : "auto", "min" or "max"
        Which way is better; "auto" is "max" where `monitor` ends in ``accuracy``, else "min".
    threshold : float
        How much better counts, at least 0.
    threshold_mode : "rel" or "abs"
        Whether `threshold` is a part of the best value so far, or a difference to it.
    cooldown : int
        Epochs after a reduction in which none count as without improvement.
    min_factor : float
        Below which the product of all reductions does not fall: PyTorch's `min_lr` as a part of
        the optimizer's learning rate.
    monitor : str, optional
        A name in the history of a run; `val_loss` where there is one, else `loss`.

    Attributes
    ----------
    scale : float
        The product of all reductions so far.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_factor: float = 0.0,
        monitor: str | None = None,
    ) -> None:
        self.factor = checks.number("factor", factor, 0, 1, open_low=True, open_high=True)
        self.patience = checks.count("patience", patience, minimum=0)
        self.mode = _one_of("mode", mode, ("auto", "min", "max"))
        self.threshold = checks.number("threshold", threshold, 0)
        self.threshold_mode = _one_of("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = checks.count("cooldown", cooldown, minimum=0)
        self.min_factor = checks.number("min_factor", min_factor, 0, 1)
        if monitor is not None and not isinstance(monitor, str):
            raise TypeError(f"monitor must be a name in the history, got {monitor!r}")
        self.monitor = monitor
        self._scale = 1.0
        self._best: float | None = None
        self._bad_epochs = 0
        self._cooldown_left = 0

    @property
    def scale(self) -> float:
        """The product of all reductions so far."""
        return self._scale

    def curve(self, steps: Array, total: int | None) -> Array:
        """`scale`."""
        return np.full(steps.shape, self._scale)

    def plateaus(self) -> list[ReduceOnPlateau]:
        """This one."""
        return [self]

    def update(self, metric: float) -> bool:
        """Take note of the metric after an epoch; one that is not finite is no improvement.

        Returns
        -------
        bool
            Whether `scale` has become less.
        """
        if isinstance(metric, bool) or not isinstance(metric, (int, float, np.number)):
            raise TypeError(f"metric must be a number, got {metric!r}")
        value = float(metric)
        if self._is_better(value):
            self._best, self._bad_epochs = value, 0
        else:
            self._bad_epochs += 1
        if self._cooldown_left:
            self._cooldown_left -= 1
            self._bad_epochs = 0
        if self._bad_epochs <= self.patience:
            return False
        self._cooldown_left, self._bad_epochs = self.cooldown, 0
        before = self._scale
        self._scale = max(before * self.factor, self.min_factor)
        return self._scale < before

    def state(self) -> dict[str, float | int | None]:
        """All that `update` has changed, as JSON can hold it."""
        return {
            "scale": self._scale,
            "best": self._best,
            "bad_epochs": self._bad_epochs,
            "cooldown_left": self._cooldown_left,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ValueError, TypeError
            For anything else; nothing has changed then.
        """
        names = list(self.state())
        if not isinstance(state, Mapping) or sorted(state) != sorted(names):
            raise ValueError(f"state must have {', '.join(names)}, got {state!r}")
        scale = checks.number("scale", state["scale"], self.min_factor, 1)
        best = None if state["best"] is None else checks.number("best", state["best"])
        bad_epochs = checks.count("bad_epochs", state["bad_epochs"], minimum=0)
        cooldown_left = checks.count("cooldown_left", state["cooldown_left"], minimum=0)
        self._scale, self._best = scale, best
        self._bad_epochs, self._cooldown_left = bad_epochs, cooldown_left

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self._best is None:
            return True
        rising = self.mode == "auto" and (self.monitor or "").endswith("accuracy")
        sign = 1 if rising or self.mode == "max" else -1
        if self.threshold_mode == "rel":
            margin = self._best * (1 + sign * self.threshold)
        else:
            margin = self._best + sign * self.threshold
        return sign * value > sign * margin


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, got {value!r}")
    return str(value)
