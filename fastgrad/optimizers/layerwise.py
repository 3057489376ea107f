"""Optimizers whose steps are as long as the tensor that they change says: LARS and LAMB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad.arena import Array, Part
from fastgrad.groups import Groups
from fastgrad.optimizers.base import Hyper, Optimizer, not_negative, positive
from fastgrad.program import Tape


def _tensors(parts: Sequence[Part], size: int) -> tuple[Array, Array]:
    """The blocks of the tensors, each with the zeros after it, and which are whose."""
    found = Groups([*(part.start for part in parts), size])
    return found.blocks, found.groups


class LARS(Optimizer):
    """LARS (You, Gitman & Ginsburg 2017), as in optax: SGD with a rate for every tensor.

    ``d = g + weight_decay p``, ``v = momentum v + lr trust_coefficient |p| / (|d| + eps) d``,
    ``p -= v``; with `nesterov`, what v grew by and ``momentum v`` are taken off p. The norms are
    those of a tensor; where one is 0, the step is ``lr d``.

    Parameters
    ----------
    lr : float
        Above 0.
    momentum : float
        In [0, 1).
    weight_decay : float
        At least 0.
    trust_coefficient : float
        Above 0.
    eps : float
        At least 0.
    nesterov : bool
    """

    kernel = "lars"
    _couples = True
    slots = ("velocity",)
    momentum_place = 1
    checks = Optimizer.checks | {"trust_coefficient": positive, "eps": not_negative}

    def __init__(
        self,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        eps: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.trust_coefficient = trust_coefficient
        self.eps = eps
        self.nesterov = nesterov

    def hyper(self) -> Hyper:
        """lr, momentum, weight_decay, trust_coefficient, eps, nesterov."""
        trust = self.trust_coefficient, self.eps
        return self.lr, self.momentum, self.weight_decay, *trust, float(self.nesterov)

    def needed(self) -> tuple[str, ...]:
        """A velocity where there is momentum."""
        return ("velocity",) if self.momentum else ()

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        state: dict[str, Array],
        hyper: Array,
        step: Array,
        parts: Sequence[Part],
    ) -> None:
        """Record lars over the tensors."""
        blocks, groups = _tensors(parts, params.size)
        update = tape.empty(params.shape)
        squares, ratios = np.zeros((len(blocks) - 1, 2)), np.zeros(len(groups) - 1)
        velocity = state.get("velocity")
        tape.call("lars", grads, hyper, blocks, groups, params, velocity, update, squares, ratios)
        tape.release(update)


class LAMB(Optimizer):
    """LAMB (You et al. 2020, algorithm 2), as in optax: Adam with a rate for every tensor.

    ``u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay p`` with Adam's m and
    v, ``p -= lr |p| / |u| u``. The norms are those of a tensor; where one is 0, the step is
    ``lr u``.

    Parameters
    ----------
    lr : float
        Above 0.
    betas : (float, float)
        Each in [0, 1).
    eps : float
        Above 0 in float32.
    weight_decay : float
        At least 0.
    """

    kernel = "lamb"
    slots = ("mean", "square")
    momentum_place = 1

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay."""
        return self.lr, *self.betas, self.eps, self.weight_decay

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        state: dict[str, Array],
        hyper: Array,
        step: Array,
        parts: Sequence[Part],
    ) -> None:
        """Record lamb over the tensors."""
        blocks, groups = _tensors(parts, params.size)
        update = tape.empty(params.shape)
        squares, ratios = np.zeros((len(blocks) - 1, 2)), np.zeros(len(groups) - 1)
        slots = (state[slot] for slot in self.slots)
        tape.call(
            "lamb", grads, hyper, step, blocks, groups, params, *slots, update, squares, ratios
        )
        tape.release(update)
