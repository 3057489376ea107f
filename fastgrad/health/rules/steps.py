"""Updates: their size, what they leave unchanged, and how far along them the loss falls."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import median, medians
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.step_length import StepLength
from fastgrad.health.rules.window import Window


def ratio(recent: Measurements, chosen: Array) -> float:
    """Median of update over weight, of these tensors and all steps; NaN without any."""
    ratios = recent.update_ratios[:, chosen]
    return median(ratios[np.isfinite(ratios)])


def fastest(recent: Measurements, chosen: Array) -> float:
    """The largest ratio of any of these tensors, a median over steps; NaN without any."""
    found = medians(recent.update_ratios[:, chosen])
    found = found[np.isfinite(found)]
    return float(found.max()) if len(found) else math.nan


def relative(recent: Measurements, facts: Facts) -> float:
    """As `ratio`, over the size that weights have, or should: that at first, or the law's."""
    known = {
        i: facts.weights[name].meant
        for i, name in enumerate(recent.tensors)
        if name in facts.weights
    }
    if not known:
        return math.nan
    chosen = list(known)
    meant = np.array(list(known.values())) * np.sqrt(recent.sizes[chosen])
    sizes = np.maximum(recent.weight_norms[:, chosen], meant)
    ratios = recent.update_norms[:, chosen] / np.where(sizes > 0, sizes, np.nan)
    return median(ratios[np.isfinite(ratios)])


def _large(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    found = window.relative
    # what steps have broken early on may hide from later ones, which start from larger weights
    broken = window.rising > limits.update_broken and window.gain < limits.almost
    length = window.step_length
    beyond = facts.same_rows and length.rises >= limits.rises and window.steps >= limits.patience
    if not (found > limits.update_large or broken or beyond):
        return None
    largest = max(found, window.rising)
    severity = "critical" if largest > limits.update_huge else "warning"
    if window.gain > limits.almost:
        severity = "info"
    size = f"{largest:.1%} of" if largest < 10 else f"{largest:.3g} times"
    what = f"single steps change weights by up to {size} their size"
    if not (found > limits.update_large or broken):
        what = f"{length.rises:.0%} of the steps end where the loss of the same rows is higher"
    return Finding(
        severity,
        f"{what}: the learning rate is too large",
        cures("smaller_learning_rate", "clipping", "normalization"),
        {**_evidence(window, found, length), "largest_update_ratio": largest},
    )


def _small(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if window.steps < limits.patience or _rate_is_zero(window):
        return None
    if window.rising > limits.update_broken:
        return None  # what steps that were too large have broken does not ask for larger ones
    found, progress = fastest(window.recent, window.weights), window.progress
    # weights may start out well by chance, or by training that has been done before
    tiny = found < limits.update_small and (
        progress < limits.learned or window.fallen < limits.learning
    )
    length = window.step_length
    if not (tiny or (length.high < limits.step_short and progress < limits.learning)):
        return None
    what = f"each step changes weights by {found:.1e} of their size at most"
    if not tiny:
        part = (1 + length.high) / 2
        what = f"steps go {part:.1%} at most of the way that the loss falls along them"
    why = "the learning rate is too small, or the gradient for it"
    if found == 0:
        what, why = "no step changes any weight", "the gradient is 0, or too small for their size"
    return Finding(
        "critical" if progress < limits.stuck and found < 0.01 * limits.update_small else "warning",
        f"{what}: {why}",
        cures("larger_learning_rate", "optimizer", "initializer"),
        _evidence(window, found, length),
    )


def _unchanged(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if _rate_is_zero(window) or window.broken or not window.recent.losses.any():
        return None  # where the loss is 0 nothing is left to change
    chosen = window.weights & (window.recent.weight_norms > 0).all(axis=0)
    still = (window.recent.update_ratios < limits.unchanged).all(axis=0) & chosen
    if not still.any():
        return None
    names = [name for name, found in zip(window.recent.tensors, still, strict=True) if found]
    return Finding(
        "warning",
        f"{names[0]} does not change ({len(names)} of {int(chosen.sum())} weights): no gradient "
        "reaches it, or one too small for its size",
        cures("initializer", "activation", "larger_learning_rate"),
        {"weights": float(len(names)), "of": float(chosen.sum())},
        facts.weights[names[0]].layer,
        names[0],
    )


def _rate_is_zero(window: Window) -> bool:
    return not (window.recent.rates > 0).any()


def _evidence(window: Window, found: float, length: StepLength) -> dict[str, float]:
    rate = float(window.recent.rates[-1]) if len(window.recent) else math.nan
    return {"update_ratio": found, "rate": rate, "step_length": length.middle}


RULES = (
    Rule("rate_too_large", "update_ratio", _large),
    Rule("rate_too_small", "update_ratio", _small),
    Rule("unchanged", "update_ratio", _unchanged),
)
