"""Figures of a training run. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["training_figure"]

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito, told apart by colour-blind readers too."""

_MARKERS = "osD^vPX"


def training_figure(
    history: Mapping[str, Sequence[float]], gradient_norms: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw the loss and each layer's gradient norm over the epochs of a run.

    Parameters
    ----------
    history : mapping of str to sequence of float
        What `fit` recorded: "epoch", "loss" and, with held-out data, "val_loss".
    gradient_norms : mapping of str to sequence of float
        For each layer, one gradient norm per epoch.

    Returns
    -------
    matplotlib.figure.Figure
        A figure of two panels, which belongs to no window: save it with ``savefig``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a curve does not have one value per epoch.
    """
    # A Figure made directly needs no display and leaves pyplot's global state alone.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = history["epoch"]
    losses = {"training": history["loss"]}
    if "val_loss" in history:
        losses["held out"] = history["val_loss"]
    layers = {f"layer {name}": norms for name, norms in gradient_norms.items()}

    figure = Figure(figsize=(11, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw(left, epochs, losses, title="Loss", ylabel="mean loss per sample")
    _draw(right, epochs, layers, title="Gradient flow", ylabel="gradient norm")
    return figure


def _draw(
    axes: Axes,
    epochs: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    title: str,
    ylabel: str,
) -> None:
    """Draw curves over the epochs on a logarithmic scale, told apart by colour and marker."""
    for position, (label, values) in enumerate(curves.items()):
        if len(values) != len(epochs):
            raise ValueError(f"{label}: expected {len(epochs)} values, got {len(values)}")
        axes.plot(
            epochs,
            values,
            label=label,
            color=_PALETTE[position % len(_PALETTE)],
            marker=_MARKERS[position % len(_MARKERS)],
            markersize=4,
            markevery=max(1, len(epochs) // 15),
            linewidth=1.8,
        )
    axes.set(title=title, xlabel="epoch", ylabel=ylabel, yscale="log")
    axes.grid(which="major", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
