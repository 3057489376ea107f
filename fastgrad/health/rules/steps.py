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
        if name in facts.weights and name not in facts.frozen
    }
    if not known:
        return math.nan
    chosen = list(known)
    meant = np.array(list(known.values())) * np.sqrt(recent.sizes[chosen])
    sizes = np.maximum(recent.weight_norms[:, chosen], meant)
    ratios = recent.update_norms[:, chosen] / np.where(sizes > 0, sizes, np.nan)
    return median(ratios[np.isfinite(ratios)])


def step_length(recent: Measurements) -> float:
    """Length of the steps, where -1 is none, 0 ends at the minimum along them, 1 beyond it.

    A quadratic through the loss before, the slope along the update and the loss after (Cockpit's
    alpha, Schneider et al. 2021). The slope is taken to be the steepest that the norms allow, as it
    is for plain gradient descent; other updates have less of a slope, and this is an upper bound.
    Losses before and after are of different rows: it is the mean over all steps that counts.
    """
    slopes = -(recent.gradient_norms * recent.update_norms).sum(axis=1)
    fell = np.diff(recent.losses)
    good = np.isfinite(fell) & np.isfinite(slopes[:-1])
    slope = slopes[:-1][good].sum()
    return float(1 + 2 * fell[good].sum() / -slope) if slope < 0 else math.nan


def _large(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    found = window.relative
    # what steps have broken early on may hide from later ones, which start from larger weights
    broken = window.rising > limits.update_broken and window.gain < limits.almost
    if not (found > limits.update_large or broken):
        return None
    largest = max(found, window.rising)
    severity = "critical" if largest > limits.update_huge else "warning"
    if window.gain > limits.almost:
        severity = "info"
    return Finding(
        severity,
        f"single steps change weights by up to {largest:.1%} of their size: the learning rate is "
        "too large",
        cures("smaller_learning_rate", "clipping", "normalization"),
        {**_evidence(window, found), "largest_update_ratio": largest},
    )


def _small(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    found = fastest(window.recent, window.weights)
    if not found < limits.update_small or window.steps < limits.patience:
        return None
    progress = window.progress
    # weights may start out well by chance, or by training that has been done before
    if _rate_is_zero(window) or (progress >= limits.learned and window.fallen >= limits.learning):
        return None
    return Finding(
        "critical" if progress < limits.stuck and found < 0.01 * limits.update_small else "warning",
        f"each step changes weights by {found:.1e} of their size at most: the learning rate is too "
        "small, or the gradient for it",
        cures("larger_learning_rate", "optimizer", "initializer"),
        _evidence(window, found),
    )


def _unchanged(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if _rate_is_zero(window) or window.broken:
        return None
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


def _evidence(window: Window, found: float) -> dict[str, float]:
    rate = float(window.recent.rates[-1]) if len(window.recent) else math.nan
    return {"update_ratio": found, "rate": rate, "step_length": step_length(window.recent)}


RULES = (
    Rule("rate_too_large", "update_ratio", _large),
    Rule("rate_too_small", "update_ratio", _small),
    Rule("unchanged", "update_ratio", _unchanged),
)
