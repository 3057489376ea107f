"""Adamax, NAdam and RAdam."""

from __future__ import annotations

from fastgrad.optimizers.base import Hyper, Optimizer, not_negative


class Adamax(Optimizer):
    """Adamax (Kingma & Ba 2015, algorithm 2): Adam with the norm of infinite order.

    ``m = beta1 m + (1 - beta1) g``, ``u = max(beta2 u, |g| + eps)``,
    ``p -= lr / (1 - beta1^t) m / u``

    Parameters
    ----------
    lr : float
        Above 0.
    betas : (float, float)
        Decay of the running mean and of the largest gradient, each in [0, 1).
    eps : float
        Above 0 in float32.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g.
    """

    kernel = "adamax"
    _couples = True
    slots = ("mean", "largest")
    momentum_place = 1

    def __init__(
        self,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay."""
        return self.lr, *self.betas, self.eps, self.weight_decay


class NAdam(Optimizer):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum, whose beta1 grows at first.

    ``mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)``, ``M_t = mu_1 ... mu_t``; with Adam's m and
    v, ``p -= lr u / (sqrt(v / (1 - beta2^t)) + eps)`` where
    ``u = mu_t+1 m / (1 - M_t+1) + (1 - mu_t) g / (1 - M_t)``.

    M is computed from t at every step, so that it is no state and fits the betas of the moment.

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
    momentum_decay : float
        At least 0.
    decoupled_weight_decay : bool
        Whether decay is AdamW's, ``p *= 1 - lr weight_decay``, or adds ``weight_decay p`` to g.
    """

    kernel = "nadam"
    _couples = True
    slots = ("mean", "square")
    momentum_place = 1
    checks = Optimizer.checks | {"momentum_decay": not_negative}

    def __init__(
        self,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum_decay = momentum_decay
        self.decoupled_weight_decay = decoupled_weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay, decoupled, momentum_decay."""
        decay = self.weight_decay, float(self.decoupled_weight_decay)
        return self.lr, *self.betas, self.eps, *decay, self.momentum_decay


class RAdam(Optimizer):
    """RAdam (Liu et al. 2020, algorithm 2): Adam that waits until it knows a variance.

    With Adam's m and v, ``rho_inf = 2 / (1 - beta2) - 1`` and
    ``rho = rho_inf - 2 t beta2^t / (1 - beta2^t)``: where rho > 5,
    ``p -= lr r m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps)`` with
    ``r^2 = (rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho)``; before that,
    ``p -= lr m / (1 - beta1^t)``.

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
    decoupled_weight_decay : bool
        Whether decay is AdamW's, ``p *= 1 - lr weight_decay``, or adds ``weight_decay p`` to g.
    """

    kernel = "radam"
    _couples = True
    slots = ("mean", "square")
    momentum_place = 1

    def __init__(
        self,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.decoupled_weight_decay = decoupled_weight_decay

    def hyper(self) -> Hyper:
        """lr, beta1, beta2, eps, weight_decay, decoupled."""
        decay = self.weight_decay, float(self.decoupled_weight_decay)
        return self.lr, *self.betas, self.eps, *decay
