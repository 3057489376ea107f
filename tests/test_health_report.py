"""Gradient health as text: bars, sparklines, tables, and a few words for a progress bar."""

from __future__ import annotations

import numpy as np
import pytest
from measured import Budget, budget, measured, prediction, verdicts

from fastgrad.health import Measurements, Verdict
from fastgrad.health.report import marks, table, worst
from fastgrad.health.report.kinds import compared

NUMBERS = [
    (0.0, "0"),
    (0.123456, "0.123"),
    (1e-3, "0.001"),
    (9.99e-4, "1.0e-03"),
    (-12345.0, "-1.2e+04"),
    (1e-300, "1.0e-300"),
    (np.nan, "nan"),
    (-np.inf, "-inf"),
]
PERCENTS = [(0, "0%"), (1e-9, "<1%"), (0.5, "50%"), (0.9999, "99%"), (1, "100%"), (np.nan, "-")]


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_numbers(value, text):
    assert marks.number(value) == text


@pytest.mark.parametrize(("fraction", "text"), PERCENTS)
def test_percents_are_0_or_100_only_where_it_is_so(fraction, text):
    assert marks.percent(fraction) == text


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([1e-7, 2.0], (-7, 1)),
        ([1.0, 1.0], (0, 1)),
        ([0.0, np.nan, np.inf], (0, 1)),
        ([], (0, 1)),
    ],
)
def test_a_scale_holds_all_values(values, ends):
    assert marks.span(np.array(values)) == ends


def test_bars_are_as_long_as_their_decades():
    bars = [marks.bar(10.0**d, -4, 0, 8) for d in range(-4, 1)]
    assert [len(bar) for bar in bars] == [8] * 5
    assert [bar.rstrip() for bar in bars] == ["▏", "██", "████", "██████", "████████"]
    assert marks.bar(1e-2, -4, 0, 8, ascii_only=True) == "####    "
    for ascii_only in (False, True):
        assert marks.bar(0, -4, 0, 8, ascii_only) == " " * 8
        assert marks.bar(np.nan, -4, 0, 8, ascii_only) == "!" * 8
        assert marks.bar(1e9, -4, 0, 8, ascii_only).strip() == marks.bar(1, -4, 0, 8, ascii_only)


def test_sparklines_show_decades_spikes_and_what_is_no_number():
    assert marks.sparkline(10.0 ** np.arange(8), 8) == "▁▂▃▄▅▆▇█"
    assert marks.sparkline(10.0 ** np.arange(8), 8, ascii_only=True) == ".:-=+*#@"
    assert marks.sparkline(np.array([0, 1, np.nan, np.inf]), 8) == "0▁!!"
    assert marks.sparkline(np.full(5, 3.0), 8) == "▁" * 5
    spike = np.ones(1000)
    spike[777] = 1e6
    assert marks.sparkline(spike, 10) == "▁▁▁▁▁▁▁█▁▁"
    spike[333] = np.nan
    assert marks.sparkline(spike, 10)[3] == "!"
    assert marks.sparkline(np.zeros(0), 10) == ""


def test_long_names_lose_their_middle():
    assert marks.shortened("12.weight_ih_l0", 9) == "12.w…h_l0"
    assert marks.shortened("12.weight_ih_l0", 9, ascii_only=True) == "12.w~h_l0"
    assert marks.shortened("0.bias", 9) == "0.bias"


@pytest.mark.parametrize(
    ("encoding", "can"), [("utf-8", True), ("ascii", False), ("cp1252", False), (None, False)]
)
def test_encodings(encoding, can):
    assert marks.can_show(encoding) is can


def test_the_worst_verdict_in_a_few_words():
    assert worst(()) == ""
    assert worst(verdicts()) == "critical: vanishing [0.weight]"
    assert worst(verdicts()[:2]) == "warning: saturated [0]"
    two = [
        Verdict("a", "loss", "warning", "", first_step=9),
        Verdict("b", "clipping", "warning", ""),
    ]
    assert worst(two) == "warning: clipping"


@pytest.mark.parametrize("width", [1, 40, 60, 80, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("bad", [False, True])
def test_a_table_keeps_to_its_width(width, ascii_only, bad):
    text = table(
        measured(12, 30, bad=bad),
        verdicts(12),
        prediction(12),
        budget(12),
        width=width,
        ascii_only=ascii_only,
    )
    assert max(map(len, text.splitlines())) <= max(width, 40)
    assert text.isascii() or not ascii_only
    rows = [line.split()[0] for line in text.splitlines() if line]
    for name in measured(12).tensors + measured(12).layers:
        assert name in rows


def test_verdicts_come_first_and_the_worst_of_them_on_top():
    lines = table(measured(), verdicts(), width=120).splitlines()
    heads = [line for line in lines if line.startswith(("critical", "warning", "info"))]
    assert heads == [
        "critical: vanishing [0.weight]: the gradient of the first layer is 0.8 decades smaller "
        "than that of the last one. (since",
        "warning: saturated [0]: a tenth of layer 0 <is saturated> & does not learn. "
        "(since step 7)",
        "info: update_ratio [1.bias]: updates of the bias are small. (since step 5)",
    ]
    assert lines[0] == heads[0]
    assert "    decades -0.8, chi 0.158" in lines
    assert "    1. start with He's initializer" in lines


def test_a_table_has_what_was_measured():
    lines = table(measured(), prediction=prediction(), width=120, ascii_only=True).splitlines()
    head = next(line for line in lines if line.startswith("tensor"))
    row = next(line for line in lines if line.startswith("0.bias")).split()
    known = measured()
    assert head.split()[:2] == ["tensor", "gradient"]
    assert row[1] == marks.number(known.gradient_norms[-1, 1])
    assert row[3] == "0.3"
    assert row[5] == "10%"
    assert "nothing is wrong" in lines


def test_predicted_norms_stand_beside_measured_ones():
    run = measured()
    run.delta_norms[0, -1] = 4.0
    run.gradient_norms[0, 3] = 4 * prediction().gradient_norms["1.bias"] * 10**0.42
    run.gradient_norms[0, 2] = 0.0
    lines = table(run, prediction=prediction(), width=120, ascii_only=True).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("log10 |gradient|"))
    assert lines[place].split()[2:] == ["predicted", "measured", "z"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[place + 1 : place + 7]}
    assert list(rows) == list(run.tensors)
    expected = np.log10(prediction().gradient_norms["1.bias"])
    assert rows["1.bias"] == [f"{expected:.2f}", f"{expected + 0.42:.2f}", "+4.2", "far", "above"]
    assert rows["1.weight"][1:] == ["none", "-inf", "far", "below"]
    off = np.log10(run.gradient_norms[0, 0] / 4 / prediction().gradient_norms["0.weight"])
    assert rows["0.weight"][2] == f"{10 * off:+.1f}"
    assert any(line.startswith("predicted before step 0: Trainable") for line in lines)


def test_what_cancels_but_for_rounding_is_as_predicted():
    run, known = measured(), prediction()
    known.gradient_norms["0.bias"] = 0.0
    run.gradient_norms[0, 1] = 1e-7
    by_name = {each.name: each for each in compared(run, known)}
    assert by_name["0.bias"].z == 0
    run.gradient_norms[0, 1] = 1e-3
    by_name = {each.name: each for each in compared(run, known)}
    assert by_name["0.bias"].z == np.inf


def test_nothing_is_compared_without_a_gradient_at_the_outputs():
    run = measured()
    run.delta_norms[0, -1] = np.nan
    assert compared(run, prediction()) == []
    assert "predicted before" not in table(run, prediction=prediction(), width=80)
    known = prediction()
    del known.gradient_norms["0.bias"]
    assert "0.bias" not in [each.name for each in compared(measured(), known)]


def test_a_budget_adds_up_below_it():
    lines = table(measured(), budget=budget(), width=80).splitlines()
    assert lines[-1].split() == ["all", f"{budget().total:+.2f}"]
    assert lines[-4].split()[:2] == ["0", "Dense"]


def test_nothing_measured():
    text = table(Measurements.empty(["0.weight"], [4], ["0"]), verdicts()[:1], width=80)
    assert text.splitlines()[0].startswith("info: update_ratio")
    assert text.endswith("no step has been measured")
    assert "layer" not in table(measured(), budget=Budget([], 0.0), width=80).splitlines()[-1]
