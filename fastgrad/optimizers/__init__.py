"""Optimizers: one pass over the flat arenas each, with PyTorch's formulas, or optax's.

A hyperparameter may be changed between steps (``optimizer.lr = 1e-4``); the recorded program
reads it anew at every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastgrad import configs
from fastgrad.arena import Array
from fastgrad.optimizers.adagrad import Adadelta, Adagrad
from fastgrad.optimizers.adam import Adam, AdamW
from fastgrad.optimizers.adam_variants import Adamax, NAdam, RAdam
from fastgrad.optimizers.base import Optimizer
from fastgrad.optimizers.layerwise import LAMB, LARS
from fastgrad.optimizers.lbfgs import LBFGS
from fastgrad.optimizers.muon import Muon
from fastgrad.optimizers.rmsprop import RMSprop
from fastgrad.optimizers.sgd import SGD
from fastgrad.optimizers.signs import Lion, Rprop

__all__ = [
    "LAMB",
    "LARS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "from_config",
    "get",
    "read_hyper",
]

_CLASSES: dict[str, type[Optimizer]] = {
    each.__name__: each
    for each in (
        SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, NAdam, RAdam, Rprop, Lion, LAMB, LARS,
        Muon, LBFGS,
    )
}  # fmt: skip
_DEFAULTS: dict[str, Callable[[], Optimizer]] = {
    **{name.lower(): each for name, each in _CLASSES.items()},
    "sgd": lambda: SGD(0.01),
}


def get(optimizer: Any) -> Optimizer:
    """The optimizer of that name with its defaults, or the optimizer itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in _DEFAULTS:
        names = ", ".join(_DEFAULTS)
        raise ValueError(f"optimizer: expected one of {names} or an Optimizer, got {optimizer!r}")
    return _DEFAULTS[optimizer]()


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """Make the optimizer that `Optimizer.config` described."""
    return configs.rebuilt("optimizer", _CLASSES, config)


def read_hyper(optimizer: Optimizer, state: dict[str, Array], into: Array) -> None:
    """Copy the hyperparameters to where the kernel reads them."""
    needed = optimizer.needed()
    missing = [slot for slot in needed if slot not in state]
    if missing:
        raise ValueError(
            f"{optimizer} needs {', '.join(missing)}, which the trainer was made without; "
            "make a new Trainer"
        )
    surplus = [slot for slot in optimizer.decisive if slot in state and slot not in needed]
    if surplus:
        raise ValueError(
            f"{optimizer} has no use for {', '.join(surplus)}, which the trainer was made with; "
            "make a new Trainer"
        )
    into[...] = np.asarray(optimizer.hyper())
