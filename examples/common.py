"""What the examples share: their options, tables, pictures, and tasks that are drawn at random."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad.commands import arguments
from fastgrad.plots import PALETTE, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Sequences = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]
Indices = tuple[NDArray[np.int64], NDArray[np.int64]]


def options(
    name: str,
    description: str | None,
    argv: Sequence[str] | None,
    seeds: int | None = None,
    validate: bool = False,
) -> argparse.Namespace:
    """What the command line says: `out`, `quick`, and `seeds` and `validate` where asked for."""
    parser = argparse.ArgumentParser(
        prog=f"python -m examples.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("out") / f"{name}.png", metavar="PNG")
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it runs")
    if seeds is not None:
        parser.add_argument(
            "--seeds", type=arguments.count, default=seeds, help="runs (default: %(default)s)"
        )
    if validate:
        told = "measure as it was done to choose the options, without the test data"
        parser.add_argument("--validate", action="store_true", help=told)
    chosen = parser.parse_args(argv)
    try:  # better now than after minutes of training
        fg.backends.active()
        new_figure(1)
    except ImportError as why:
        parser.exit(1, f"{parser.prog}: {why}\n")
    return chosen


def show(rows: Sequence[Sequence[object]]) -> None:
    """Print a table whose first row is its header."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for i, row in enumerate(cells):
        print("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        if i == 0:
            print("  ".join("-" * w for w in widths))


def counted(count: int, what: str) -> str:
    """So many of them: "1 seed", "2 seeds"."""
    return f"{count} {what}{'s' * (count != 1)}"


def save(figure: Figure, path: Path) -> None:
    """Write a picture, and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"picture written to {path}")


def draw_runs(axes: Axes, runs: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> None:
    """A line for each run, ``(x, y)`` point by point; runs of one name have one colour."""
    for color, (name, curves) in zip(PALETTE, runs.items(), strict=False):
        for i, curve in enumerate(curves):
            x, y = zip(*curve, strict=True)
            label = name if i == 0 else None
            axes.plot(x, y, color=color, linewidth=1.4, alpha=0.8, label=label)
    axes.legend(frameon=False)


def draw_confusion(axes: Axes, counts: NDArray[np.int64], title: str) -> None:
    """How often the class of each row was taken for that of each column."""
    # shares of each row, so that small classes are seen as well
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if row == column else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)
    axes.set(xticks=range(len(counts)), yticks=range(len(counts)))
    axes.set(title=title, xlabel="answer", ylabel="truth")


def reach(model: fg.Sequential, x: NDArray[np.generic], last: int = 1) -> NDArray[np.float64]:
    """How far back in time gradients reach: their norm at each step, (T,).

    They are those of the sum of the outputs, at the `last` steps where outputs are sequences, with
    respect to the state of the first layer: c of an LSTM, else h.
    """
    y = model.forward(x)
    dy = np.zeros_like(y)
    dy[:, -last:] = 1
    model.backward(dy, input_grad=False)
    found = model.time_gradients["0.l0"]
    return found.h if found.c is None else found.c


def draw_reach(axes: Axes, norms: Mapping[str, NDArray[np.float64]], title: str) -> None:
    """What `reach` found, as multiples of the value at the last step."""
    for color, (name, norm) in zip(PALETTE, norms.items(), strict=False):
        part = norm / norm[-1]
        seen = np.where(part > 1e-12, part, np.nan)
        axes.plot(seen, color=color, linewidth=1.8, label=name)
    axes.set_yscale("log")
    label_axes(axes, title=title, xlabel="step t", ylabel="gradient at t over that at the end")
    axes.legend(frameon=False)


def adding(rng: np.random.Generator, count: int, steps: int) -> Sequences:
    """Two numbers of a sequence are marked, and half of half their sum is wanted.

    Section 5.4 of Hochreiter & Schmidhuber, "Long short-term memory", 1997: steps are pairs of a
    number in [-1, 1] and a mark, which is 1 for one of the first ten steps and for another one in
    the first half, -1 at both ends, and 0 elsewhere. A first step that is marked counts as 0.

    Returns
    -------
    x : ndarray of float32, (count, steps + steps // 10, 2)
    y : ndarray of float32, (count, 1)
        ``0.5 + (a + b) / 4``, within [0, 1].
    lengths : ndarray of int64, (count,)
        From `steps` to a tenth more.
    """
    lengths = rng.integers(steps, steps + steps // 10, size=count, endpoint=True)
    longest = steps + steps // 10
    rows = np.arange(count)
    first = rng.integers(min(10, steps // 2 - 1), size=count)
    second = rng.integers(steps // 2 - 1, size=count)
    second += second >= first  # never the same step twice
    x = np.zeros((count, longest, 2), np.float32)
    x[..., 0] = rng.uniform(-1, 1, (count, longest))
    x[rows, 0, 1] = x[rows, lengths - 1, 1] = -1
    x[rows, first, 1] = x[rows, second, 1] = 1
    x[:, 0, 0] *= x[:, 0, 1] < 0
    x[np.arange(longest) >= lengths[:, None]] = 0
    y = 0.5 + (x[rows, first, 0] + x[rows, second, 0]) / 4
    return x, y[:, None], lengths


def temporal_order(rng: np.random.Generator, count: int, steps: int) -> Indices:
    """Which of two symbols came first and which second, long before the end?

    Task 6a of Hochreiter & Schmidhuber (1997) as Pascanu, Mikolov & Bengio, "On the difficulty of
    training recurrent neural networks", 2013, have it: one of the symbols 0 and 1 stands in the
    second tenth of the sequence, another one in its fifth, and the rest are 2 to 5 at random.

    Returns
    -------
    x : ndarray of int64, (count, steps)
    y : ndarray of int64, (count,)
        One class for each of the four pairs.
    """
    x = rng.integers(2, 6, size=(count, steps))
    rows = np.arange(count)
    first, second = rng.integers(2, size=(2, count))
    x[rows, rng.integers(steps // 10, 2 * steps // 10, size=count)] = first
    x[rows, rng.integers(4 * steps // 10, 5 * steps // 10, size=count)] = second
    return x, 2 * first + second


def copying(rng: np.random.Generator, count: int, delay: int) -> Indices:
    """Ten symbols are to be repeated after a delay.

    Section 4.1 of Arjovsky, Shah & Bengio, "Unitary evolution recurrent neural networks", 2016:
    symbols are 0 to 7; then come blanks, 8, and a mark, 9, where the answer begins.

    Returns
    -------
    x, y : ndarray of int64, (count, delay + 20)
    """
    symbols = rng.integers(8, size=(count, 10))
    x = np.full((count, delay + 20), 8)
    x[:, :10] = symbols
    x[:, delay + 9] = 9
    y = np.full((count, delay + 20), 8)
    y[:, -10:] = symbols
    return x, y
