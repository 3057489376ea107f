"""Optimizers: one pass over the flat arenas each, with PyTorch's formulas.

A hyperparameter may be changed between steps (``optimizer.lr = 1e-4``); the recorded program
reads it anew at every replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, aligned
from fastgrad.program import Tape

Hyper = tuple[float, ...]


class Optimizer:
    """What all optimizers share: hyperparameters by name, state as flat vectors.

    The state belongs to the trainer that uses the optimizer, so that one optimizer object may
    serve several trainers.
    """

    kernel: ClassVar[str]
    slots: ClassVar[tuple[str, ...]]  # the kernel's state vectors, in its order
    momentum_place: ClassVar[int | None] = None  # of momentum or beta1 in `hyper`
    lr: float

    def __setattr__(self, name: str, value: Any) -> None:
        check = _CHECKS.get(name)  # in the constructor and whenever it is changed
        super().__setattr__(name, check(value) if check else value)

    def hyper(self) -> Hyper:
        """The numbers that the kernel reads at every step, in its order."""
        raise NotImplementedError

    def needed(self) -> tuple[str, ...]:
        """Which of the slots this configuration uses."""
        return self.slots

    def state(self, params: Array) -> dict[str, Array]:
        """Fresh state for a vector of parameters."""
        found = {}
        for slot in self.needed():
            found[slot] = aligned(params.size, params.dtype)
            found[slot][...] = 0
        return found

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        state: dict[str, Array],
        hyper: Array,
        step: Array,
    ) -> None:
        """Record one update of all parameters."""
        slots = (state.get(slot) for slot in self.slots)
        tape.call(self.kernel, grads, hyper, step, params, *slots)

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v}" for k, v in vars(self).items())
        return f"{type(self).__name__}({values})"


def _positive(name: str) -> Callable[[Any], float]:
    return lambda value: checks.number(name, value, 0, open_low=True)


def _fraction(name: str) -> Callable[[Any], float]:
    return lambda value: checks.number(name, value, 0, 1, open_high=True)


def _pair(betas: Any) -> tuple[float, float]:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers, got {betas!r}")
    return _fraction("betas[0]")(betas[0]), _fraction("betas[1]")(betas[1])


# what every optimizer means by these names
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "lr": _positive("lr"),
    "eps": _positive("eps"),
    "weight_decay": lambda value: checks.number("weight_decay", value, 0),
    "momentum": _fraction("momentum"),
    "dampening": _fraction("dampening"),
    "alpha": _fraction("alpha"),
    "betas": _pair,
    "nesterov": bool,
}


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum as in PyTorch.

    ``v = momentum v + (1 - dampening) g``, ``p -= lr v``; with `nesterov`, ``p -= lr (g + momentum
    v)``. The first v is g. `weight_decay` adds ``weight_decay p`` to g.

    Parameters
    ----------
    lr : float
        Learning rate, above 0.
    momentum, dampening : float
        In [0, 1).
    weight_decay : float
        At least 0.
    nesterov : bool
        Needs momentum and no dampening (Sutskever et al. 2013).
    """

    kernel = "sgd"
    slots = ("velocity",)
    momentum_place = 1

    def __init__(
        self,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError(
                "nesterov needs momentum above 0 and dampening 0, "
                f"got momentum {self.momentum}, dampening {self.dampening}"
            )

    def hyper(self) -> Hyper:
        """lr, momentum, dampening, weight_decay, nesterov."""
        return self.lr, self.momentum, self.dampening, self.weight_decay, float(self.nesterov)

    def needed(self) -> tuple[str, ...]:
        """A velocity where there is momentum."""
        return ("velocity",) if self.momentum else ()


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e): steps divided by a running root mean square.

    ``s = alpha s + (1 - alpha) g^2``, ``p -= lr g / (sqrt(s) + eps)``; with momentum,
    ``v = momentum v + g / (sqrt(s) + eps)``, ``p -= lr v``.

    Parameters
    ----------
    lr : float
        Above 0.
    alpha : float
        In [0, 1).
    eps : float
        Above 0.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g.
    momentum : float
        In [0, 1).
    """

    kernel = "rmsprop"
    momentum_place = 4
    slots = ("square", "velocity")

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        self.lr = lr
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum

    def hyper(self) -> Hyper:
        """lr, alpha, eps, weight_decay, momentum."""
        return self.lr, self.alpha, self.eps, self.weight_decay, self.momentum

    def needed(self) -> tuple[str, ...]:
        """A velocity only where there is momentum."""
        return self.slots if self.momentum else ("square",)


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), with bias correction.

    ``p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)``

    Parameters
    ----------
    lr : float
        Above 0.
    betas : (float, float)
        Decay of the running mean and of the running mean square, each in [0, 1).
    eps : float
        Above 0.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g. For decoupled decay see `AdamW`.
    """

    kernel = "adam"
    momentum_place = 1
    slots = ("mean", "square")
    _decoupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay, decoupled."""
        return self.lr, *self.betas, self.eps, self.weight_decay, float(self._decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): first ``p *= 1 - lr decay``."""

    _decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay)


_DEFAULTS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(0.01),
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}


def get(optimizer: Any) -> Optimizer:
    """The optimizer of that name with its defaults, or the optimizer itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in _DEFAULTS:
        names = ", ".join(_DEFAULTS)
        raise ValueError(f"optimizer: expected one of {names} or an Optimizer, got {optimizer!r}")
    return _DEFAULTS[optimizer]()


def read_hyper(optimizer: Optimizer, state: dict[str, Array], into: Array) -> None:
    """Copy the hyperparameters to where the kernel reads them."""
    missing = [slot for slot in optimizer.needed() if slot not in state]
    if missing:
        raise ValueError(
            f"{optimizer} needs {', '.join(missing)}, which the trainer was made without; "
            "make a new Trainer"
        )
    into[...] = np.asarray(optimizer.hyper())
