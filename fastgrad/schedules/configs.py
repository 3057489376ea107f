"""Schedules by name, and from what JSON can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastgrad import configs
from fastgrad.schedules.base import Schedule
from fastgrad.schedules.cycles import Cosine, OneCycle
from fastgrad.schedules.decays import (
    Constant,
    Exponential,
    InverseSquareRoot,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from fastgrad.schedules.joined import Product, Sequence, Warmup
from fastgrad.schedules.plateau import ReduceOnPlateau

_KINDS = (
    Constant,
    Cosine,
    Exponential,
    InverseSquareRoot,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Product,
    ReduceOnPlateau,
    Sequence,
    Step,
    Warmup,
)
_KNOWN: dict[str, type[Schedule]] = {kind.__name__: kind for kind in _KINDS}

# those that say all with their defaults
_NAMES: dict[str, Callable[[], Schedule]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "reduce_on_plateau": ReduceOnPlateau,
}


def get(schedule: Any) -> Schedule:
    """The schedule itself, that of a name with its defaults, or a constant factor; None is 1."""
    if isinstance(schedule, Schedule):
        return schedule
    if schedule is None:
        return Constant()
    if isinstance(schedule, str) and schedule in _NAMES:
        return _NAMES[schedule]()
    if isinstance(schedule, (int, float)) and not isinstance(schedule, bool):
        return Constant(schedule)
    names = ", ".join(_NAMES)
    raise ValueError(f"schedule: expected one of {names}, a number or a Schedule, got {schedule!r}")


def from_config(config: Mapping[str, Any]) -> Schedule:
    """Make the schedule that `Schedule.config` described.

    Raises
    ------
    TypeError, ValueError
        If the name is missing or unknown, or the arguments do not suit that schedule.
    """
    if isinstance(config, Mapping):
        config = {key: _made(value) for key, value in config.items()}
    return configs.rebuilt("schedule", _KNOWN, config)


def _made(value: Any) -> Any:
    if isinstance(value, Mapping):
        return from_config(value)
    return [_made(one) for one in value] if isinstance(value, (list, tuple)) else value
