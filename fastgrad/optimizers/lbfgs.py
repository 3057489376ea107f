"""L-BFGS, by SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.optimizers.base import Hyper, Optimizer, not_negative
from fastgrad.program import Tape


def _count(name: str, value: Any) -> int:
    return checks.count(name, value)


class LBFGS(Optimizer):
    """L-BFGS (Liu & Nocedal 1989) on all rows as one batch, by SciPy's L-BFGS-B (Zhu et al. 1997).

    For small models and data, where it comes closer to a minimum than any other optimizer here. An
    epoch is up to `max_iter` iterations, each with a line search, and starts with an empty history;
    it counts as one step, so dropout drops the same throughout. Batch size and order of rows do not
    matter, and clips, schedules and their like are refused. A stateful layer starts from the same
    states at each evaluation of an epoch, and goes on after it. A loss or gradient that is not
    finite raises `GradientError`, with the parameters of the last good iteration.

    It needs SciPy: ``pip install "fastgrad[lbfgs]"``.

    Parameters
    ----------
    max_iter : int
        Iterations of an epoch, at least 1.
    history : int
        Pairs of steps and changes of the gradient from which curvature is guessed, at least 1.
    gtol : float
        The epoch ends where no element of the gradient is larger, at least 0.
    ftol : float
        Or where the loss falls by less than this part of itself, at least 0.
    """

    slots = ()
    checks = Optimizer.checks | {
        "max_iter": _count,
        "history": _count,
        "gtol": not_negative,
        "ftol": not_negative,
    }
    lr = 1.0  # what a line search tries first

    def __init__(
        self, max_iter: int = 20, history: int = 10, gtol: float = 1e-5, ftol: float = 2.2e-9
    ) -> None:
        self.max_iter = max_iter
        self.history = history
        self.gtol = gtol
        self.ftol = ftol

    def hyper(self) -> Hyper:
        """The 1 that stands for a learning rate."""
        return (self.lr,)

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
        """There is no update that minibatches could share."""
        raise TypeError(
            "LBFGS needs all rows at once: give fit or Trainer.epoch an array of them; "
            "step, batches and FileRows are not for it"
        )

    def minimize(
        self,
        loss_and_gradient: Callable[[Array], tuple[float, Array]],
        start: Array,
        accept: Callable[[Array], None],
    ) -> Array:
        """Go `max_iter` iterations from `start`, float64 (P,).

        Parameters
        ----------
        loss_and_gradient : callable
            Of a point, in float64. What it raises ends the search.
        start : ndarray
        accept : callable
            Called with the point that each iteration has come to.

        Returns
        -------
        ndarray
            The last of these points.

        Raises
        ------
        ImportError
            Without SciPy.
        """
        try:
            from scipy.optimize import OptimizeResult, minimize
        except ImportError as why:
            raise ImportError('LBFGS needs SciPy: pip install "fastgrad[lbfgs]"') from why

        def iterated(intermediate_result: OptimizeResult) -> None:
            accept(intermediate_result.x)

        options: dict[str, float] = {"maxiter": self.max_iter, "maxcor": self.history}
        options |= {"gtol": self.gtol, "ftol": self.ftol, "maxfun": 20 * self.max_iter}
        found = minimize(
            loss_and_gradient,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=iterated,
            options=options,
        )
        end: Array = found.x
        return end
