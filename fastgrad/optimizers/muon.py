"""Muon."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.optimizers.base import Hyper, Optimizer, normal, not_negative, positive
from fastgrad.program import Tape

ADJUSTMENTS = ("original", "match_rms_adamw")


def _coefficients(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise TypeError(f"{name} must be three numbers, got {value!r}")
    return tuple(checks.number(f"{name}[{i}]", each) for i, each in enumerate(value))


def _steps(name: str, value: Any) -> int:
    found = checks.count(name, value)
    if found >= 100:
        raise ValueError(f"{name} must be below 100, got {found}")
    return found


def _adjustment(name: str, value: Any) -> str:
    if value not in ADJUSTMENTS:
        raise ValueError(f"{name} must be one of {', '.join(ADJUSTMENTS)}, got {value!r}")
    return str(value)


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for the matrices of hidden layers, AdamW for all else.

    Hidden are all matrices of a model but the first, which takes the input, and the last, which
    gives the output; a model of two layers has none.

    ``m = momentum m + (1 - momentum) g``, and ``u = momentum m + (1 - momentum) g`` with
    `nesterov`, else m. Of ``u / max(|u|, eps)`` or, where that is higher than wide, its transpose,
    `ns_steps` rounds of ``x = a x + (b G + c G G) x`` with ``G = x x'`` bring all singular values
    near 1. ``p = (1 - lr weight_decay) p - lr r x``, with ``r = sqrt(max(1, rows / columns))``, or
    for "match_rms_adamw" ``r = 0.2 sqrt(max(rows, columns))`` (Liu et al. 2025, eq. 4), whose steps
    are about as large as AdamW's, so that one lr suits both.

    As in PyTorch, but for the rounds, which PyTorch computes in bfloat16 and this in the dtype of
    the model.

    Parameters
    ----------
    lr : float
        Above 0.
    weight_decay : float
        At least 0.
    momentum : float
        In [0, 1).
    nesterov : bool
    ns_coefficients : (float, float, float)
        a, b and c.
    eps : float
        Above 0 in float32.
    ns_steps : int
        From 1 to 99.
    adjust_lr_fn : str
        "original" or "match_rms_adamw".
    adamw_lr : float
        AdamW's learning rate as a multiple of lr, above 0.
    adamw_betas, adamw_eps, adamw_weight_decay
        As `AdamW` takes them.
    """

    kernel = "muon"
    slots = ("mean", "square")
    checks = Optimizer.checks | {
        "ns_coefficients": _coefficients,
        "ns_steps": _steps,
        "adjust_lr_fn": _adjustment,
        "adamw_lr": positive,
        "adamw_betas": Optimizer.checks["betas"],
        "adamw_eps": normal,
        "adamw_weight_decay": not_negative,
    }
    momentum_place = 7

    def __init__(
        self,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str = "original",
        adamw_lr: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
        adamw_weight_decay: float = 0.01,
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.momentum = momentum
        self.nesterov = nesterov
        self.ns_coefficients = ns_coefficients
        self.eps = eps
        self.ns_steps = ns_steps
        self.adjust_lr_fn = adjust_lr_fn
        self.adamw_lr = adamw_lr
        self.adamw_betas = adamw_betas
        self.adamw_eps = adamw_eps
        self.adamw_weight_decay = adamw_weight_decay

    def hyper(self) -> Hyper:
        """The seven of AdamW; momentum, nesterov, weight_decay, eps, ns_coefficients, ns_steps and
        whether lr is adjusted to AdamW."""
        adamw = *self.adamw_betas, self.adamw_eps, self.adamw_weight_decay, 1.0, self.adamw_lr
        muon = self.momentum, float(self.nesterov), self.weight_decay, self.eps
        rounds = *self.ns_coefficients, float(self.ns_steps)
        return self.lr, *adamw, *muon, *rounds, float(self.adjust_lr_fn == "match_rms_adamw")

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
        """Record muon for its matrices, and adam for what lies between them."""
        mean, square = state["mean"], state["square"]
        chosen = [part for part in parts if part.hidden]
        edges = [0, *(edge for part in chosen for edge in (part.start, part.stop)), params.size]
        for start, stop in list(pairwise(edges))[::2]:
            if start < stop:
                vectors = (vector[start:stop] for vector in (params, mean, square))
                own = grads[start:stop], hyper[:7], step, None
                tape.call("adam", *own, *vectors, None, None, None)
        for part in chosen:
            rows, columns = part.shape
            g, p, m = (v[part.start : part.stop].reshape(part.shape) for v in (grads, params, mean))
            side = min(rows, columns)
            shapes = part.shape, part.shape, (side, side), (side, side)
            room = [*(tape.empty(shape) for shape in shapes), tape.empty((rows,), "float64")]
            tape.call("muon", g, hyper, p, m, *room)
            for array in room:
                tape.release(array)
