"""All figures of a report: which there are, what each says in words, and all of them on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.report import curves, heat_maps
from fastgrad.health.report.kinds import Budget, Prediction, is_along, layer_norms
from fastgrad.health.report.marks import number, percent
from fastgrad.health.report.terminal import ranked
from fastgrad.health.verdicts import Verdict
from fastgrad.plots import need_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_OF_FAMILY = {
    "vanishing": "gradients",
    "exploding": "gradients",
    "nonfinite": "gradients",
    "dead": "dead",
    "saturated": "saturated",
    "init": "prediction",
    "inputs": "means",
    "loss": "loss",
    "update_ratio": "ratios",
    "regularization": "ratios",
    "clipping": "gradients",
}


@dataclass(frozen=True)
class Values:
    """Numbers that a figure shows.

    Attributes
    ----------
    steps : ndarray, (C,)
    names : sequence of str
        Of R rows.
    values : ndarray, (R, C)
    at : ndarray, (R,), optional
        Where rows are along the y axis; where it has the values themselves, None.
    """

    steps: Array
    names: Sequence[str]
    values: Array
    at: Array | None = None


@dataclass(frozen=True)
class Panel:
    """One figure of a report.

    Attributes
    ----------
    name : str
        Of letters, digits, dots and hyphens; unique in its report.
    title : str
    says : str
        What can be read from it, in words.
    draw : callable
        Draws it on axes.
    rows : int
        Of what is drawn one below the other, which its height must suffice for.
    values : Values, optional
    """

    name: str
    title: str
    says: str
    draw: Callable[[Axes], None]
    rows: int = 0
    values: Values | None = None

    @property
    def height(self) -> float:
        """Inches for a width of 6.4."""
        return min(max(3.6, 1.2 + 0.16 * self.rows), 6.0)


def panels(
    measurements: Measurements,
    verdicts: Sequence[Verdict] = (),
    prediction: Prediction | None = None,
    budget: Budget | None = None,
) -> list[Panel]:
    """The figures that there is something to draw for, in the order of a report.

    Verdicts are marked with their places in the order of `ranked`, from 1.
    """
    found = [*_of_steps(measurements, verdicts, prediction)] if len(measurements) else []
    if budget is not None and budget.rows:
        draw = partial(curves.budget_axes, budget)
        found.append(
            Panel("budget", "Gradient budget", _budget_says(budget), draw, len(budget.rows))
        )
    return found


def panel_of(verdict: Verdict, found: Sequence[Panel]) -> Panel | None:
    """The figure that shows most of what a verdict is about."""
    names = {panel.name: panel for panel in found}
    if verdict.time_step is not None:
        for name, panel in names.items():
            if name.startswith("time-") and is_along(name.removeprefix("time-"), verdict):
                return panel
    usual = names.get(_OF_FAMILY[verdict.family])
    return usual or names.get("gradients") or names.get("loss")


def draw(
    measurements: Measurements,
    verdicts: Sequence[Verdict] = (),
    prediction: Prediction | None = None,
    budget: Budget | None = None,
    figure: Figure | SubFigure | None = None,
) -> list[Axes]:
    """Draw all figures of a report on one.

    Parameters
    ----------
    measurements : Measurements
    verdicts : sequence of Verdict
    prediction : Prediction, optional
        Adds predicted gradient norms as a line under those of the first step.
    budget : Budget, optional
        Adds a bar for each layer.
    figure : Figure or SubFigure, optional
        Where to draw; a new figure of pyplot by default, which notebooks and ``pyplot.show()``
        display.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each figure, each in a part of it of its own: ``axes[0].figure`` is a SubFigure, and
        its ``figure`` the whole one.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If nothing has been measured and there is no budget.
    """
    need_matplotlib()
    found = panels(measurements, verdicts, prediction, budget)
    if not found:
        raise ValueError("measurements has no steps to draw")
    columns = min(len(found), 2)
    rows = -(-len(found) // columns)
    heights = [max(p.height for p in found[i : i + columns]) for i in range(0, 2 * rows, columns)]
    heights = heights[:rows]
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(6.4 * columns, sum(heights)), layout="constrained")
    # parts of their own, or a wide legend would make all panels narrow
    parts = figure.subfigures(rows, columns, squeeze=False, height_ratios=heights)
    drawn = []
    for panel, part in zip(found, parts.flat, strict=False):
        drawn.append(part.add_subplot())
        panel.draw(drawn[-1])
    return drawn


def _of_steps(
    measurements: Measurements, verdicts: Sequence[Verdict], prediction: Prediction | None
) -> Iterator[Panel]:
    numbered = [*enumerate(ranked(verdicts), 1)]
    yield Panel(
        "loss",
        "Loss",
        f"From {number(measurements.losses[0])} to {number(measurements.losses[-1])}.",
        partial(
            curves.loss_axes, measurements, numbered=[n for n in numbered if n[1].family == "loss"]
        ),
        values=_curves(measurements.steps, ["loss"], measurements.losses[:, None]),
    )
    if measurements.tensors:
        norms = layer_norms(measurements)
        yield Panel(
            "gradients",
            "Gradient norm by layer",
            _now("gradient norm", [*norms], np.array([n[-1] for n in norms.values()])),
            partial(
                heat_maps.gradient_map,
                measurements,
                numbered=[n for n in numbered if n[1].time_step is None],
            ),
            len(norms),
            _map(measurements.steps, [*norms], np.stack([*norms.values()], axis=1)),
        )
        yield Panel(
            "ratios",
            "Update ratio",
            _now("update ratio", measurements.tensors, measurements.update_ratios[-1]),
            partial(curves.ratio_axes, measurements),
            values=_curves(measurements.steps, measurements.tensors, measurements.update_ratios),
        )
        if prediction is not None:
            yield Panel(
                "prediction",
                "Predicted and measured gradient norms",
                "Lines are predicted, marks were measured at the first step.",
                partial(curves.prediction_axes, measurements, prediction),
            )
    for layer, array in measurements.through_time.items():
        if array.size:
            last = array[-1, :, 0]
            yield Panel(
                f"time-{layer}",
                f"Gradient through time, layer {layer}",
                f"At the last step |dL/dh| is {number(last[0])} at time step 0 and "
                f"{number(last[-1])} at time step {len(last) - 1}.",
                partial(heat_maps.time_map, measurements, layer, numbered=numbered),
                values=_time_map(measurements.steps, array[..., 0]),
            )
    yield from _of_layers(measurements)


def _of_layers(measurements: Measurements) -> Iterator[Panel]:
    kinds = (
        ("means", "Mean of outputs", measurements.output_means, False),
        ("stds", "Standard deviation of outputs", measurements.output_stds, False),
        ("saturated", "Saturated outputs", measurements.saturated, True),
        ("dead", "Dead units", measurements.dead, True),
    )
    for name, title, values, shares in kinds:
        if np.isfinite(values).any():
            draw = partial(curves.layer_axes, measurements, values, title=title, shares=shares)
            written = percent if shares else number
            says = _now(title.lower(), measurements.layers, values[-1], written)
            shown = np.asarray(np.isfinite(values).any(axis=0))
            layers = [n for n, seen in zip(measurements.layers, shown, strict=True) if seen]
            many = len(layers) > curves.FEW
            rows = len(layers) if many else 0
            numbers = (_means if many else _curves)(measurements.steps, layers, values[:, shown])
            yield Panel(name, title, says, draw, rows, numbers)


def _curves(steps: Array, names: Sequence[str], values: Array) -> Values:
    """Of (K, R), at most 100 steps of them and 7000 values."""
    limit = min(100, 7000 // max(len(names), 1) + 1)
    every = -(-len(steps) // limit)
    return Values(steps[::every], names, values[::every].T)


def _map(steps: Array, names: Sequence[str], values: Array) -> Values:
    edges, cuts = heat_maps.columns(steps)
    found = heat_maps.largest(values, cuts)
    return Values(edges[:-1], [f"layer {n}" for n in names], found.T, np.arange(len(names)))


def _means(steps: Array, names: Sequence[str], values: Array) -> Values:
    edges, cuts = heat_maps.columns(steps)
    found = heat_maps.mean(values, cuts)
    return Values(edges[:-1], [f"layer {n}" for n in names], found.T, np.arange(len(names)))


def _time_map(steps: Array, norms: Array) -> Values:
    """At most 60 of the time steps."""
    edges, cuts = heat_maps.columns(steps[len(steps) - len(norms) :])
    at = np.unique(np.linspace(0, norms.shape[1] - 1, min(norms.shape[1], 60)).astype(int))
    found = heat_maps.largest(norms[:, at], cuts)
    return Values(edges[:-1], [f"time step {t}" for t in at], found.T, at)


def _now(
    what: str, names: Sequence[str], values: Array, written: Callable[[float], str] = number
) -> str:
    """Least and largest value at the last step, in words."""
    finite = np.isfinite(values)
    if not finite.any():
        return f"At the last step no {what} is finite."
    low = int(np.nanargmin(np.where(finite, values, np.nan)))
    high = int(np.nanargmax(np.where(finite, values, np.nan)))
    text = (
        f"{what} at the last step: from {written(values[low])} ({names[low]}) to "
        f"{written(values[high])} ({names[high]})"
    )
    return text[0].upper() + text[1:] + "."


def _budget_says(budget: Budget) -> str:
    worst = max(budget.rows, key=lambda row: abs(np.nan_to_num(row.total)))
    return (
        f"{budget.total:+.2f} decades from the output to the input; most of it, "
        f"{worst.total:+.2f}, in layer {worst.layer} ({worst.kind})."
    )
