"""Losses that do not fall, rise again, or jump."""

from __future__ import annotations

import numpy as np

from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.step_length import noise
from fastgrad.health.rules.window import Window


def _stuck(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    progress = window.progress
    if window.steps < 2 * limits.patience or not progress < limits.stuck:
        return None
    evidence = {"progress": progress, "constant_loss": facts.constant_loss}
    recent = window.recent_loss
    if 1 - recent.mean / window.reference >= limits.stuck:
        return None  # too noisy to count as progress, but no sign of none
    if not window.stands(limits):
        sure = recent.fall > 2 * recent.fall_error
        why = "it still falls" if sure else "it scatters too much to tell"
        return Finding(
            "info",
            f"after {window.steps} steps the loss is not seen to be better yet than that of "
            f"outputs which are the same for all rows; {why}",
            (),
            evidence,
        )
    severity = "critical" if window.steps > 10 * limits.patience else "warning"
    return Finding(
        severity,
        f"after {window.steps} steps the loss is no better than that of outputs which are the same "
        "for all rows",
        cures("larger_learning_rate", "optimizer", "initializer", "normalization"),
        evidence,
    )


def _diverging(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if len(window.means) < 10:
        return None
    last, least = window.last, window.least
    rise = last - least
    if not (last > limits.diverging * least and rise > limits.diverged * window.reference):
        return None
    if rise < limits.chance * window.error:
        return None  # the least of many noisy tenths lies far below their mean
    return Finding(
        "critical" if last > window.reference else "warning",
        f"the loss has risen from {least:.3g} to {last:.3g}",
        cures("smaller_learning_rate", "clipping", "normalization"),
        {"least": least, "last": last, "step_length": window.step_length.middle},
    )


def _oscillating(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    losses = window.recent.losses
    losses = losses[np.isfinite(losses)]
    if len(losses) < 4 or window.steps < limits.patience:
        return None
    mean = float(losses.mean())
    jumps = noise(losses) / mean if mean > 0 else 0.0
    # rows differ, and the mean of few of them by more: that is no fault of the steps
    allowed = limits.oscillating * max(1.0, (limits.rows / facts.batch_size) ** 0.5)
    if not (jumps > allowed and window.gain < limits.learned):
        return None
    return Finding(
        "warning",
        f"the loss jumps from step to step by {jumps:.0%} of its mean",
        cures("smaller_learning_rate", "clipping", "normalization"),
        {"jumps": jumps, "mean": mean, "step_length": window.step_length.middle},
    )


def _overfitting(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    past = window.val_losses
    if len(past) < 4 or not min(past[-3:]) > limits.overfitting * min(past) > 0:
        return None
    return Finding(
        "info",
        f"the validation loss has risen from {min(past):.3g} to {past[-1]:.3g} while the network "
        "learns its rows by heart",
        cures("more_regularization"),
        {"least": min(past), "last": past[-1]},
    )


RULES = (
    Rule("overfitting", "loss", _overfitting, votes=(1, 1)),
    Rule("loss_stuck", "loss", _stuck, votes=(2, 3), whole=True),
    Rule("loss_diverging", "loss", _diverging, votes=(2, 3)),
    Rule("loss_oscillating", "loss", _oscillating),
)
