"""Gradient health as text: a table for the terminal, and a few words for a progress bar."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.report import marks
from fastgrad.health.report.kinds import (
    FACTORS,
    Budget,
    Comparison,
    Prediction,
    compared,
    distance,
)
from fastgrad.health.verdicts import Verdict

_MIN_WIDTH = 40
_NAME = 20  # columns that a name may take at most
_BAR = 8


def worst(verdicts: Sequence[Verdict]) -> str:
    """The severest verdict in a few words, "critical: vanishing [0.weight]"; "" if there is none.

    Of verdicts of the same severity it is the one that was seen first.
    """
    if not verdicts:
        return ""
    verdict = ranked(verdicts)[0]
    return f"{verdict.severity}: {verdict.family}{_place(verdict)}"


def ranked(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The severest first; of the same severity, what was seen first."""
    return sorted(verdicts, key=lambda verdict: (-verdict.rank, verdict.first_step))


def table(
    measurements: Measurements,
    verdicts: Sequence[Verdict] = (),
    prediction: Prediction | None = None,
    budget: Budget | None = None,
    *,
    width: int | None = None,
    ascii_only: bool | None = None,
) -> str:
    """Verdicts, and below them each tensor and each layer as they were at the last step.

    Parameters
    ----------
    measurements : Measurements
    verdicts : sequence of Verdict
    prediction : Prediction, optional
        Adds by how many decades the gradient norms of the first step were above the predicted
        ones, and both side by side with how many deviations lie between them.
    budget : Budget, optional
        Adds what each layer makes of the gradient, in decades.
    width : int, optional
        Columns, at least 40; those of the terminal by default. Where they do not suffice, the
        last columns of each table are left out.
    ascii_only : bool, optional
        Whether bars are made of ASCII; by default where standard output cannot show others.

    Returns
    -------
    str
        Bars of gradient norms are as long as their decades, all on the scale that their head
        names. A sparkline has the scale of its own row, each mark the largest of some steps.
    """
    if width is None:
        width = shutil.get_terminal_size().columns
    width = max(width, _MIN_WIDTH)
    if ascii_only is None:
        ascii_only = not marks.can_show(getattr(sys.stdout, "encoding", None))
    pieces = [_findings(verdicts, width)]
    if len(measurements):
        pieces.append(_state(measurements, width))
        tables = [
            _of_tensors(measurements, ascii_only),
            _of_layers(measurements, ascii_only),
        ]
        pieces += [_laid_out(columns, width, ascii_only) for columns in tables if columns]
        beside = [] if prediction is None else compared(measurements, prediction)
        if prediction is not None and beside:
            first = measurements.steps[0]
            told = f"predicted before step {first}: {prediction.sentence}"
            about = f"gradients of step {first}, over that at the outputs:"
            texts = told, *prediction.notes, about
            pieces.append("\n".join(line for text in texts for line in textwrap.wrap(text, width)))
            pieces.append(_laid_out(_of_prediction(beside), width, ascii_only))
    else:
        pieces.append("no step has been measured")
    if budget is not None and budget.rows:
        pieces.append(_laid_out(_of_budget(budget), width, ascii_only))
    text = "\n\n".join(pieces)
    return text.encode("ascii", "replace").decode() if ascii_only else text


def _findings(verdicts: Sequence[Verdict], width: int) -> str:
    if not verdicts:
        return "nothing is wrong"
    lines = []
    for verdict in ranked(verdicts):
        lines += textwrap.wrap(
            str(verdict) + _when(verdict), width, subsequent_indent="  ", break_long_words=True
        )
        evidence = ", ".join(
            f"{name} {marks.number(value)}" for name, value in verdict.evidence.items()
        )
        if evidence:
            lines += _indented(evidence, width)
        for place, cure in enumerate(verdict.cures, 1):
            lines += _indented(f"{place}. {cure}", width)
    return "\n".join(lines)


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="       ")


def _when(verdict: Verdict) -> str:
    along = "" if verdict.time_step is None else f" at time step {verdict.time_step}"
    return f" (since step {verdict.first_step}{along})"


def _place(verdict: Verdict) -> str:
    where = verdict.tensor or verdict.layer
    return f" [{where}]" if where else ""


def _state(measurements: Measurements, width: int) -> str:
    text = (
        f"step {measurements.steps[-1]}: loss {marks.number(measurements.losses[-1])}, "
        f"rate {marks.number(measurements.rates[-1])}, "
        f"gradient norm {marks.number(measurements.total_gradient_norm[-1])}"
    )
    return "\n".join(textwrap.wrap(text, width))


@dataclass
class _Column:
    """`growing` ones share the columns that are left over, others are as wide as their cells."""

    head: str
    cells: Sequence[str] = ()
    left: bool = False
    growing: Sequence[Array] | None = None
    least_span: float = 1.0


def _of_tensors(measurements: Measurements, ascii_only: bool) -> list[_Column]:
    if not measurements.tensors:
        return []
    norms = measurements.gradient_norms[-1]
    low, high = marks.span(norms)
    zeros = measurements.gradient_zeros[-1] / np.maximum(measurements.sizes, 1)
    columns = [
        _Column("tensor", measurements.tensors, left=True),
        _Column("gradient", [*map(marks.number, norms)]),
        _Column(
            f"1e{low:.0f}..1e{high:.0f}",
            [marks.bar(norm, low, high, _BAR, ascii_only) for norm in norms],
            left=True,
        ),
        _Column("weights", [*map(marks.number, measurements.weight_norms[-1])]),
        _Column("update/w", [*map(marks.number, measurements.update_ratios[-1])]),
        _Column("zeros", [*map(marks.percent, zeros)]),
    ]
    columns.append(_Column("over time", growing=[*measurements.gradient_norms.T]))
    return columns


def _of_layers(measurements: Measurements, ascii_only: bool) -> list[_Column]:
    if not measurements.layers:
        return []
    deltas = measurements.delta_norms[-1]
    low, high = marks.span(deltas)
    return [
        _Column("layer", measurements.layers, left=True),
        _Column("delta", [*map(marks.number, deltas)]),
        _Column(
            f"1e{low:.0f}..1e{high:.0f}",
            [marks.bar(delta, low, high, _BAR, ascii_only) for delta in deltas],
            left=True,
        ),
        _Column("mean", [*map(marks.number, measurements.output_means[-1])]),
        _Column("std", [*map(marks.number, measurements.output_stds[-1])]),
        _Column("saturated", [*map(marks.percent, measurements.saturated[-1])]),
        _Column("dead", [*map(marks.percent, measurements.dead[-1])]),
        _Column("std over time", growing=[*measurements.output_stds.T], least_span=0.3),
    ]


def _of_prediction(beside: Sequence[Comparison]) -> list[_Column]:
    return [
        _Column("log10 |gradient|", [each.name for each in beside], left=True),
        _Column("predicted", [marks.decade(each.predicted) for each in beside]),
        _Column("measured", [marks.decade(each.measured) for each in beside]),
        _Column("z", [f"{each.z:+.1f}" for each in beside]),
        _Column("", [distance(each.z) for each in beside], left=True),
    ]


def _of_budget(budget: Budget) -> list[_Column]:
    total = [f"{budget.total:+.2f}"]
    columns = [
        _Column("layer", [*(row.layer for row in budget.rows), "all"], left=True),
        _Column("kind", [*(row.kind for row in budget.rows), ""], left=True),
    ]
    for name in (*FACTORS, "total"):
        cells = [f"{getattr(row, name):+.2f}" for row in budget.rows]
        columns.append(_Column(name, cells + (total if name == "total" else [""])))
    return columns


def _laid_out(columns: list[_Column], width: int, ascii_only: bool) -> str:
    """A table, of as many columns as there is room for."""
    laid: list[list[str]] = []
    room = width
    for column in columns:
        cells = [marks.shortened(cell, _NAME, ascii_only) for cell in column.cells]
        if column.growing is not None:
            own = room - 2
            if own < len(column.head):
                break
            cells = [
                marks.sparkline(row, own, ascii_only, column.least_span) for row in column.growing
            ]
        own = max(len(cell) for cell in [column.head, *cells])
        gap = 2 if laid else 0
        if own + gap > room:
            break
        room -= own + gap
        left = column.left or column.growing is not None
        laid.append(
            [cell.ljust(own) if left else cell.rjust(own) for cell in [column.head, *cells]]
        )
    return "\n".join("  ".join(row).rstrip() for row in zip(*laid, strict=True))
