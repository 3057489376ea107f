"""Numbers that are none."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Window


def _nonfinite(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if not window.broken:
        return None
    recent, failure = window.recent, window.failure
    counts = recent.gradient_nonfinite
    if failure is not None:
        step, loss, elements = failure.step, math.nan, math.nan
        tensor, time_step = failure.tensor, failure.time_step
        layer = None if failure.layer is None else str(failure.layer)
    else:
        row = int(((counts > 0).any(axis=1) | ~np.isfinite(recent.losses)).argmax())
        step, loss = int(recent.steps[row]), float(recent.losses[row])
        elements, tensor, time_step = float(counts[row].sum()), None, None
        if elements:  # gradients are made from the last layer on: the last one comes first
            tensor = recent.tensors[int(np.flatnonzero(counts[row]).max())]
        layer = None if tensor is None else tensor.rpartition(".")[0]
    large = [known.law for known in facts.weights.values() if known.law > 1 / limits.law]
    grown = window.growth
    if window.rising > limits.update_large or grown > 3:
        why = "steps that are too large have made weights grow until it overflowed"
        first = "smaller_learning_rate"
    elif large:
        why = "first weights that are too large let signals grow until they overflowed"
        first = "initializer"
    else:
        why, first = "numbers have grown until they overflowed", "clipping"
    rest = [cure for cure in ("clipping", "smaller_learning_rate", "initializer") if cure != first]
    return Finding(
        "critical",
        f"at step {step} the loss or the gradient is not finite: {why}",
        cures(first, *rest),
        {"loss": loss, "elements": elements, "largest_update_ratio": window.rising},
        layer,
        tensor,
        time_step,
        step,
    )


RULES = (Rule("nonfinite", "nonfinite", _nonfinite, votes=(1, 1), lasting=True),)
