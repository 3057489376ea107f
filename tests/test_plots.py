"""Figures of a training run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastgrad.plots import training_figure

HISTORY = {"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.2, 0.9]}
NORMS = {str(layer): [1.0, 0.5, 0.1] for layer in range(9)}


@pytest.fixture(autouse=True)
def _matplotlib():
    pytest.importorskip("matplotlib")


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
