"""Which verdict comes first: the worst, and causes before what they cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fastgrad.health.rules.cures import name_of
from fastgrad.health.verdicts import Verdict

_SYMPTOMS = ("vanishing_depth", "vanishing_time", "vanishing_trend", "exploding_depth",
             "exploding_time", "spike")  # fmt: skip
_LOSS = ("loss_stuck", "loss_diverging", "loss_oscillating")
_STEPS = ("rate_too_small", "unchanged")
_UNITS = ("dead_units", "saturation")
_START = ("activation_scale", "initial_loss")

# what each rule's finding explains where both are there
EXPLAINS: dict[str, tuple[str, ...]] = {
    "inputs": (
        *_UNITS, *_LOSS, *_STEPS, *_START, "always_clipped", "exploding_depth", "exploding_time",
        "spike", "nonfinite", "rate_too_large", "targets",
    ),
    "targets": (*_SYMPTOMS, *_LOSS, *_STEPS, *_UNITS, "rate_too_large", "initial_loss"),
    "activated_logits": (*_LOSS, *_STEPS, "dead_units", "saturation", "vanishing_depth"),
    "symmetry": (*_SYMPTOMS, *_LOSS, *_STEPS, *_UNITS, "weight_scale", "activation_scale",
                 "rate_too_large"),
    "penalty": (*_SYMPTOMS, *_LOSS, *_STEPS, *_START, "dead_units", "weight_decay",
                "rate_too_large"),
    "weight_decay": (*_SYMPTOMS, *_LOSS, *_STEPS, "dead_units", "rate_too_large"),
    "dropout": (*_SYMPTOMS, *_LOSS, *_START, "rate_too_large"),
    "always_clipped": (*_LOSS, *_STEPS),
    "rate_too_large": (*_LOSS, *_UNITS, "exploding_depth", "exploding_time", "spike", "nonfinite",
                       "vanishing_depth", "vanishing_time", "vanishing_trend", "unchanged",
                       "always_clipped"),
    "weight_scale": (*_SYMPTOMS, *_LOSS, *_STEPS, *_START, "always_clipped", "nonfinite",
                     "rate_too_large"),
    "initial_loss": (*_LOSS, "spike", "nonfinite"),
    "saturation": (*_SYMPTOMS, *_LOSS, *_STEPS, *_START, "weight_scale", "rate_too_large"),
    "activation_scale": (*_LOSS, *_STEPS),
    "dead_units": (*_SYMPTOMS, *_LOSS, *_STEPS, *_START, "rate_too_large"),
    "vanishing_depth": (*_LOSS, *_STEPS, *_START, *_UNITS, "vanishing_trend", "weight_scale",
                        "rate_too_large"),
    "vanishing_time": (*_LOSS, "unchanged", "vanishing_depth", "weight_scale"),
    "vanishing_trend": _LOSS,
    "exploding_depth": (*_LOSS, *_START, "always_clipped", "spike", "nonfinite", "weight_scale",
                        "rate_too_large"),
    "exploding_time": (*_LOSS, *_START, *_STEPS, "always_clipped", "spike", "nonfinite",
                       "weight_scale", "rate_too_large", "exploding_depth", "vanishing_time",
                       "saturation"),
    "spike": ("loss_diverging", "loss_oscillating"),
    "nonfinite": _LOSS,
    "rate_too_small": ("loss_stuck", "unchanged", "vanishing_time"),
    "unchanged": ("loss_stuck",),
}  # fmt: skip


def ranked(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Those that are worst first; what explains another one is as bad as that, and before it."""
    given = list(verdicts)
    explained = {
        v.rule: {w.rule for w in given if w.rank and v.rank and _explains(v, w)} for v in given
    }
    worst = {v.rule: v.rank for v in given}
    for _ in given:  # along chains of explanations
        for v in given:
            worst[v.rule] = max(worst[v.rule], *(worst[rule] for rule in explained[v.rule]), 0)
    found: list[Verdict] = []
    while given:
        free = [v for v in given if not any(v.rule in explained[w.rule] for w in given)]
        best = min(free or given, key=lambda v: (-worst[v.rule], -v.rank, v.first_step))
        given.remove(best)
        found.append(_in_line(best, found))
    return tuple(found)


_OPPOSITES = {"smaller_learning_rate": "larger_learning_rate", "clipping": "no_clipping",
              "less_regularization": "more_regularization"}  # fmt: skip
_OPPOSITES |= {other: one for one, other in _OPPOSITES.items()}


def _in_line(verdict: Verdict, before: Iterable[Verdict]) -> Verdict:
    """The verdict without cures that are the opposite of what those before it prescribe first."""
    first = {name_of(v.cures[0]) for v in before if v.rank and v.cures}
    kept = tuple(c for c in verdict.cures if _OPPOSITES.get(name_of(c)) not in first)
    return verdict if kept == verdict.cures else replace(verdict, cures=kept)


def _blames_the_rate(verdict: Verdict) -> bool:
    return bool(verdict.cures) and name_of(verdict.cures[0]) == "smaller_learning_rate"


def _may_explain(cause: Verdict, other: Verdict) -> bool:
    if other.rule not in EXPLAINS.get(cause.rule, ()):
        return False
    if cause.rule == "rate_too_large" and other.evidence.get("born") == 1.0:
        return False  # no step had been made
    if "weight_scale" in (cause.rule, other.rule):
        weights, symptom = (cause, other) if cause.rule == "weight_scale" else (other, cause)
        # what vanishes by weights that are too small is the better name for it, and what explodes
        # by large ones; large ones that saturate units are what comes before
        if symptom.family in ("vanishing", "exploding"):
            fits = (weights.evidence["law"] < 1) == (symptom.family == "vanishing")
            return fits == (cause is symptom)
    return True


def _explains(cause: Verdict, other: Verdict) -> bool:
    if not _may_explain(cause, other):
        return False
    if not _may_explain(other, cause):
        return True
    # they may explain each other: what is the rate's fault says so, else the one seen first does
    if cause.rule == "rate_too_large":
        return _blames_the_rate(other)
    if other.rule == "rate_too_large":
        return not _blames_the_rate(cause)
    born, other_born = (v.evidence.get("born") == 1.0 for v in (cause, other))
    if born != other_born:
        return born
    if cause.first_step != other.first_step:
        return cause.first_step < other.first_step
    return list(EXPLAINS).index(cause.rule) < list(EXPLAINS).index(other.rule)
