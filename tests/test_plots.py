"""Figures of a training run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.plots import run_axes, training_figure
from fastgrad.range_test import RangeTest
from fastgrad.schedules import OneCycle, Step, Warmup

HISTORY = {"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.2, 0.9]}
NORMS = {str(layer): [1.0, 0.5, 0.1] for layer in range(9)}


@pytest.fixture(autouse=True)
def _matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"backend": "agg"}):
        yield
        from matplotlib import pyplot

        pyplot.close("all")


def test_both_panels_are_labelled_and_hold_each_curve():
    left, right = training_figure(HISTORY, NORMS).axes
    assert [line.get_label() for line in left.lines] == ["training", "held out"]
    assert [line.get_label() for line in right.lines] == [f"layer {n}" for n in range(9)]
    for axes in (left, right):
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()
        assert axes.get_yscale() == "log"
        assert axes.get_legend() is not None


def test_held_out_loss_is_drawn_only_if_there_is_some():
    history = {"epoch": [1], "loss": [2.0]}
    assert len(training_figure(history, {"0": [1.0]}).axes[0].lines) == 1


def test_curves_of_another_length_are_refused():
    with pytest.raises(ValueError, match="layer 0: expected 3 values, got 2"):
        training_figure(HISTORY, {"0": [1.0, 0.5]})


def test_neither_importing_nor_drawing_touches_pyplot(tmp_path):
    code = (
        "import sys, fastgrad.plots as plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.training_figure({'epoch': [1], 'loss': [1.0]}, {'0': [1.0]}).savefig(sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "figure.png")], check=True)


def history(epochs, **more):
    every = {"epoch": range(1, epochs + 1), "lr": 0.1, "gradient_norm": 3.0, "loss": 2.0, **more}
    return {
        name: list(value) if isinstance(value, range) else [value] * epochs
        for name, value in every.items()
    }


FULL = {"val_loss": 2.5, "val_accuracy": 0.5, "clipped": [0.25, 0.0]}
RUNS = {
    "one epoch": (history(1), ["Loss", "Gradient norm", "Learning rate"]),
    "validation": (
        history(3, val_loss=1.0, val_accuracy=0.5),
        ["Loss", "Accuracy", "Gradient norm", "Learning rate"],
    ),
    "everything": (
        history(1000, **FULL),
        ["Loss", "Accuracy", "Gradient norm", "Learning rate", "Clipping"],
    ),
    "loss alone": ({"epoch": [1], "loss": [1.0]}, ["Loss"]),
    "nothing finite": (history(2, val_loss=np.nan) | {"loss": [np.inf] * 2}, None),
}


@pytest.mark.parametrize(("history", "titles"), RUNS.values(), ids=RUNS)
def test_a_run_has_the_panels_that_there_are(history, titles, tmp_path):
    panels = run_axes(history)
    if titles:
        assert [axes.get_title() for axes in panels] == titles
    for axes in panels:
        assert axes.get_xlabel() == "epoch"
        assert all(line.get_xdata().tolist() == history["epoch"] for line in axes.lines)
        assert all(tick == int(tick) for tick in axes.get_xticks())
        assert (axes.get_legend() is not None) == (len(axes.lines) > 1)
    panels[0].figure.savefig(tmp_path / "run.png")


def test_scales_follow_the_values():
    epochs = {"epoch": [1, 2], "gradient_norm": [1.0, 0.9], "lr": [1.0, 0.5], "loss": [1.0, 0.5]}
    assert [a.get_yscale() for a in run_axes(epochs)] == ["linear", "log", "linear"]
    wide = epochs | {"loss": [1.0, 0.01], "lr": [1.0, 1e-3], "gradient_norm": [1.0, 0.0]}
    assert [a.get_yscale() for a in run_axes(wide)] == ["log", "linear", "log"]


def test_curves_of_a_run():
    loss, accuracy, _, _, clipping = run_axes(history(3, **FULL))
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert loss.lines[1].get_ydata().tolist() == [2.5] * 3
    assert accuracy.lines[0].get_ydata().tolist() == [0.5] * 3
    assert [line.get_ydata().tolist() for line in clipping.lines] == [[0.25] * 3, [0.0] * 3]


def test_a_run_draws_itself():
    from matplotlib.figure import Figure

    model = fg.Sequential(fg.Dense(2, 1), rng=0)
    run = fg.fit(model, np.eye(2), [[1.0], [2.0]], loss="mse", epochs=2, rng=0)
    figure = Figure()
    panels = run.plot(figure)
    assert all(axes.figure is figure for axes in panels)
    assert panels[0].lines[0].get_ydata().tolist() == run.history["loss"]
    assert len(run.plot()) == 3
    empty = fg.fit(model, np.eye(2), [[1.0], [2.0]], loss="mse", epochs=0)
    with pytest.raises(ValueError, match="history has no epochs to draw"):
        empty.plot()
    with pytest.raises(ValueError, match="lr: expected 2 values, got 1"):
        run_axes(run.history | {"lr": [1.0]})


def test_schedules_are_drawn():
    from matplotlib.figure import Figure

    axes = Warmup(0.5, Step(3)).plot(10)
    assert (
        axes.lines[0].get_ydata().tolist() == Warmup(0.5, Step(3)).factors(range(10), 10).tolist()
    )
    given = Figure().add_subplot()
    cycle = OneCycle(momentum_range=(0.8, 0.9))
    assert cycle.plot(10, given) is given
    other = given.figure.axes[1]
    assert other.get_ylabel() == "momentum"
    assert other.lines[0].get_ydata().tolist() == cycle.momentum(range(10), 10).tolist()
    with pytest.raises(ValueError, match="total must be at least 1, got 0"):
        cycle.plot(0)


LRS = np.geomspace(1e-3, 1, 4)
RANGES = {
    "both": (np.array([2.0, 1.0, 3.0, np.inf]), 0.01, 1.0),
    "no divergence": (np.array([2.0, 1.5, 1.2, 1.0]), 0.1, None),
    "neither": (np.full(4, 2.0), None, None),
    "at once": (np.array([np.inf] * 4), None, 1.0),
}


@pytest.mark.parametrize(("losses", "steepest", "divergence"), RANGES.values(), ids=RANGES)
def test_range_tests_are_drawn(losses, steepest, divergence, tmp_path):
    smoothed = np.minimum(losses, 8.0)
    axes = RangeTest(LRS, losses, smoothed, steepest, divergence).plot()
    assert axes.get_xscale() == "log"
    low, high = axes.get_ylim()
    assert low < smoothed.min() <= smoothed[0] < high
    marks = [label for line in axes.lines[2:] if (label := line.get_label())]
    assert len(marks) == (steepest is not None) + (divergence is not None) + bool(
        steepest or divergence
    )
    axes.figure.savefig(tmp_path / "range.png")


def test_matplotlib_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: run_axes(HISTORY),
        lambda: Step(3).plot(5),
        lambda: training_figure({}, {}),
    ):
        with pytest.raises(ImportError, match=r'pip install "fastgrad\[plot\]"'):
            draw()
