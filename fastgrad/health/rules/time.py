"""Gradients that vanish or explode along time."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import medians
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Window

_NOTHING = -45.0  # decades of what is less than the smallest float32


def decades_back(array: Array) -> Array:
    """Decades that the gradient wins on its way back from the last step to each step.

    Parameters
    ----------
    array : ndarray, (K, T, 3)
        As in `Measurements.through_time`.

    Returns
    -------
    ndarray, (T,)
        Sums of the logarithms of the gains, medians over the K steps; 0 at the last step.
    """
    gains, norms = array[:, :, 2], array[:, :, :2]
    times = array.shape[1]
    logs = medians(np.log10(gains))  # of those that are finite and not 0
    logs = np.where(np.isnan(logs), np.where((gains == 0).any(axis=0), _NOTHING, 0.0), logs)
    logs[0] = 0.0
    found = np.zeros(times)
    found[:-1] = np.cumsum(logs[::-1])[::-1][1:]
    # where nothing arrives there is no gain to be told
    gone = ~(np.nan_to_num(norms).max(axis=(0, 2)) > 0)
    found[gone & (np.arange(times) < times - 1)] = _NOTHING
    return np.maximum(found, _NOTHING)


def _worst(shown: Measurements, sign: int) -> tuple[str, Array] | None:
    """The level whose gradient changes most, and its decades."""
    found = {
        name: decades_back(array[-8:])
        for name, array in shown.through_time.items()
        if len(array) and array.shape[1] > 2
    }
    if not found:
        return None
    name = max(found, key=lambda key: float((sign * found[key]).max()))
    return name, found[name]


def _at_first(window: Window, name: str, now: Array) -> Array:
    """The decades of a level at the first step; those of now where they are not known."""
    array = window.first.through_time.get(name)
    return now if array is None or not len(array) else decades_back(array[:1])


def _vanishing(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    worst = _worst(window.recent, -1)
    if worst is None:
        return None
    name, decades = worst
    limit, far = -math.log10(limits.vanishing_time), -math.log10(limits.vanished_time)
    first_decades = _at_first(window, name, decades)
    lost, at_first = -float(decades[0]), -float(first_decades[0])
    if not lost > limit:
        if not (at_first > far and window.progress < limits.learned):
            return None
        decades, lost = first_decades, at_first  # it has passed, but not much has come of it
    gone = np.flatnonzero(decades < math.log10(limits.vanishing))
    reach = len(decades) - 1 - int(gone.max()) if len(gone) else len(decades)
    layer, kind, law = _cell(name, facts)
    if _thrown(window, limits):
        why, first = "a step made of a gradient that had exploded has led there", "clipping"
    elif at_first <= limit and window.rising > limits.update_broken:
        why, first = "steps that were too large have led there", "smaller_learning_rate"
    elif kind == "LSTM":
        why, first = "the forget gates are shut too far", "forget_bias"
    elif kind == "RNN" and _law_of_inputs(name, facts) > 1 / limits.law:
        why, first = "the first weights are so large that units are saturated", "initializer"
    elif law < limits.law:
        why, first = "the first recurrent weights are too small", "initializer"
    elif kind == "RNN":
        why, first = "each step of a plain recurrent layer multiplies it with less than 1", "lstm"
    else:
        why, first = "the gates let go of the state too soon", "forget_bias"
    severity = window.severity(limits, lost > far)
    stuck = window.steps >= 2 * limits.patience and window.stands(limits)
    if facts.at_each_step and not stuck:
        severity = "info"  # each step learns from its own loss: only what lies far back is lost
    early = window.steps < limits.patience and not window.broken
    if early and kind in ("LSTM", "GRU") and first == "forget_bias":
        severity = "info"  # gates learn to open, often within a few steps
    rest = [cure for cure in ("lstm", "initializer", "activation") if cure != first]
    if kind in ("LSTM", "GRU"):
        rest.remove("lstm")
    what = f"the gradient loses {lost:.1f} decades over {len(decades)} time steps and reaches"
    if lost >= -_NOTHING:
        what = f"of {len(decades)} time steps the first get a gradient of exactly 0: it reaches"
    return Finding(
        severity,
        f"{what} {reach} of them back: {why}",
        cures(first, *rest),
        {"decades": -lost, "reach": float(reach), "per_step": 10 ** (-lost / (len(decades) - 1)),
         "recurrent_law": law, "born": float(at_first > limit)},
        layer,
        time_step=int(gone.max()) if len(gone) else 0,
    )  # fmt: skip


def _exploding(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    worst, at_first = _worst(window.recent, 1), _worst(window.first[:1], 1)
    if worst is None:
        return None
    limit = math.log10(limits.exploding_time)
    now = bool(worst[1].max() > limit)
    born = at_first is not None and bool(at_first[1].max() > limit)
    thrown = _thrown(window, limits)
    if not (now or (thrown and window.progress < limits.learned)):
        return None
    name, decades = at_first if at_first is not None and not now else worst
    won = float(decades.max())
    layer, _, law = _cell(name, facts)
    far = won > 2 * limit or not now  # what a jump has ended does not come back
    why, first = "each step multiplies it with more than 1", "clipping"
    if law > 1 / limits.law**0.5:
        why, first = "the first recurrent weights are too large", "initializer"
    elif not born and window.rising > limits.update_broken:
        why, first = "steps that were too large have led there", "smaller_learning_rate"
    when = "grows"
    if not now:
        when, why = "grew, at the first step,", f"{why}, and a step of that size has ended it"
    rest = [
        cure
        for cure in ("clipping", "initializer", "smaller_learning_rate", "lstm")
        if cure != first
    ]
    return Finding(
        window.severity(limits, far),
        f"the gradient {when} by {won:.1f} decades on its way back over {len(decades)} time "
        f"steps: {why}",
        cures(first, *rest),
        {"decades": won, "per_step": 10 ** (won / (len(decades) - 1)), "recurrent_law": law,
         "born": float(born)},
        layer,
        time_step=int(decades.argmax()),
    )  # fmt: skip


def _thrown(window: Window, limits: Limits) -> bool:
    """Whether the gradient exploded at the first step, and weights have made a jump by it."""
    first = window.first[:1]
    worst = _worst(first, 1)
    if worst is None or not worst[1].max() > math.log10(limits.exploding_time):
        return False
    jumps = first.update_ratios[:, window.weights]
    return bool((jumps[np.isfinite(jumps)] > limits.update_broken).any())


def _cell(name: str, facts: Facts) -> tuple[str, str, float]:
    """Layer, kind, and the law of the recurrent weights of a level and direction ("0.l0")."""
    layer, _, level = name.rpartition(".")
    known = facts.layers.get(layer)
    weight = facts.weights.get(f"{layer}.weight_hh_{level}")
    law = math.nan if weight is None else weight.law
    return layer, "RNN" if known is None else known.kind, law


def _law_of_inputs(name: str, facts: Facts) -> float:
    layer, _, level = name.rpartition(".")
    weight = facts.weights.get(f"{layer}.weight_ih_{level}")
    return math.nan if weight is None else weight.law


RULES = (
    Rule("vanishing_time", "vanishing", _vanishing, votes=(2, 5), in_time=True),
    Rule("exploding_time", "exploding", _exploding, votes=(2, 5), in_time=True),
)
