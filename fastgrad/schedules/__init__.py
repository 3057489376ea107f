"""Learning rates that change over a run.

A schedule gives a factor of the optimizer's learning rate for every step, `Schedule.factors`. It is
a function of the step alone, so that a run that is resumed goes on as if it had never stopped; only
`ReduceOnPlateau`, which follows a metric, has a state. Durations are numbers of steps (int) or
fractions of the run (float in (0, 1]): ``Warmup(0.1, then=Cosine())``.
"""

from fastgrad.schedules.base import Schedule
from fastgrad.schedules.configs import from_config, get
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

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseSquareRoot",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Product",
    "ReduceOnPlateau",
    "Schedule",
    "Sequence",
    "Step",
    "Warmup",
    "from_config",
    "get",
]
