"""Heat maps: layers or time steps upwards, optimizer steps to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.report.kinds import blamed, is_along, layer_norms
from fastgrad.health.report.marks import decades
from fastgrad.health.verdicts import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 160  # more would be narrower than a few pixels
_ROW_LABELS = 25
_NOT_FINITE = "#D55E00"


def gradient_map(
    measurements: Measurements, axes: Axes, numbered: Sequence[tuple[int, Verdict]] = ()
) -> None:
    """Draw the gradient norm of each layer, all its parameters together, over the steps.

    Parameters
    ----------
    measurements : Measurements
        Of at least one step.
    axes : Axes
    numbered : sequence of (int, Verdict), optional
        Their numbers are drawn where they were seen first, if that is at one of the layers.
    """
    norms = layer_norms(measurements)
    edges, cuts = columns(measurements.steps)
    values = largest(np.stack([*norms.values()], axis=1), cuts)
    _decades(axes, edges, values.T, "gradient norm")
    _name_layers(axes, [*norms])
    axes.set(title="Gradient norm by layer", xlabel="step", ylabel="layer")
    names = list(norms)
    points = [
        (_within(edges, verdict.first_step), names.index(layer), place)
        for place, verdict in numbered
        if (layer := blamed(verdict)) in norms
    ]
    mark(axes, points)


def time_map(
    measurements: Measurements,
    layer: str,
    axes: Axes,
    numbered: Sequence[tuple[int, Verdict]] = (),
) -> None:
    """Draw the norm of dL/dh_t of a recurrent layer along its time steps, over optimizer steps.

    Parameters
    ----------
    measurements : Measurements
        Of at least one step.
    layer : str
        One of those in ``through_time``.
    axes : Axes
    numbered : sequence of (int, Verdict), optional
        Their numbers are drawn at their time steps, if they blame this layer.
    """
    from matplotlib.ticker import MaxNLocator

    norms = measurements.through_time[layer][..., 0]
    edges, cuts = columns(measurements.steps[len(measurements) - len(norms) :])
    _decades(axes, edges, largest(norms, cuts).T, "|dL/dh|")
    axes.set(title=f"Gradient through time, layer {layer}", xlabel="step", ylabel="time step")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    whole_steps(axes)
    points = [
        (_within(edges, verdict.first_step), verdict.time_step, place)
        for place, verdict in numbered
        if verdict.time_step is not None and is_along(layer, verdict)
    ]
    mark(axes, points)


def layer_map(
    steps: Array, layers: Sequence[str], values: Array, axes: Axes, shares: bool = False
) -> None:
    """Draw something of each layer, (K, L), over the steps, each column the mean of some.

    Of shares 1 is the whole; the scale of the colours begins at 0 and has at least a tenth.
    """
    from matplotlib.ticker import PercentFormatter

    edges, cuts = columns(steps)
    means = mean(values, cuts)
    rows = np.arange(len(layers) + 1) - 0.5
    mesh = axes.pcolormesh(
        edges, rows, np.ma.masked_invalid(means.T), cmap="cividis", rasterized=True
    )
    if shares:
        mesh.set_clim(0, max(mesh.get_clim()[1] or 0, 0.1))
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.01)
    if shares:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    if not np.isfinite(means).all():
        _hatched(axes, edges, rows, [("not finite", ~np.isfinite(means.T))])
    _name_layers(axes, layers)
    axes.set(xlabel="step", ylabel="layer")


def largest(values: Array, cuts: Array) -> Array:
    """The largest of the rows of each column; NaN and inf win."""
    return np.asarray(np.maximum.reduceat(values, cuts[:-1], axis=0))


def mean(values: Array, cuts: Array) -> Array:
    """The mean of the rows of each column."""
    return np.asarray(np.add.reduceat(values, cuts[:-1], axis=0) / np.diff(cuts)[:, None])


def whole_steps(axes: Axes) -> None:
    """Few enough ticks that numbers of many digits fit."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def mark(axes: Axes, points: Iterable[tuple[float, float, int]]) -> None:
    """Numbers of verdicts at x and y, readable on any ground; beside each other where they meet."""
    taken: list[tuple[float, float]] = []
    for x, y, place in points:
        left, low = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        shift = 0.0
        while any(abs(left + shift - a) < 14 and abs(low - b) < 14 for a, b in taken):
            shift += 15
        taken.append((left + shift, low))
        axes.annotate(
            str(place),
            (x, y),
            xytext=(shift, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
            color="black",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": "black"},
            zorder=5,
        )


def _within(edges: Array, step: int) -> float:
    """The middle of the column that a step is in, or of the nearest one."""
    column = np.clip(np.searchsorted(edges, step, "right") - 1, 0, len(edges) - 2)
    return float(edges[column : column + 2].mean())


def columns(steps: Array) -> tuple[Array, Array]:
    """Edges of columns, as steps, and where the rows of each begin.

    A column reaches from its first step to that of the next one.
    """
    count = len(steps)
    cuts = np.linspace(0, count, min(count, _COLUMNS) + 1).astype(int)
    last = steps[-1] - steps[-2] if count > 1 else 1
    return np.append(steps[cuts[:-1]], steps[-1] + last).astype(np.float64), cuts


def _name_layers(axes: Axes, names: Sequence[str]) -> None:
    every = -(-len(names) // _ROW_LABELS)
    axes.set_yticks(np.arange(0, len(names), every), names[::every])
    axes.invert_yaxis()
    whole_steps(axes)


def _decades(axes: Axes, x: Array, values: Array, label: str) -> None:
    """Colours for decades; hatches for what has none."""
    y = np.arange(len(values) + 1) - 0.5
    logs = decades(values)
    known = logs[np.isfinite(logs)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if high - low < 1:  # do not blow up noise
        low, high = (low + high - 1) / 2, (low + high + 1) / 2
    mesh = axes.pcolormesh(
        x, y, np.ma.masked_invalid(logs), cmap="cividis", vmin=low, vmax=high, rasterized=True
    )
    axes.figure.colorbar(mesh, ax=axes, label=f"log10 of {label}", pad=0.01)
    _hatched(axes, x, y, [("zero", values == 0), ("not finite", ~np.isfinite(values))])


def _hatched(axes: Axes, x: Array, y: Array, kinds: Sequence[tuple[str, Array]]) -> None:
    """Fill the cells of each kind, each run along a row as one rectangle, and say what it is."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Patch, Rectangle

    looks = {"zero": ("white", "//", "0.4"), "not finite": (_NOT_FINITE, "xx", "black")}
    shown = []
    for name, where in kinds:
        if not where.any():
            continue
        face, hatch, edge = looks[name]
        runs = []
        for row, cells in enumerate(where):
            ends = np.flatnonzero(np.diff(np.concatenate([[False], cells, [False]])))
            for start, stop in ends.reshape(-1, 2):
                size = x[stop] - x[start], y[row + 1] - y[row]
                runs.append(Rectangle((x[start], y[row]), *size))
        axes.add_collection(
            PatchCollection(runs, facecolor=face, hatch=hatch, edgecolor=edge, linewidth=0)
        )
        shown.append(Patch(facecolor=face, hatch=hatch, edgecolor=edge, label=name))
    if shown:
        axes.legend(handles=shown, loc="lower right", fontsize="small", framealpha=1)
