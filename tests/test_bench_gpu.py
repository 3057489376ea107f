"""The benchmark of the cuda backend: what can be said of it without a GPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import SIMULATED

from bench.gpu import correctness, table
from bench.gpu.about import driver_release
from bench.gpu.measure import Entrant, Result, measure
from bench.gpu.rows import PASSES, ROWS, STEPS

ROOT = Path(__file__).parents[1]


def started(*options, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_gpu_is_said_and_no_error():
    assert "nothing was measured" in started(NUMBA_ENABLE_CUDASIM="0")


@pytest.mark.skipif(not SIMULATED, reason="needs NUMBA_ENABLE_CUDASIM=1")
def test_dry_run(tmp_path):
    file = tmp_path / "found.json"
    said = started("--dry", "--rows", "4,13", "--json", str(file))
    assert "GRU 2-3" in said
    assert "3-4-3, Adam" in said
    rows = json.loads(file.read_text())["rows"]
    assert [row["notes"] for row in rows] == [[], []]
    assert "fastgrad (steps alone, tf32)" in rows[1]["right"]


class Fake:
    def __init__(self, *times):
        self.times = list(times)

    def seconds(self, count):
        if not self.times:
            raise RuntimeError("the GPU\nis gone")
        return self.times[0]

    def latency(self):
        return 2 * self.times[0]


def result_of(**sides):
    peers = {"passes": "fastgrad", "eager": "PyTorch", "graph": "PyTorch"}
    entrants = [Entrant(peers[mode], mode, "fp32", side) for mode, side in sides.items()]
    return Result(0, ROWS[0], entrants)


def test_the_fastest_mode_counts():
    result = result_of(passes=Fake(1e-3), eager=Fake(4e-3), graph=Fake(3e-3))
    measure(result, 3)
    assert result.ratio("fp32") == pytest.approx(3)
    assert math.isnan(result.ratio("tf32"))
    line = dict(zip(table.HEADING, table.cells(result), strict=True))
    assert line["PyTorch"] == "3.00 ms graph"
    assert line["goal"] == "3.0 met"
    assert line["one call"] == "2.00 ms"
    assert table.plain(result)["ratios"]["tf32"] is None
    assert len(table.plain(result)["sides"][0]["seconds"]) == 3


def test_a_side_that_fails_leaves_the_row():
    result = result_of(passes=Fake(1e-3), graph=Fake())
    measure(result, 2)
    assert result.disagreed
    assert result.notes == ["PyTorch (graph, fp32): stopped: RuntimeError: the GPU is gone"]
    assert "not measured" in table.progress(result)


def test_faults():
    exact = {"loss": np.array([2.0]), "weight": np.array([3.0, 4.0])}
    assert not correctness.fault(exact, {"loss": [2], "weight": [3, 4]}, 0.0)
    assert "weight is off by 0.2 " in correctness.fault(exact, {"loss": [2], "weight": [3, 5]}, 0.1)
    assert "loss is off by nan" in correctness.fault(exact, {"loss": [np.nan], "weight": [3, 5]}, 1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.of.name)
def test_tolerances_are_tight(row):
    assert correctness.tolerance(row.of, "fp32") < 1e-4
    assert correctness.tolerance(row.of, "tf32") < 0.2


def test_minibatch_stays_far_from_kinks():
    task = STEPS[3].task()
    x, y = correctness.minibatch(task)
    assert len(x) == len(y) == task.row.batch
    a = x.astype(float)
    for w, b in zip(task.weights[:-1], task.biases[:-1], strict=True):
        z = a @ w.T + b
        assert np.abs(z).min() >= correctness.FAR * np.abs(z).max()
        a = np.maximum(z, 0)


def test_all_rows_are_there():
    assert (len(PASSES), len(STEPS)) == (12, 5)
    assert PASSES[0].of.name == "LSTM 128-256, 100 steps"


@pytest.mark.parametrize(
    ("listing", "release"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15", "570.86.15"),
        ("", "unknown"),
    ],
)
def test_driver_release(listing, release):
    assert driver_release(listing) == release
