"""SGD."""

from __future__ import annotations

from fastgrad.optimizers.base import Hyper, Optimizer, fraction


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
    _couples = True
    slots = ("velocity",)
    momentum_place = 1
    checks = Optimizer.checks | {"dampening": fraction}

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
