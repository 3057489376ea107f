"""Gradients that vanish or explode from layer to layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fastgrad.health.measurements import Measurements
from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import median, medians
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.units import saturation
from fastgrad.health.rules.window import Window


def profile(recent: Measurements, facts: Facts) -> dict[str, float]:
    """The gradient of each layer's outputs over that of the last one's, as a median over steps.

    Layers within a Residual or a Parallel are left out: the way around them is what counts.
    """
    chain = {layer.name for layer in facts.chain} or set(recent.layers)
    found = [i for i, name in enumerate(recent.layers) if name in chain]
    if len(found) < 2:
        return {}
    last = recent.delta_norms[:, found[-1]]
    good = np.isfinite(last) & (last > 0)
    if not good.any():
        return {}
    ratios = recent.delta_norms[good][:, found] / last[good, None]
    return {
        recent.layers[i]: float(value)
        for i, value in zip(found, medians(ratios), strict=True)
        if not math.isnan(value)
    }


def flow(ratios: Mapping[str, float]) -> float:
    """The first layer's gradient over the last one's; NaN where it cannot be told."""
    return next(iter(ratios.values()), math.nan)


def _vanishing(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    ratios, first_ratios = window.profile, window.first_profile
    ratio = flow(ratios)
    stuck = window.steps > limits.patience and window.progress < limits.learning
    now = ratio < (limits.vanishing_stuck if stuck else limits.vanishing)
    born = flow(first_ratios) < limits.vanishing
    if not (now or (born and window.progress < limits.almost)):
        return None
    if not now:
        ratios, ratio = first_ratios, flow(first_ratios)
    layer, loss = _steepest(ratios, -1)
    of_init, of_activation = facts.decades
    lost = -math.log10(max(ratio, 1e-45))
    at_first = -math.log10(max(flow(first_ratios), 1e-45))
    why, first = f"{len(ratios)} layers in a row lose it bit by bit", "normalization"
    passed = list(ratios)[1:]
    zeros = [n for n, known in facts.weights.items() if not known.std and known.layer in passed]
    if born and zeros:
        why, first = f"the first weights of {zeros[0]} are all 0", "initializer"
    elif at_first < 1:
        why, first = "steps that were too large have led there", "smaller_learning_rate"
        if window.growth < limits.shrunk:
            why, first = "weights have become too small for it", "less_regularization"
    elif max(saturation(window, facts).values(), default=0.0) > limits.saturated:
        why, first = "most units are saturated, where the slope is next to nothing", "initializer"
    if at_first > 1 and -of_activation > 0.3 * at_first:
        why = f"the slope of sigmoid is 1/4 at most and takes {-of_activation:.1f} decades of it"
        first = "activation"
    if at_first > 1 and -of_init > max(0.5 * at_first, -of_activation):
        why = f"the first weights are too small and take {-of_init:.1f} decades of it"
        first = "initializer"
    rest = [c for c in ("initializer", "normalization", "residual", "activation") if c != first]
    severity = window.severity_at_birth if born else window.severity
    when = "loses" if now else "lost, at the first step,"
    what = f"the gradient {when} {lost:.1f} decades from the last layer to the first"
    if not ratio > 0:
        when = "reaches" if now else "reached, at the first step,"
        what = f"none of the last layer's gradient {when} the first"
    return Finding(
        severity(limits, now and ratio < limits.vanished),
        f"{what}: {why}",
        cures(first, *rest),
        {"ratio": ratio, "decades": -lost, "of_initializer": of_init, "of_layer": loss,
         "of_activation": of_activation, "decades_at_first": -at_first, "born": float(born)},
        layer,
    )  # fmt: skip


def _exploding(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    ratios = window.profile
    ratio = flow(ratios)
    if not ratio > limits.exploding:
        return None
    layer, growth = _steepest(ratios, 1)
    won = math.log10(ratio)
    if growth > limits.alone * won:
        return None  # that is no matter of depth
    of_init, _ = facts.decades
    grown = window.growth
    why, first = f"{len(ratios)} layers in a row multiply it", "residual"
    at_first = flow(window.first_profile)
    born = at_first > limits.exploding
    if of_init > 0.5 * math.log10(max(at_first, limits.exploding)):
        why = f"the first weights are too large and make {of_init:.1f} decades of it"
        first = "initializer"
    elif not born or grown > 3:
        why = "steps that are too large have led there"
        first = "smaller_learning_rate"
    rest = ("initializer", "normalization", "clipping", "smaller_learning_rate")
    severity = window.severity_at_birth if born else window.severity
    return Finding(
        severity(limits, ratio > limits.exploded),
        f"the gradient grows by {won:.1f} decades from the last layer to the first: {why}",
        cures(first, *(name for name in rest if name != first)),
        {"ratio": ratio, "decades": won, "of_initializer": of_init, "of_layer": growth,
         "growth_of_weights": grown, "born": float(born)},
        layer,
    )  # fmt: skip


def _trend(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    past = np.array(window.flow)
    if len(past) < 6 or not (past > 0).all():
        return None
    steps = past[1:] / past[:-1]
    if not (steps < limits.trend).all():
        return None
    return Finding(
        window.severity(limits, past[-1] < limits.vanished),
        f"the first layer's gradient halves, and more, from look to look: it is {past[-1]:.1e} of "
        "the last one's",
        cures("smaller_learning_rate", "normalization", "activation"),
        {"ratio": float(past[-1]), "before": float(past[0])},
    )


def _spike(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    norms = window.recent.total_gradient_norm
    norms = norms[np.isfinite(norms)]
    if len(norms) < 4:
        return None
    middle, peak = median(norms), float(norms.max())
    if not peak > limits.spike * middle > 0:
        return None
    step = int(window.recent.steps[int((window.recent.total_gradient_norm == peak).argmax())])
    return Finding(
        "warning" if window.gain < limits.learning else "info",
        f"at step {step} the gradient is {peak / middle:.0f} times as large as usual, because of a "
        "few rows or a cliff of the loss",
        cures("clipping", "smaller_learning_rate"),
        {"norm": peak, "median": middle, "ratio": peak / middle},
        step=step,
    )


def _steepest(ratios: Mapping[str, float], sign: int) -> tuple[str, float]:
    """The layer whose way back changes the gradient most, and by how many decades."""
    names = list(ratios)
    sizes = np.log10(np.maximum(list(ratios.values()), 1e-45))
    steps = sign * (sizes[:-1] - sizes[1:])
    worst = int(np.argmax(steps))
    return names[worst + 1], float(sign * steps[worst])


RULES = (
    Rule("vanishing_depth", "vanishing", _vanishing),
    Rule("vanishing_trend", "vanishing", _trend, votes=(1, 5)),
    Rule("exploding_depth", "exploding", _exploding),
    Rule("spike", "exploding", _spike, votes=(1, 5)),
)
