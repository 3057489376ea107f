"""The examples run, and the little that they do with --quick is better than nothing."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "examples").exists(), reason="the examples are not beside the tests"
)


@pytest.fixture
def example(monkeypatch):
    """Imports a module of the examples."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"examples.{name}")


@pytest.fixture
def quick(example, tmp_path, capsys):
    """Runs an example with --quick; returns its result and its table, the header first."""

    def run(name):
        picture = tmp_path / "out" / f"{name}.png"
        result = example(name).main(["--quick", "--out", str(picture)])
        assert picture.read_bytes().startswith(b"\x89PNG")
        said = capsys.readouterr().out
        assert f"picture written to {picture}" in said
        lines = said.splitlines()
        rule = next(i for i, line in enumerate(lines) if set(line) == {"-", " "})
        return result, [lines[rule - 1], *lines[rule + 1 :]]

    return run


def test_adding_is_learned_where_memories_are_long_enough(quick):
    missed, table = quick("adding")
    assert missed["LSTM, chrono"][0] < missed["LSTM"][0]
    assert missed["LSTM, chrono"][0] < missed["RNN"][0]
    assert table[1].split()[-1] == str(missed["LSTM, chrono"][0])


def test_temporal_order_of_short_sequences_is_learned(quick):
    errors, table = quick("temporal_order")
    assert errors["SGD, clipped at 1"][0] < 0.01
    assert "1 of 1" in table[2]


def test_copying_comes_down_from_chance(quick):
    losses, table = quick("copying")
    assert set(losses) == {"RNN", "LSTM", "linear RNN"}
    assert all(0 < loss < math.log(9) for (loss,) in losses.values())
    assert "0.173" in table[1]


def test_vowels_are_told_apart(quick):
    accuracies, table = quick("japanese_vowels")
    assert accuracies["accuracy"][0] > 0.8
    assert table[1].startswith("bidirectional GRU")


def test_forecasts_are_better_than_the_last_value(quick):
    errors, table = quick("sunspots")
    assert errors["GRU"] < errors["persistence"] < errors["eleven years before"]
    assert [row.split("  ")[0] for row in table[1:5]] == list(errors)[:4]


def test_text_is_read_and_written(quick):
    bits, table = quick("shakespeare")
    assert bits["5-grams"] < bits["trigrams"] < bits["bigrams"] < bits["unigrams"] < math.log2(76)
    assert bits["GRU of 32 units"] < math.log2(76)
    assert [row.split()[-1] for row in table[1:5]] == [f"{b:.3f}" for b in list(bits.values())[:4]]


def test_sources_that_are_not_built_say_so_in_a_line(tmp_path):
    for name in ("fastgrad", "examples"):
        ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    # as if Numba were not there, either
    code = "import runpy, sys; sys.modules['numba'] = None; sys.argv[1:] = ['--quick']; "
    code += "runpy.run_module('examples.adding', run_name='__main__', alter_sys=True)"
    words = [sys.executable, "-c", code]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    folder = tmp_path / "fastgrad"
    start = f"python -m examples.adding: fastgrad: no compiled kernels in {folder}; "
    assert line.startswith(start)
    assert "run make" in line


def test_answers_of_the_adding_problem(example):
    x, y, lengths = example("common").adding(np.random.default_rng(0), 300, 40)
    assert lengths.min() == 40
    assert lengths.max() == x.shape[1] == 44
    for row, answer, length in zip(x, y, lengths, strict=True):
        marked = np.flatnonzero(row[:, 1] == 1)
        assert marked[0] < 10
        assert marked[1] < 20
        assert answer == pytest.approx(0.5 + row[marked, 0].sum() / 4, abs=1e-7)
        assert row[length - 1, 1] == -1
        assert not row[length:].any()


def test_answers_of_temporal_order(example):
    x, y = example("common").temporal_order(np.random.default_rng(0), 300, 50)
    for row, answer in zip(x, y, strict=True):
        first, second = np.flatnonzero(row < 2)
        assert 5 <= first < 10 < 20 <= second < 25
        assert answer == 2 * row[first] + row[second]
    assert set(y) == {0, 1, 2, 3}


def test_answers_of_copying(example):
    x, y = example("common").copying(np.random.default_rng(0), 50, 30)
    assert x.shape == y.shape == (50, 50)
    assert np.array_equal(x[:, :10], y[:, -10:])
    assert (y[:, :-10] == 8).all()
    assert np.array_equal(np.argwhere(x == 9), [[row, 39] for row in range(50)])


def test_bits_of_ngrams_by_hand(example):
    bits = example("shakespeare").ngram_bits
    training, test = np.array([[0, 1, 0, 1, 0, 1]]), np.array([[0, 1]])
    assert bits(training, test, 1, 2) == pytest.approx(1)
    # b followed a three times out of three: (3 + 1 * 1/2) / (3 + 1)
    assert bits(training, test, 2, 2) == pytest.approx(-math.log2(3.5 / 4))
    # of two symbols that never came, each has a share of the uniform chance that is left
    assert bits(training, np.array([[2]]), 1, 4) == pytest.approx(-math.log2(2 / 4 / 8))


def test_forecasts_see_only_the_past(example):
    sunspots = example("sunspots")
    months = np.random.default_rng(0).random(600)
    origins = sunspots.Span(400, 500).origins
    assert np.array_equal(sunspots.following(months, origins)[0], months[400:412])
    assert sunspots.following(months, origins)[-1, -1] == months[499]
    changed = months.copy()
    changed[400:] = 0
    for forecast in (sunspots.persistence, sunspots.cycle, sunspots.autoregression):
        assert np.array_equal(forecast(months, origins)[0], forecast(changed, origins)[0])
