"""Vanishing and exploding gradients: every symptom, and every cure, without it and with it.

Each row trains the same network twice on the same data, once sick and once with the one change that
is named. Vanishing: the first layer's gradient is tiny, its weights stay where they were, and the
loss is stuck at that of guessing. Exploding: the gradient is huge, the loss is huge, swings, grows
without end or is not finite. L2 and dropout do nothing about either before training; what they hold
back is the growth of weights during it, and with it that of the loss on rows that were held out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.plots import PALETTE, label_axes
from fastgrad.studies.common import track
from fastgrad.studies.patients import EXPLODING, VANISHING, Outcome, Patient
from fastgrad.studies.result import Cells, Result, Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADER = (
    "cure",
    "for",
    "first gradient",
    "with it",
    "decades lost",
    "with it",
    "loss",
    "with it",
    "accuracy",
    "with it",
)
Pairs = dict[str, tuple[Outcome, Outcome]]


def study(quick: bool = False) -> Result:
    """Train all patients without and with their cure."""
    vanishing = _treated(VANISHING, quick)
    exploding = _treated(EXPLODING, quick)

    def draw(figure: Figure) -> None:
        for row, (name, pairs) in enumerate((("Vanishing", vanishing), ("Exploding", exploding))):
            left = figure.add_subplot(2, 2, 2 * row + 1)
            right = figure.add_subplot(2, 2, 2 * row + 2)
            _draw_pairs(left, pairs, [(a.decades, b.decades) for a, b in pairs.values()])
            told = "decades from the outputs to the first layer, or step"
            label_axes(left, title=f"{name}: gradient before training", xlabel=told, ylabel="")
            right_values = [(a.accuracy, b.accuracy) for a, b in pairs.values()]
            _draw_pairs(right, pairs, right_values)
            title = f"{name}: accuracy on rows held out, after training"
            label_axes(right, title=title, xlabel="accuracy", ylabel="")
            right.set_xlim(-0.02, 1.02)
        names = ["without the cure", "with it"]
        figure.legend(right.lines[1:3], names, loc="outside upper center", ncols=2, frameon=False)

    return Result(
        "Cures of vanishing and exploding gradients",
        (),
        draw,
        size=(14.0, 10.0),
        tables={
            "Vanishing gradients": _table(VANISHING, vanishing),
            "Exploding gradients": _table(EXPLODING, exploding),
            "Symptoms": _symptoms(vanishing, exploding),
        },
        note="first gradient: norm of the first layer's, or of the first time step's, at the first "
        "step; decades lost: from the outputs to the first layer, or from the last time step to "
        f"the first. Digits (guessing: loss {math.log(10):.2f}, accuracy 0.1) and, for recurrent "
        f"networks, which of four symbols came first (loss {math.log(4):.2f}, accuracy 0.25). L2 "
        "and dropout: 100 rows, a fifth of them with wrong labels; loss on rows held out.",
    )


def _treated(patients: tuple[Patient, ...], quick: bool) -> Pairs:
    return {
        patient.cure: (patient.sick.run(quick), patient.cured.run(quick))
        for patient in track(patients, "cures")
    }


def _table(patients: tuple[Patient, ...], pairs: Pairs) -> Cells:
    rows: list[tuple[Value, ...]] = [HEADER]
    for patient in patients:
        sick, cured = pairs[patient.cure]
        rows.append(
            (
                patient.cure,
                patient.complaint,
                f"{sick.first_gradient:.1e}",
                f"{cured.first_gradient:.1e}",
                f"{-sick.decades:+.1f}",
                f"{-cured.decades:+.1f}",
                sick.ending,
                cured.ending,
                f"{sick.accuracy:.2f}",
                f"{cured.accuracy:.2f}",
            )
        )
    return rows


def _symptoms(vanishing: Pairs, exploding: Pairs) -> Cells:
    """Each symptom in one of the patients, and the same number after the cure."""
    told = (
        ("loss stuck", "loss in the end", vanishing, "ReLU", "loss"),
        ("early layers do not learn", "change of the first weights", vanishing, "ReLU", "moved"),
        ("gradient huge", "largest norm", exploding, "BatchNorm", "largest_gradient"),
        ("loss huge", "largest loss", exploding, "He", "peak"),
        ("divergence", "largest loss over the first", exploding, "smaller rate", "growth"),
        ("oscillation", "share of epochs that go up", exploding, "smaller rate", "swings"),
        ("not finite", "loss in the end", exploding, "clip by norm", "ending"),
    )
    rows: list[tuple[Value, ...]] = [("symptom", "number", "cure", "without", "with it")]
    for symptom, number, pairs, cure, attribute in told:
        values = [getattr(outcome, attribute) for outcome in pairs[cure]]
        rows.append((symptom, number, cure, *values))
    return rows


def _draw_pairs(axes: Axes, pairs: Pairs, values: list[tuple[float, float]]) -> None:
    """A line from the sick to the cured value of each."""
    for i, (sick, cured) in enumerate(values):
        axes.plot([sick, cured], [i, i], color="grey", linewidth=1)
        axes.plot(sick, i, "X", color=PALETTE[1], markersize=8)
        axes.plot(cured, i, "o", color=PALETTE[0], markersize=8)
    axes.set_yticks(np.arange(len(pairs)), list(pairs))
    axes.invert_yaxis()
