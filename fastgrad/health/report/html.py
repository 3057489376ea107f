"""A report as one page of HTML that needs nothing else: no network, no font, no library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.report.figures import Panel, panel_of, panels
from fastgrad.health.report.kinds import (
    FACTORS,
    FAR,
    Budget,
    Comparison,
    Prediction,
    blamed,
    compared,
    distance,
)
from fastgrad.health.report.marks import decade, number, percent, sparkline
from fastgrad.health.report.pictures import picture
from fastgrad.health.report.terminal import ranked
from fastgrad.health.verdicts import SEVERITIES, Verdict
from fastgrad.io import write_atomically
from fastgrad.plots import need_matplotlib

_SPARKS = 24


def write(
    path: str | Path,
    measurements: Measurements,
    verdicts: Sequence[Verdict] = (),
    prediction: Prediction | None = None,
    budget: Budget | None = None,
    *,
    title: str = "Gradient health",
) -> None:
    """Write verdicts, figures and tables as one self-contained page.

    Parameters
    ----------
    path : path
        Replaced whole, or not at all.
    measurements : Measurements
    verdicts : sequence of Verdict
    prediction : Prediction, optional
        Adds predicted gradient norms as a line under those of the first step, and a table of both
        with how many deviations lie between them.
    budget : Budget, optional
        Adds what each layer makes of the gradient.
    title : str, optional

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    FileNotFoundError
        If there is no such folder.
    """
    need_matplotlib()
    text = page(measurements, verdicts, prediction, budget, title=title)
    write_atomically(Path(path), text.encode())


def page(
    measurements: Measurements,
    verdicts: Sequence[Verdict] = (),
    prediction: Prediction | None = None,
    budget: Budget | None = None,
    *,
    title: str = "Gradient health",
) -> str:
    """The text of the page that `write` writes."""
    found = panels(measurements, verdicts, prediction, budget)
    order = ranked(verdicts)
    sections = [("verdicts", "Verdicts", _verdicts(order, found, measurements))]
    if found:
        pictures = "".join(_figure(panel, order, found) for panel in found)
        sections.append(("figures", "Figures", f'<div class="figures">{pictures}</div>'))
    if len(measurements):
        if measurements.tensors:
            sections.append(("tensors", "Tensors", _tensors(measurements)))
        if measurements.layers:
            sections.append(("layers", "Layers", _layers(measurements)))
        beside = [] if prediction is None else compared(measurements, prediction)
        if prediction is not None and beside:
            first = int(measurements.steps[0])
            sections.append(
                ("predicted", "Predicted and measured", _prediction(prediction, beside, first))
            )
    if budget is not None and budget.rows:
        sections.append(("budget", "Gradient budget", _budget(budget)))
    links = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{text}</h2>{content}</section>'
        for name, text, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_own('page.css')}</style></head>\n<body>"
        f"<header><h1>{escape(title)}</h1><p>{_state(measurements, verdicts)}</p>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>{body}</main>\n'
        f"<script>{_own('page.js')}</script></body></html>\n"
    )


def _own(name: str) -> str:
    return resources.files("fastgrad.health.report").joinpath(name).read_text("utf-8")


def _state(measurements: Measurements, verdicts: Sequence[Verdict]) -> str:
    counts = [(sum(v.severity == s for v in verdicts), s) for s in reversed(SEVERITIES)]
    findings = ", ".join(f"{count} {severity}" for count, severity in counts if count)
    if not len(measurements):
        return f"Verdicts: {findings or 'none'}. No step has been measured."
    return (
        f"Verdicts: {findings or 'none'}. {len(measurements)} steps from "
        f"{measurements.steps[0]} to {measurements.steps[-1]}; at the last one the loss is "
        f"{number(measurements.losses[-1])}, the learning rate {number(measurements.rates[-1])}, "
        f"the gradient norm {number(measurements.total_gradient_norm[-1])}."
    )


def _verdicts(order: list[Verdict], found: list[Panel], measurements: Measurements) -> str:
    if not order:
        return "<p>No findings.</p>"
    items = []
    for place, verdict in enumerate(order, 1):
        where = verdict.tensor or verdict.layer
        along = "" if verdict.time_step is None else f", time step {verdict.time_step}"
        evidence = "".join(
            f"<div><dt>{escape(name)}</dt><dd>{number(value)}</dd></div>"
            for name, value in verdict.evidence.items()
        )
        cures = "".join(f"<li>{escape(cure)}</li>" for cure in verdict.cures)
        items.append(
            f'<li class="verdict {verdict.severity}" id="verdict-{place}">'
            f'<h3>{place}. <span class="severity">{verdict.severity}</span> '
            f"{verdict.family.replace('_', ' ')}{f' in {escape(where)}' if where else ''}</h3>"
            f"<p>{escape(verdict.cause)}. Seen first at step {verdict.first_step}{along}.</p>"
            + (f"<dl>{evidence}</dl>" if evidence else "")
            + (f"<p>What helps, the most promising first:</p><ol>{cures}</ol>" if cures else "")
            + _links(verdict, found, measurements)
            + "</li>"
        )
    return f'<ol class="verdicts">{"".join(items)}</ol>'


def _links(verdict: Verdict, found: list[Panel], measurements: Measurements) -> str:
    """Where else on the page it can be seen."""
    links = []
    panel = panel_of(verdict, found)
    if panel is not None:
        links.append(f'<a href="#figure-{panel.name}">{escape(panel.title)}</a>')
    if verdict.tensor in measurements.tensors and len(measurements):
        place = measurements.tensors.index(verdict.tensor)
        links.append(f'<a href="#tensor-{place}">tensor {escape(verdict.tensor)}</a>')
    layer = blamed(verdict)
    if layer in measurements.layers and len(measurements):
        links.append(
            f'<a href="#layer-{measurements.layers.index(layer)}">layer {escape(layer)}</a>'
        )
    return f"<p>See {', '.join(links)}.</p>" if links else ""


def _figure(panel: Panel, order: list[Verdict], found: list[Panel]) -> str:
    about = [
        f'<a href="#verdict-{place}">{place}</a>'
        for place, verdict in enumerate(order, 1)
        if panel_of(verdict, found) is panel
    ]
    verdicts = f" Verdicts: {', '.join(about)}." if about else ""
    return (
        f'<figure id="figure-{escape(panel.name)}">{picture(panel)}'
        f"<figcaption><strong>{escape(panel.title)}.</strong> {escape(panel.says)}{verdicts}"
        "</figcaption></figure>"
    )


def _tensors(measurements: Measurements) -> str:
    zeros = measurements.gradient_zeros[-1] / np.maximum(measurements.sizes, 1)
    columns: list[tuple[str, Array, Callable[[float], str]]] = [
        ("elements", measurements.sizes, lambda size: f"{size:,.0f}"),
        ("gradient norm", measurements.gradient_norms[-1], number),
        ("largest gradient", measurements.gradient_max[-1], number),
        ("zeros", zeros, percent),
        ("denormal", measurements.gradient_denormals[-1], number),
        ("not finite", measurements.gradient_nonfinite[-1], number),
        ("weight norm", measurements.weight_norms[-1], number),
        ("update ratio", measurements.update_ratios[-1], number),
    ]
    return _table("tensor", measurements.tensors, columns, measurements.gradient_norms.T)


def _layers(measurements: Measurements) -> str:
    columns: list[tuple[str, Array, Callable[[float], str]]] = [
        ("mean", measurements.output_means[-1], number),
        ("standard deviation", measurements.output_stds[-1], number),
        ("saturated", measurements.saturated[-1], percent),
        ("dead", measurements.dead[-1], percent),
        ("gradient of outputs", measurements.delta_norms[-1], number),
    ]
    return _table("layer", measurements.layers, columns, measurements.delta_norms.T)


def _prediction(prediction: Prediction, beside: Sequence[Comparison], step: int) -> str:
    far = [each for each in beside if distance(each.z)]
    columns: list[tuple[str, Array, Callable[[float], str]]] = [
        ("log10 predicted", np.array([each.predicted for each in beside]), decade),
        ("log10 measured", np.array([each.measured for each in beside]), decade),
        ("z", np.array([each.z for each in beside]), lambda z: f"{z:+.1f} {distance(z)}".strip()),
    ]
    return (
        f"<p>Said before step {step}: {escape(prediction.sentence)}</p>"
        + "".join(f"<p>{escape(note)}</p>" for note in prediction.notes)
        + f"<p>Norms of the gradients of step {step} over that of the gradient at the outputs, and "
        "how many deviations they are off: "
        f"{len(far)} of {len(beside)} more than {FAR:g}.</p>"
        + _table("expected", [each.name for each in beside], columns)
    )


def _budget(budget: Budget) -> str:
    columns: list[tuple[str, Array, Callable[[float], str]]] = [
        (name, np.array([getattr(row, name) for row in budget.rows]), "{:+.2f}".format)
        for name in (*FACTORS, "total")
    ]
    names = [f"{row.layer} {row.kind}" for row in budget.rows]
    return (
        "<p>Decades from the gradient of a layer's output to that of its input; "
        f"{budget.total:+.2f} in all.</p>" + _table("share", names, columns)
    )


def _table(
    kind: str,
    names: Sequence[str],
    columns: Sequence[tuple[str, Array, Callable[[float], str]]],
    over_time: Iterable[Array] = (),
) -> str:
    """At the last step, a row for each name, in their order."""
    lines = [sparkline(values, _SPARKS) for values in over_time]
    heads = "".join(f'<th scope="col">{head}</th>' for head, _, _ in columns)
    if lines:
        heads += '<th scope="col" class="text">gradient over time</th>'
    rows = []
    for i, name in enumerate(names):
        cells = "".join(
            f'<td data-value="{values[i]:g}">{escape(written(values[i]))}</td>'
            for _, values, written in columns
        )
        if lines:
            cells += f'<td class="over-time text" aria-hidden="true">{escape(lines[i])}</td>'
        rows.append(f'<tr id="{kind}-{i}"><th scope="row">{escape(name)}</th>{cells}</tr>')
    what = {"share": "layer", "expected": "tensor"}.get(kind, kind)
    return (
        '<div class="scroll"><table class="sortable"><thead><tr>'
        f'<th scope="col" class="text">{what}</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
