"""Curves over the steps, predictions under measured points, and bars of a gradient budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.report.heat_maps import layer_map, mark, whole_steps
from fastgrad.health.report.kinds import FACTORS, Budget, Prediction, layer_of, predicted_norms
from fastgrad.health.verdicts import Verdict
from fastgrad.plots import PALETTE, label_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATIOS = (1e-4, 1e-3, 1e-1)
"""Least, ideal and largest healthy norm of an update over that of the weights."""

_MARKERS = "osD^vPX"
_STYLES = ("-", "--", ":", "-.")
FEW = len(PALETTE)
_ROW_LABELS = 25
_COLUMN_LABELS = 12
_HATCHES = ("", "///", "xx", "\\\\\\")  # dots would be outlines of hundreds of circles


def loss_axes(
    measurements: Measurements, axes: Axes, numbered: Sequence[tuple[int, Verdict]] = ()
) -> None:
    """Draw the loss over the steps, and the numbers of verdicts where they were seen first."""
    steps, losses = measurements.steps, measurements.losses
    finite = np.isfinite(losses)
    known = losses[finite]
    marker = "o" if known.size == 1 else ""
    axes.plot(steps[finite], known, marker=marker, color=PALETTE[0], linewidth=1.2, label="loss")
    if known.size and known.min() > 0 and known.max() > 10 * known.min():
        axes.set_yscale("log")
    if not finite.all():
        at = axes.get_xaxis_transform()
        axes.plot(
            steps[~finite],
            np.full((~finite).sum(), 0.97),
            "x",
            transform=at,
            color=PALETTE[1],
            label="_not finite",
        )
        axes.annotate("not finite", (steps[~finite][0], 0.9), xycoords=at, ha="right", fontsize=8)
    _over_steps(axes, measurements, "Loss", "of the step's minibatch")
    if finite.any():
        nearest = [int(np.abs(steps[finite] - v.first_step).argmin()) for _, v in numbered]
        points = zip(steps[finite][nearest], known[nearest], (n for n, _ in numbered), strict=True)
        mark(axes, points)


def ratio_axes(measurements: Measurements, axes: Axes) -> None:
    """Draw update over weight norm of each tensor over the steps, and the band it should be in.

    Of more than seven tensors the median, the middle 80%, and the range.
    """
    low, ideal, high = RATIOS
    axes.axhspan(low, high, color="0.9", zorder=0, label=f"healthy, {low:g} to {high:g}")
    axes.axhline(ideal, color="0.35", linestyle="--", linewidth=1, label=f"ideal, {ideal:g}")
    ratios = measurements.update_ratios
    ratios = np.where(ratios > 0, ratios, np.nan)
    if len(measurements.tensors) <= FEW:
        names = dict(zip(measurements.tensors, ratios.T, strict=True))
        _lines(axes, measurements.steps, names)
    else:
        _quantiles(axes, measurements, ratios)
    axes.set_yscale("log")
    if not np.isfinite(ratios).any():
        axes.set_ylim(low / 10, high * 10)
    _over_steps(axes, measurements, "Update ratio", "|update| / |weights|")
    _below(axes)


def layer_axes(
    measurements: Measurements, values: Array, axes: Axes, title: str, shares: bool = False
) -> None:
    """Draw something of each layer, (K, L), over the steps: curves, or a heat map of many layers.

    Layers of which nothing is finite are left out. Of shares 1 is the whole.
    """
    from matplotlib.ticker import PercentFormatter

    curves = {
        name: column
        for name, column in zip(measurements.layers, values.T, strict=True)
        if np.isfinite(column).any()
    }
    if len(curves) <= FEW:
        _lines(axes, measurements.steps, curves)
        _over_steps(axes, measurements, title, "")
        _below(axes)
        if shares:
            axes.set_ylim(0, max(axes.get_ylim()[1], 0.1))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
    else:
        columns = np.stack([*curves.values()], axis=1)
        layer_map(measurements.steps, [*curves], columns, axes, shares)
        axes.set_title(title)


def prediction_axes(measurements: Measurements, prediction: Prediction, axes: Axes) -> None:
    """Draw predicted gradient norms as lines, under the ones measured at the first step.

    Each kind of parameter (weight, bias) has a line of its own, over the layers; those of recurrent
    layers are at places of their own, as "0 ih_l0".
    """
    predicted = predicted_norms(measurements, prediction)
    measured = measurements.gradient_norms[0]
    kinds: dict[str, list[int]] = {}
    places = []
    for i, name in enumerate(measurements.tensors):
        kind, _, of = name.rpartition(".")[2].partition("_")
        if kind not in ("weight", "bias"):
            kind, of = name.rpartition(".")[2], ""
        kinds.setdefault(kind, []).append(i)
        places.append(f"{layer_of(name)} {of}".strip())
    layers = list(dict.fromkeys(places))
    for place, (kind, rows) in enumerate(kinds.items()):
        at = [layers.index(places[i]) for i in rows]
        color = PALETTE[place % len(PALETTE)]
        norms = np.where(predicted[rows] > 0, predicted[rows], np.nan)
        # a mark for each, so that a single one is seen; no line joins W_ih with W_hh
        joined = [" " not in layers[i] for i in at]
        axes.plot(at, norms, "_", markersize=14, color=color, label=f"{kind}, predicted")
        style = _STYLES[place % len(_STYLES)]
        axes.plot(at, np.where(joined, norms, np.nan), style, color=color)
        axes.plot(
            at,
            np.where(measured[rows] > 0, measured[rows], np.nan),
            _MARKERS[place % len(_MARKERS)],
            color=color,
            markersize=5,
            markerfacecolor="white",
            label=f"{kind}, measured",
        )
    every = -(-len(layers) // _COLUMN_LABELS)
    axes.set_xticks(np.arange(0, len(layers), every), layers[::every])
    axes.set_yscale("log")
    first = measurements.steps[0]
    label_axes(
        axes,
        title=f"Predicted and measured, step {first}",
        xlabel="layer",
        ylabel="gradient norm",
    )
    _below(axes)


def budget_axes(budget: Budget, axes: Axes) -> None:
    """Draw what each factor of each layer adds to the decades of the gradient, and their total."""
    names = [f"{row.layer} {row.kind}" for row in budget.rows]
    places = np.arange(len(names))
    negative, positive = np.zeros(len(names)), np.zeros(len(names))
    for i, factor in enumerate(FACTORS):
        share = np.array([getattr(row, factor) for row in budget.rows])
        if not np.nan_to_num(share).any():
            continue
        start = np.where(share < 0, negative, positive)
        axes.barh(
            places,
            share,
            left=start,
            color=PALETTE[i],
            hatch=_HATCHES[i],
            edgecolor="white",
            linewidth=0,
            label=factor,
        )
        negative += np.minimum(np.nan_to_num(share), 0)
        positive += np.maximum(np.nan_to_num(share), 0)
    total = [row.total for row in budget.rows]
    axes.plot(total, places, "D", color="black", markersize=4, label="total")
    axes.axvline(0, color="black", linewidth=0.8)
    every = -(-len(names) // _ROW_LABELS)
    axes.set_yticks(places[::every], names[::every])
    axes.invert_yaxis()
    label_axes(
        axes,
        title=f"Gradient budget: {budget.total:+.2f} decades in all",
        xlabel="decades from the output of the layer to its input",
        ylabel="",
    )
    axes.use_sticky_edges = False
    axes.autoscale_view()
    _below(axes)


def _lines(axes: Axes, steps: Array, curves: Mapping[str, Array]) -> None:
    every = max(1, len(steps) // 8)
    for place, (name, values) in enumerate(curves.items()):
        axes.plot(
            steps,
            values,
            color=PALETTE[place],
            marker=_MARKERS[place],
            markersize=4,
            # apart, so that they stay visible where curves run together
            markevery=(place * every // len(curves), every),
            linewidth=1.2,
            label=name,
        )


def _below(axes: Axes) -> None:
    """A legend that hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        longest = max(map(len, labels))
        columns = max(1, min(len(handles), 4, 64 // (longest + 6)))
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=columns,
            frameon=False,
            fontsize="small",
        )


def _over_steps(axes: Axes, measurements: Measurements, title: str, ylabel: str) -> None:
    label_axes(axes, title=title, xlabel="step", ylabel=ylabel)
    whole_steps(axes)
    if len(measurements) == 1:
        axes.set_xlim(measurements.steps[0] - 0.5, measurements.steps[0] + 0.5)


def _quantiles(axes: Axes, measurements: Measurements, ratios: Array) -> None:
    seen = np.isfinite(ratios).any(axis=1)
    if not seen.any():
        return
    steps, ratios = measurements.steps[seen], ratios[seen]
    least, low, middle, high, most = np.nanquantile(ratios, (0, 0.1, 0.5, 0.9, 1), axis=1)
    axes.fill_between(
        steps,
        least,
        most,
        color=PALETTE[5],
        alpha=0.35,
        linewidth=0,
        label="all tensors",
    )
    axes.fill_between(steps, low, high, color=PALETTE[5], linewidth=0, label="middle 80%")
    axes.plot(steps, middle, color="black", linewidth=1.2, label="median")
