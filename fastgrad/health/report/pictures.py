"""Figures as pictures of a page, with the values that are shown where one points at them."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.report.figures import Panel
from fastgrad.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 6.4  # inches


def picture(panel: Panel) -> str:
    """The figure as an SVG image, within a division that knows its values."""
    import matplotlib

    # text as outlines, as another machine's font would have other widths; no random names
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": panel.name}):
        figure, (axes,) = new_figure(1)
        figure.set_size_inches(_WIDTH, panel.height)
        panel.draw(axes)
        file = io.BytesIO()
        nameless = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", metadata=nameless)
    source = base64.b64encode(file.getvalue()).decode()
    alt = html.escape(f"{panel.title}. {panel.says}")
    data = html.escape(json.dumps(_pointing(panel, axes), allow_nan=False))
    return (
        f'<div class="picture" data-hover="{data}">'
        f'<img alt="{alt}" src="data:image/svg+xml;base64,{source}"></div>'
    )


def _pointing(panel: Panel, axes: Axes) -> dict[str, Any] | None:
    """Where the axes are in the picture, as fractions of it, their limits and values."""
    if panel.values is None:
        return None
    place = axes.get_position()
    return {
        "box": [place.x0, 1 - place.y1, place.x1, 1 - place.y0],
        "xlim": list(axes.get_xlim()),
        "ylim": list(axes.get_ylim()),
        "log": axes.get_yscale() == "log",
        "steps": panel.values.steps.tolist(),
        "names": list(panel.values.names),
        "at": None if panel.values.at is None else panel.values.at.tolist(),
        "values": [_listed(row) for row in panel.values.values],
    }


def _listed(values: Array) -> list[float | str]:
    """Three digits; text for what JSON has no number for."""
    return [float(f"{v:.3g}") if np.isfinite(v) else f"{v:g}" for v in values]
