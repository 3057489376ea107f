"""RMSprop."""

from __future__ import annotations

from fastgrad.optimizers.base import Hyper, Optimizer, flag, fraction


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012, lecture 6e): steps divided by a running root mean square.

    ``s = alpha s + (1 - alpha) g^2``, ``p -= lr g / (sqrt(s) + eps)``; with momentum,
    ``v = momentum v + g / (sqrt(s) + eps)``, ``p -= lr v``. With `centered`, the running variance
    ``s - m^2`` takes the place of s, with ``m = alpha m + (1 - alpha) g`` (Graves 2013, eq. 38-41).

    Parameters
    ----------
    lr : float
        Above 0.
    alpha : float
        In [0, 1).
    eps : float
        Above 0 in float32.
    weight_decay : float
        At least 0; adds ``weight_decay p`` to g.
    momentum : float
        In [0, 1).
    centered : bool
    """

    kernel = "rmsprop"
    _couples = True
    slots = ("square", "velocity", "mean")
    momentum_place = 4
    checks = Optimizer.checks | {"alpha": fraction, "centered": flag}
    decisive = ("mean",)

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        self.lr = lr
        self.alpha = alpha
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.centered = centered

    def hyper(self) -> Hyper:
        """lr, alpha, eps, weight_decay, momentum."""
        return self.lr, self.alpha, self.eps, self.weight_decay, self.momentum

    def needed(self) -> tuple[str, ...]:
        """A velocity only where there is momentum, a mean where it is centered."""
        velocity = ("velocity",) if self.momentum else ()
        return ("square", *velocity, *(("mean",) if self.centered else ()))
