"""What a schedule is, and how long its parts are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastgrad.schedules.plateau import ReduceOnPlateau


class Schedule:
    """A factor of the optimizer's learning rate for every step, as a function of the step alone.

    A schedule of your own defines `curve`; what its constructor takes are its attributes.
    """

    def curve(self, steps: Array, total: int | None) -> Array:
        """The factors, float64 of the shape of `steps`, which is checked int64 from 0."""
        raise NotImplementedError

    def momentum_curve(self, steps: Array, total: int | None) -> Array | None:
        """The momenta, likewise; None where the optimizer keeps its own."""
        return None

    def factors(self, steps: Any, total: int | None = None) -> Array:
        """Factors of the learning rate.

        Parameters
        ----------
        steps : int or array-like of int
            Updates done before, so that the first one has the step 0. Steps beyond `total` are
            allowed.
        total : int, optional
            Steps of the whole run, from which durations in fractions are taken.

        Returns
        -------
        ndarray of float64, the shape of `steps`

        Raises
        ------
        ValueError, TypeError
            For steps that are negative or not integers, or a duration that needs a total where
            there is none.
        """
        return self.curve(_steps(steps), _total(total))

    def momentum(self, steps: Any, total: int | None = None) -> Array | None:
        """Momenta (of Adam: beta1) for these steps, or None where the optimizer keeps its own.

        Parameters and errors are those of `factors`.
        """
        return self.momentum_curve(_steps(steps), _total(total))

    def plateaus(self) -> list[ReduceOnPlateau]:
        """Every `ReduceOnPlateau` in this schedule: what wants a metric after every epoch."""
        return []

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `schedules.from_config`."""
        arguments = {k: _described(v) for k, v in vars(self).items() if not k.startswith("_")}
        return {"name": type(self).__name__, **arguments}

    def plot(self, total: int, axes: Axes | None = None) -> Axes:
        """Draw the factors over the steps of a run, and the momenta where there are any.

        Parameters
        ----------
        total : int
            Steps of the run.
        axes : matplotlib.axes.Axes, optional
            Of a new figure of pyplot by default.
        """
        from fastgrad.plots import schedule_axes

        return schedule_axes(self, checks.count("total", total), axes)

    def __mul__(self, other: Any) -> Schedule:
        from fastgrad.schedules.joined import Product

        return Product([self, other]) if isinstance(other, Schedule) else NotImplemented

    def __repr__(self) -> str:
        shown = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


def duration(name: str, value: Any) -> int | float:
    """A number of steps as an integer from 1, or a fraction of the run as a float in (0, 1]."""
    if isinstance(value, (float, np.floating)):
        if not 0 < value <= 1:
            raise ValueError(
                f"{name} must be a number of steps as an int, or a fraction of the run as a float "
                f"in (0, 1], got {value}"
            )
        return float(value)
    return checks.count(name, value)


def in_steps(name: str, value: int | float, total: int | None) -> int:
    """A duration in steps, at least 1."""
    if isinstance(value, int):
        return value
    if total is None:
        raise ValueError(
            f"{name} {value} is a fraction of a run of unknown length: give a number of steps, or "
            "the length (Trainer(total_steps=...); of batches, fit(steps_per_epoch=...))"
        )
    return max(1, round(value * total))


def schedule(name: str, value: Any) -> Schedule:
    """A schedule, and nothing else."""
    if not isinstance(value, Schedule):
        raise TypeError(f"{name} must be a Schedule, got {value!r}")
    return value


def between(start: float, end: float, done: Array) -> Array:
    """The line from `start` to `end`, both exact, at the part of it that is done."""
    return (1 - done) * start + done * end


def half_cosine(start: float, end: float, done: Array) -> Array:
    """Half a period of a cosine from `start` to `end`."""
    return end + (start - end) * ((1 + np.cos(np.pi * done)) / 2)


def _described(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.config()
    return [_described(one) for one in value] if isinstance(value, tuple) else value


def _steps(value: Any) -> Array:
    found = np.asarray(value)
    if found.dtype.kind not in "iu":
        raise TypeError(f"steps must be integers, got dtype {found.dtype}")
    if found.min(initial=0) < 0:
        raise ValueError(f"steps must be at least 0, got {found.min()}")
    return found.astype(np.int64)


def _total(value: Any) -> int | None:
    return None if value is None else checks.count("total", value)
