"""Optimizers that look at signs: Rprop and Lion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.optimizers.base import Hyper, Optimizer, pair, positive


def _etas(name: str, value: Any) -> tuple[float, float]:
    down, up = pair(name, value)
    low = checks.number(f"{name}[0]", down, 0, 1, open_low=True, open_high=True)
    return low, checks.number(f"{name}[1]", up, 1, open_low=True)


def _step_sizes(name: str, value: Any) -> tuple[float, float]:
    least, most = pair(name, value)
    low = positive(f"{name}[0]", least)
    return low, checks.number(f"{name}[1]", most, low)


class Rprop(Optimizer):
    """Rprop (Riedmiller & Braun 1993): a step size for every parameter; for full batches.

    Where the gradient has the sign of the last one, the step size grows by ``etas[1]``; where it
    has the other sign, the step size shrinks by ``etas[0]``, there is no step, and the next
    gradient counts as the first. ``p -= sign(g) step_size``

    Parameters
    ----------
    lr : float
        The first step size, above 0. A schedule of lr changes nothing.
    etas : (float, float)
        In (0, 1), and above 1.
    step_sizes : (float, float)
        The smallest and the largest, above 0.
    """

    kernel = "rprop"
    slots = ("previous", "step_size")
    checks = Optimizer.checks | {"etas": _etas, "step_sizes": _step_sizes}

    def __init__(
        self,
        lr: float = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
    ) -> None:
        self.lr = lr
        self.etas = etas
        self.step_sizes = step_sizes

    def hyper(self) -> Hyper:
        """lr, etas, step_sizes."""
        return self.lr, *self.etas, *self.step_sizes

    def state(self, params: Array, parts: Sequence[Part]) -> dict[str, Array]:
        """The sign of the last gradient, and step sizes that start at lr."""
        found = super().state(params, parts)
        found["step_size"][...] = self.lr
        return found


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2), as in optax: steps of one size, by sign.

    ``p -= lr (sign(beta1 m + (1 - beta1) g) + weight_decay p)``, then
    ``m = beta2 m + (1 - beta2) g``. A learning rate 3 to 10 times smaller than AdamW's suits it,
    with a weight decay as much larger.

    Parameters
    ----------
    lr : float
        Above 0.
    betas : (float, float)
        Each in [0, 1).
    weight_decay : float
        At least 0.
    """

    kernel = "lion"
    slots = ("mean",)
    momentum_place = 1

    def __init__(
        self,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 1e-3,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.weight_decay = weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, weight_decay."""
        return self.lr, *self.betas, self.weight_decay
