"""Units that are dead or saturated, for all rows or most."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.layers import RECTIFIERS, SIGMOIDS
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import medians
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Window


def _of_layers(
    window: Window, facts: Facts, values: Array, activations: tuple[str, ...]
) -> dict[str, float]:
    """A value (L,) of each layer that has one of these activations, if it is one."""
    known = (facts.layers.get(name) for name in window.recent.layers)
    return {
        layer.name: value
        for layer, value in zip(known, values.tolist(), strict=True)
        if layer is not None and layer.activation in activations and math.isfinite(value)
    }


def saturation(window: Window, facts: Facts) -> dict[str, float]:
    """Fraction of the outputs of each layer of sigmoids that are saturated, a median over steps."""
    return _of_layers(window, facts, medians(window.recent.saturated), SIGMOIDS)


def _dead(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    proven = window.dead_units
    # a unit that wakes up for one minibatch is not dead: the least fraction counts
    least = np.fmin.reduce(window.recent.dead, axis=0, initial=np.inf)
    seen = _of_layers(window, facts, least, RECTIFIERS)
    for name, fraction in seen.items():
        if name in window.silent_units and fraction < limits.all_dead:
            fraction = min(fraction, window.silent_units[name])
        dead = max(fraction, proven.get(name, 0.0))
        if dead >= limits.dead:
            break
    else:
        return None
    born = _first(window, window.first.dead, name) >= 0.8 * dead
    if born:
        why, first = "since the first step: first weights and biases put them there", "initializer"
    else:
        why, first = "since steps that were too large pushed them there", "smaller_learning_rate"
    rest = [
        cure for cure in ("activation", "initializer", "smaller_learning_rate") if cure != first
    ]
    severity = "critical" if dead >= limits.all_dead else "warning"
    if dead < limits.all_dead and window.progress > limits.learned:
        severity = "info"
    return Finding(
        severity,
        f"{dead:.0%} of the units of layer {name} give the same for all rows, and learn nothing, "
        f"{why}",
        cures(first, *rest, "normalization"),
        {
            "dead": dead,
            "proven": proven.get(name, math.nan),
            "born": float(born and dead >= limits.all_dead),
        },
        name,
    )


def _saturated(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    over = [(n, f) for n, f in saturation(window, facts).items() if f >= limits.saturated]
    if not over:
        return None
    name, fraction = over[0]
    born = _first(window, window.first.saturated, name) >= 0.8 * fraction
    if born:
        why, first = "since the first step: the first weights are too large for it", "initializer"
    else:
        why, first = (
            "since steps that were too large have made weights large",
            "smaller_learning_rate",
        )
    far = fraction >= limits.all_saturated
    severity = window.severity(limits, far)
    # no good weights start there: what is learned nevertheless would be learned faster by others
    if severity == "info" and (born or window.progress < limits.learned):
        severity = "warning"
    rest = [cure for cure in ("normalization", "initializer", "activation") if cure != first]
    return Finding(
        severity,
        f"{fraction:.0%} of the outputs of layer {name} are saturated, {why}",
        cures(first, *rest),
        {"saturated": fraction, "born": float(born)},
        name,
    )


def _first(window: Window, values: Array, name: str) -> float:
    """The layer's value at the first step."""
    return float(values[0, window.first.layers.index(name)]) if len(values) else math.nan


RULES = (
    Rule("dead_units", "dead", _dead),
    Rule("saturation", "saturated", _saturated),
)
