"""Figures of training. Matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from fastgrad.range_test import RangeTest
    from fastgrad.schedules import Schedule

__all__ = [
    "PALETTE",
    "label_axes",
    "new_figure",
    "range_axes",
    "run_axes",
    "schedule_axes",
    "training_figure",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
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
    need_matplotlib()
    from matplotlib.ticker import MaxNLocator

    epochs = history["epoch"]
    losses = {"training": history["loss"]}
    if "val_loss" in history:
        losses["held out"] = history["val_loss"]
    layers = {f"layer {name}": norms for name, norms in gradient_norms.items()}

    figure, (left, right) = new_figure(2)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _draw(left, epochs, losses, title="Loss", ylabel="mean loss per sample")
    _draw(right, epochs, layers, title="Gradient flow", ylabel="gradient norm")
    return figure


def new_figure(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure that belongs to no window, with some panels side by side.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    need_matplotlib()
    # A Figure made directly needs no display and leaves pyplot's global state alone.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * panels, 4.5), dpi=120, layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def run_axes(
    history: Mapping[str, Sequence[Any]], figure: Figure | SubFigure | None = None
) -> list[Axes]:
    """Draw what `fit` recorded over the epochs, a panel for each kind of it.

    Parameters
    ----------
    history : mapping of str to sequence
    figure : Figure or SubFigure, optional
        Where to draw; a new figure of pyplot by default, which notebooks and ``pyplot.show()``
        display.

    Returns
    -------
    list of matplotlib.axes.Axes
        Loss, accuracy, gradient norm, learning rate and clipping, as far as there are any.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If there is no epoch, or a curve does not have one value per epoch.
    """
    need_matplotlib()
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    epochs = history.get("epoch", [])
    if not len(epochs):
        raise ValueError("history has no epochs to draw")
    panels = _panels(history)
    rows = -(-len(panels) // 3)
    columns = -(-len(panels) // rows)
    if figure is None:
        figure = pyplot.figure(figsize=(4.4 * columns, 3.6 * rows), layout="constrained")
    found = []
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        yscale = "log" if _span(panel.curves) >= panel.log_from else "linear"
        _draw(axes, epochs, panel.curves, title=panel.title, ylabel=panel.ylabel, yscale=yscale)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        if len(epochs) == 1:
            axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
        if panel.percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        found.append(axes)
    return found


def schedule_axes(schedule: Schedule, total: int, axes: Axes | None = None) -> Axes:
    """Draw the factors of a schedule over the steps of a run, and its momenta if it has any.

    Parameters
    ----------
    schedule : Schedule
    total : int
        Steps of the run.
    axes : Axes, optional
        Of a new figure of pyplot by default.
    """
    need_matplotlib()
    axes = axes or _new_axes()
    steps = np.arange(total)
    momenta = schedule.momentum(steps, total)
    axes.plot(steps, schedule.factors(steps, total), color=PALETTE[0], linewidth=1.8)
    label_axes(axes, title="", xlabel="step", ylabel="factor of the learning rate")
    if momenta is not None:
        axes.yaxis.label.set_color(PALETTE[0])
        other = axes.twinx()
        other.plot(steps, momenta, color=PALETTE[1], linewidth=1.8, linestyle="--")
        other.set_ylabel("momentum", color=PALETTE[1])
        other.spines["top"].set_visible(False)
    return axes


def range_axes(test: RangeTest, axes: Axes | None = None) -> Axes:
    """Draw the losses of a learning-rate range test over the learning rates.

    Parameters
    ----------
    test : RangeTest
    axes : Axes, optional
        Of a new figure of pyplot by default.
    """
    need_matplotlib()
    axes = axes or _new_axes()
    axes.plot(test.lrs, test.losses, color=PALETTE[5], linewidth=1, alpha=0.7, label="minibatches")
    axes.plot(test.lrs, test.smoothed, color=PALETTE[0], linewidth=1.8, label="smoothed")
    marks = (
        ("steepest descent", test.steepest, PALETTE[2], ":"),
        ("divergence", test.divergence, PALETTE[1], ":"),
        ("suggestion", test.suggestion, PALETTE[6], "--"),
    )
    for name, lr, color, style in marks:
        if lr is not None:
            axes.axvline(lr, color=color, linestyle=style, label=f"{name} {lr:.2g}")
    # what diverges would leave no room for the rest
    low, high = float(test.smoothed.min()), float(test.smoothed[0])
    room = 0.1 * (high - low) or 0.1
    axes.set(xscale="log", ylim=(low - room, high + 5 * room))
    label_axes(axes, title="Learning-rate range test", xlabel="learning rate", ylabel="loss")
    axes.legend(frameon=False)
    return axes


def need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError('figures need matplotlib, from pip install "fastgrad[plot]"') from None


def _new_axes() -> Axes:
    from matplotlib import pyplot

    return pyplot.figure(figsize=(6.4, 4), layout="constrained").add_subplot()


@dataclass
class _Panel:
    title: str
    ylabel: str
    curves: Mapping[str, Sequence[float]]
    log_from: float = np.inf  # logarithmic if the largest value is so many times the least
    percent: bool = False


def _panels(history: Mapping[str, Sequence[Any]]) -> list[_Panel]:
    """What there is to draw."""

    def recorded(**labels: str) -> dict[str, Sequence[float]]:
        return {label: history[name] for name, label in labels.items() if name in history}

    shares = zip(*history.get("clipped", []), strict=True)
    clips = {f"clip {i}": share for i, share in enumerate(shares, 1)}
    panels = [
        _Panel("Loss", "mean loss", recorded(loss="training", val_loss="validation"), 10),
        _Panel(
            "Accuracy", "of the validation rows", recorded(val_accuracy="accuracy"), percent=True
        ),
        _Panel("Gradient norm", "at the epoch's last step", recorded(gradient_norm="norm"), 1),
        _Panel("Learning rate", "", recorded(lr="lr"), 10),
        _Panel("Clipping", "of the epoch's steps", clips, percent=True),
    ]
    return [panel for panel in panels if panel.curves]


def _span(curves: Mapping[str, Sequence[float]]) -> float:
    """The largest of all values over the least; 0 where not all are positive."""
    values = np.concatenate([np.asarray(curve, np.float64) for curve in curves.values()])
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 0.0


def _draw(
    axes: Axes,
    epochs: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    *,
    title: str,
    ylabel: str,
    yscale: str = "log",
) -> None:
    """Draw curves over the epochs, told apart by colour and marker."""
    for position, (label, values) in enumerate(curves.items()):
        if len(values) != len(epochs):
            raise ValueError(f"{label}: expected {len(epochs)} values, got {len(values)}")
        axes.plot(
            epochs,
            values,
            label=label,
            color=PALETTE[position % len(PALETTE)],
            marker=_MARKERS[position % len(_MARKERS)],
            markersize=4,
            markevery=max(1, len(epochs) // 15),
            linewidth=1.8 if len(epochs) <= 100 else 0.9,
        )
    axes.set_yscale(yscale)
    label_axes(axes, title=title, xlabel="epoch", ylabel=ylabel)
    if len(curves) > 1:
        axes.legend(frameon=False)


def label_axes(axes: Axes, *, title: str, xlabel: str, ylabel: str) -> None:
    """Name the axes, and draw them as all figures of the package have them."""
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(which="major", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
