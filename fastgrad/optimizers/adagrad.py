"""Adagrad and Adadelta."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad.arena import Array, Part
from fastgrad.optimizers.base import Hyper, Optimizer, fraction, not_negative


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011): steps divided by the root of all squares so far.

    ``s += g^2``, ``p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)``

    Parameters
    ----------
    lr : float
        Above 0.
    lr_decay : float
        At least 0.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g.
    initial_accumulator_value : float
        The first s, at least 0.
    eps : float
        Above 0 in float32.
    """

    kernel = "adagrad"
    _couples = True
    slots = ("square",)
    checks = Optimizer.checks | {
        "lr_decay": not_negative,
        "initial_accumulator_value": not_negative,
    }

    def __init__(
        self,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        self.lr = lr
        self.lr_decay = lr_decay
        self.weight_decay = weight_decay
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps

    def hyper(self) -> Hyper:
        """lr, lr_decay, weight_decay, eps."""
        return self.lr, self.lr_decay, self.weight_decay, self.eps

    def state(self, params: Array, parts: Sequence[Part]) -> dict[str, Array]:
        """The sum of squares, which starts at `initial_accumulator_value`."""
        found = super().state(params, parts)
        found["square"][...] = self.initial_accumulator_value
        return found


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1): steps as large as the last ones, whatever g's unit.

    ``s = rho s + (1 - rho) g^2``, ``d = sqrt(u + eps) / sqrt(s + eps) g``,
    ``u = rho u + (1 - rho) d^2``, ``p -= lr d``

    Parameters
    ----------
    lr : float
        Above 0.
    rho : float
        In [0, 1).
    eps : float
        Above 0 in float32.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g.
    """

    kernel = "adadelta"
    _couples = True
    slots = ("square", "square_delta")
    checks = Optimizer.checks | {"rho": fraction}

    def __init__(
        self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
    ) -> None:
        self.lr = lr
        self.rho = rho
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> Hyper:
        """lr, rho, eps, weight_decay."""
        return self.lr, self.rho, self.eps, self.weight_decay
