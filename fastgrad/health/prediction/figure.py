"""A figure of predicted gradient norms. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastgrad.plots import PALETTE, label_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastgrad.health.prediction.result import Prediction

_LEVEL, _LABELS = 12, 48  # labels that fit side by side, and upright


def norm_axes(prediction: Prediction, measured: Mapping[str, float], axes: Axes | None) -> Axes:
    """Draw weights' norms over the layers; see `Prediction.plot`."""
    try:
        from matplotlib import pyplot
    except ImportError as why:
        raise ImportError("plot needs matplotlib: pip install fastgrad[plot]") from why
    compared = {c.name: c for c in prediction.compare(measured)}
    names = [
        name
        for name, norm in prediction.gradient_norms.items()
        if norm > 0 and math.isfinite(norm) and "weight" in name.rpartition(".")[2]
    ]
    if not names:
        raise ValueError("no weight has a gradient that is known")
    if axes is None:
        axes = pyplot.figure(figsize=(7.0, 4.2), dpi=120, layout="constrained").add_subplot()
    lines: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        lines.setdefault(_line_of(name, prediction), []).append(i)
    for line, (kind, places) in enumerate(lines.items()):
        color = PALETTE[line % len(PALETTE)]
        norms = [prediction.gradient_norms[names[i]] for i in places]
        for deviations, alpha in ((2, 0.15), (1, 0.25)):
            factors = [10 ** (deviations * prediction.spread[names[i]]) for i in places]
            low = [norm / f for norm, f in zip(norms, factors, strict=True)]
            high = [norm * f for norm, f in zip(norms, factors, strict=True)]
            label = "one and two deviations" if deviations == 1 and not line else None
            axes.fill_between(places, low, high, color=color, alpha=alpha, lw=0, label=label)
        label = f"predicted, {kind}" if len(lines) > 1 else "predicted"
        axes.plot(places, norms, marker="_", markersize=12, color=color, linewidth=1.8, label=label)
    seen = [(i, compared[name].measured) for i, name in enumerate(names) if name in compared]
    if seen:
        axes.plot(*zip(*seen, strict=True), "o", color="0.2", markersize=4, label="measured")
    label_axes(axes, title="Gradient norms at birth", xlabel="weight", ylabel="gradient norm")
    axes.set_yscale("log")
    bottom, top = axes.get_ylim()
    if top < 10 * bottom:  # less than a decade has no labelled ticks
        axes.set_ylim(bottom / 3, top * 3)
    every = -(-len(names) // _LABELS)
    axes.set_xticks(
        range(0, len(names), every),
        [n.removesuffix(".weight") for n in names[::every]],
        rotation=90 if len(names) > _LEVEL else 0,
    )
    axes.legend(frameon=False)
    return axes


def _line_of(name: str, prediction: Prediction) -> str:
    """Which weights it goes in one line with: of layers of one kind, at one place of their blocks.

    Those of other kinds differ from it whatever their depth is.
    """
    layer, _, parameter = name.rpartition(".")
    _, _, inside = layer.partition(".")
    return " ".join(filter(None, (prediction.kinds.get(name, ""), inside, parameter)))
