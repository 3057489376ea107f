"""A figure of predicted gradient norms. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastgrad.plots import PALETTE, label_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastgrad.health.prediction.result import Prediction


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
    places = range(len(names))
    norms = [prediction.gradient_norms[name] for name in names]
    for deviations, alpha in ((2, 0.15), (1, 0.25)):
        factors = [10 ** (deviations * prediction.spread[name]) for name in names]
        low = [norm / f for norm, f in zip(norms, factors, strict=True)]
        high = [norm * f for norm, f in zip(norms, factors, strict=True)]
        label = "one and two deviations" if deviations == 1 else None
        axes.fill_between(places, low, high, color=PALETTE[0], alpha=alpha, lw=0, label=label)
    axes.plot(places, norms, color=PALETTE[0], linewidth=1.8, label="predicted")
    seen = [(i, compared[name].measured) for i, name in enumerate(names) if name in compared]
    if seen:
        axes.plot(*zip(*seen, strict=True), "o", color=PALETTE[1], markersize=4, label="measured")
    label_axes(axes, title="Gradient norms at birth", xlabel="weight", ylabel="gradient norm")
    axes.set_yscale("log")
    bottom, top = axes.get_ylim()
    if top < 10 * bottom:  # less than a decade has no labelled ticks
        axes.set_ylim(bottom / 3, top * 3)
    every = -(-len(names) // 12)
    axes.set_xticks(list(places)[::every], [n.removesuffix(".weight") for n in names[::every]])
    axes.legend(frameon=False)
    return axes
