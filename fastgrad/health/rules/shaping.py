"""What shapes the gradient on purpose, and may do too much of it: penalties, dropout, clips."""

from __future__ import annotations

import numpy as np

from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import median
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.steps import ratio
from fastgrad.health.rules.window import Window


def _penalty(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    recent = window.recent
    if not (facts.l1 or facts.l2 or facts.coupled_decay) or window.steps < limits.patience:
        return None
    of_penalty = facts.penalty_gradients(recent.tensors, recent.sizes, recent.weight_norms)
    norms = np.linalg.norm(of_penalty, axis=1)
    whole = recent.total_gradient_norm
    good = np.isfinite(whole) & (whole > 0)
    if not good.any():
        return None
    share = median(norms[good] / whole[good])
    burden = facts.penalty(recent.tensors, recent.sizes, recent.weight_norms)[-1]
    heavy = bool(burden > limits.burden * window.reference)
    whose = "the penalties'" if facts.l1 or facts.l2 else "the weight decay's"
    return _over(window, facts, limits, share, whose, heavy)


def _decay(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if not facts.decay or window.steps < limits.patience:
        return None
    rate = median(window.recent.rates)
    share = facts.decay * rate / max(ratio(window.recent, window.weights), 1e-30)
    return _over(window, facts, limits, share, "the weight decay's")


def _over(
    window: Window, facts: Facts, limits: Limits, share: float, whose: str, heavy: bool = False
) -> Finding | None:
    progress = window.progress
    left = window.growth
    # weights that grow are not drawn to 0; once they are next to nothing, so is what draws them
    over = (share > limits.penalty and left < limits.grown) or (
        left < limits.collapsed and (heavy or progress < limits.learning)
    )
    # nor is a run as good as it could be whose weights have lost most of what signals need, unless
    # normalization gives it back
    small = share > limits.balanced and left < limits.shrunk
    small = small and not any(layer.normalizes for layer in facts.chain)
    enough = limits.almost if heavy or small else limits.learned
    if not ((over or small) and progress < enough):
        return None
    return Finding(
        "critical" if progress < limits.learning else "warning",
        f"{whose} part of the updates is {share:.2g} times the whole: weights are drawn to 0 "
        "faster than the data can teach them",
        cures("less_regularization"),
        {"share": share, "progress": progress, "weights_left": left},
    )


def _dropout(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    known = [layer for layer in facts.layers.values() if layer.dropout >= limits.dropout]
    if not known or window.steps < limits.patience:
        return None
    worst = max(known, key=lambda layer: layer.dropout)
    if not window.progress < limits.learned:
        return None
    return Finding(
        "warning",
        f"layer {worst.name} drops {worst.dropout:.0%} of its inputs: too little is left to learn "
        "from",
        cures("less_dropout"),
        {"dropout": worst.dropout},
        worst.name,
    )


def _clipped(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    found = _kept(window, facts)
    if found is None:
        return None
    kept = median(found)
    share = float((found < 1).mean())
    if share < limits.clipped:
        return None
    bad = kept < limits.kept and window.progress < limits.almost
    severity = "info"
    if bad and window.steps >= limits.patience:
        severity = "critical" if window.progress < limits.stuck else "warning"
    return Finding(
        severity,
        f"the gradient is clipped in {share:.0%} of the steps and keeps {kept:.1e} of its norm: "
        "the limit, and not the learning rate, sets the length of the steps",
        cures("no_clipping", "larger_learning_rate"),
        {"clipped": share, "kept": kept},
    )


def _never_clipped(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    room = _room(window, facts)
    # a limit that a spike would exceed is there for safety
    if room is None or not room.min() > limits.spike or window.steps < limits.patience:
        return None
    return Finding(
        "info",
        f"the clip has not acted in any of the last steps: its limit lies at {room.min():.3g} "
        "times the largest gradient, above what is a spike",
        cures("no_clipping"),
        {"clipped": 0.0},
    )


def _kept(window: Window, facts: Facts) -> np.ndarray | None:
    """(K,): the least factor that a clip leaves of any part of the gradient; None without clips."""
    room = _room(window, facts)
    return None if room is None else np.minimum(1, room)


def _room(window: Window, facts: Facts) -> np.ndarray | None:
    """(K,): the least limit over size of any part of the gradient; None without clips."""
    recent = window.recent
    limits = facts.max_norm, facts.max_tensor_norm, facts.max_element
    if not np.isfinite(limits).any() or not len(recent):
        return None
    sizes = (
        recent.total_gradient_norm,
        recent.gradient_norms.max(axis=1),
        recent.gradient_max.max(axis=1),
    )
    room = [limit / np.maximum(size, 1e-300) for limit, size in zip(limits, sizes, strict=True)]
    return np.asarray(np.min(room, axis=0))


RULES = (
    Rule("penalty", "regularization", _penalty),
    Rule("weight_decay", "regularization", _decay),
    Rule("dropout", "regularization", _dropout),
    Rule("always_clipped", "clipping", _clipped),
    Rule("never_clipped", "clipping", _never_clipped, votes=(5, 5)),
)
