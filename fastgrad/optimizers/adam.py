"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from fastgrad.optimizers.base import Hyper, Optimizer, flag


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), with bias correction.

    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``,
    ``p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)``; with `amsgrad`, the largest v
    so far takes the place of v (Reddi, Kale & Kumar 2018, algorithm 2).

    Parameters
    ----------
    lr : float
        Above 0.
    betas : (float, float)
        Decay of the running mean and of the running mean square, each in [0, 1).
    eps : float
        Above 0 in float32.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g. For decoupled decay see `AdamW`.
    amsgrad : bool
    """

    kernel = "adam"
    _couples = True
    slots = ("mean", "square", "largest")
    momentum_place = 1
    checks = Optimizer.checks | {"amsgrad": flag}
    decisive = ("largest",)

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = amsgrad

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay, decoupled, and the factor of lr, which is 1."""
        return self.lr, *self.betas, self.eps, self.weight_decay, float(not self._couples), 1.0

    def needed(self) -> tuple[str, ...]:
        """The largest mean square only for amsgrad."""
        return self.slots if self.amsgrad else self.slots[:2]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): first ``p *= 1 - lr decay``."""

    _couples = False

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad)
