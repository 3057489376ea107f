"""Figures of gradient health."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from measured import budget, measured, prediction, verdicts

from fastgrad.health import FAMILIES, Measurements, Verdict
from fastgrad.health.report import draw
from fastgrad.health.report.figures import panel_of, panels
from fastgrad.health.report.kinds import is_along, layer_norms, predicted_norms


@pytest.fixture(autouse=True)
def _matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"backend": "agg"}):
        yield
        from matplotlib import pyplot

        pyplot.close("all")


def named(*arguments):
    return {panel.name: panel for panel in panels(*arguments)}


RUNS = {
    "few layers": {"layers": 3, "recurrent": 1, "times": 10},
    "one step": {"layers": 3, "steps": 1, "recurrent": 1, "times": 10},
    "many layers": {"layers": 20, "steps": 300, "recurrent": 3, "times": 100},
    "not finite": {"layers": 3, "bad": True},
    "nothing finite": {"layers": 9, "steps": 1, "bad": True},
    "a thousand time steps": {"layers": 3, "recurrent": 1, "times": 1000},
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_run_can_be_drawn(run, tmp_path):
    layers = run["layers"]
    arguments = measured(**run), verdicts(layers), prediction(layers), budget(layers)
    drawn = draw(*arguments)
    assert len(drawn) == len(panels(*arguments)) == 9 + run.get("recurrent", 0)
    for axes in drawn:
        assert axes.get_title()
        assert axes.get_xlabel()
    drawn[0].figure.figure.savefig(tmp_path / "run.png", dpi=20)


def test_there_is_a_panel_for_all_there_is():
    run = measured(recurrent=2, times=5)
    assert list(named(run)) == [
        "loss", "gradients", "ratios", "time-0.l0", "time-1.l0", "means", "stds", "saturated",
        "dead",
    ]  # fmt: skip
    assert {"prediction", "budget"} <= set(named(run, (), prediction(), budget()))
    empty = Measurements.empty(["0.weight"], [4], ["0"])
    assert list(named(empty, (), None, budget())) == ["budget"]
    with pytest.raises(ValueError, match="measurements has no steps to draw"):
        draw(empty)


def test_gradients_of_a_layer_are_one_row_first_on_top():
    run = measured(3, 10)
    (axes,) = drawn(named(run)["gradients"])
    mesh = axes.collections[0]
    expected = np.log10(np.hypot(run.gradient_norms[:, ::2], run.gradient_norms[:, 1::2]).T)
    np.testing.assert_allclose(mesh.get_array(), expected)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2"]
    assert axes.yaxis_inverted()
    tiny = measured(1, 2)
    tiny.gradient_norms[:] = 3e-200, 4e-200
    assert layer_norms(tiny)["0"] == pytest.approx([5e-200] * 2)


def drawn(panel):
    from fastgrad.plots import new_figure

    _, axes = new_figure(1)
    panel.draw(axes[0])
    return axes


def test_zeros_and_what_is_not_finite_are_hatched_and_named():
    (axes,) = drawn(named(measured(3, bad=True))["gradients"])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["zero", "not finite"]
    assert [c.get_hatch() for c in axes.collections[1:]] == ["//", "xx"]
    assert drawn(named(measured(3))["gradients"])[0].get_legend() is None


def test_columns_are_the_largest_of_many_steps_and_lie_where_the_steps_are():
    run = measured(1, 2000, stride=3)
    run.gradient_norms[1234] = 1e6
    values = named(run)["gradients"].values
    assert values.values.max() > 1e6
    at = np.flatnonzero(values.values[0] > 1e5)
    assert len(at) == 1
    assert values.steps[at[0]] <= 3 * 1234 < values.steps[at[0] + 1]
    (axes,) = drawn(named(run)["gradients"])
    assert axes.get_xlim() == (0, 6000)


def test_time_runs_upwards():
    run = measured(recurrent=1, times=7)
    (axes,) = drawn(named(run)["time-0.l0"])
    assert not axes.yaxis_inverted()
    assert axes.get_xlim() == (20, 60)
    np.testing.assert_allclose(
        axes.collections[0].get_array(), np.log10(run.through_time["0.l0"][..., 0].T)
    )


def test_verdicts_are_marked_by_number_where_they_were_seen_first():
    found = (
        *verdicts(),
        Verdict("t", "vanishing", "info", "", layer="0", time_step=4, first_step=50),
    )
    by_name = named(measured(recurrent=2, times=7), found)
    (axes,) = drawn(by_name["gradients"])
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3"]
    places = {text.get_text(): text.xy for text in axes.texts}
    assert places == {"1": (20.5, 0), "2": (7.5, 0), "3": (5.5, 1)}
    (axes,) = drawn(by_name["time-0.l0"])
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("4", (50.5, 4))]
    assert not drawn(by_name["time-1.l0"])[0].texts


def test_marks_at_one_place_stand_beside_each_other():
    same = [Verdict(str(i), "vanishing", "info", "", layer="0") for i in range(3)]
    (axes,) = drawn(named(measured(), same)["gradients"])
    assert [text.xyann[0] for text in axes.texts] == [0, 15, 30]


def test_a_prediction_is_scaled_by_the_loss_gradient():
    run = measured()
    run.delta_norms[0, -1] = 4.0
    expected = [4 * norm for norm in prediction().gradient_norms.values()]
    assert predicted_norms(run, prediction()) == pytest.approx(expected)
    (axes,) = drawn(named(run, (), prediction())["prediction"])
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert lines["weight, predicted"] == pytest.approx(expected[::2])
    assert lines["bias, measured"] == pytest.approx(run.gradient_norms[0, 1::2])


def test_the_update_ratio_has_its_band():
    few, many = (drawn(named(measured(n))["ratios"])[0] for n in (3, 20))
    for axes in (few, many):
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[:2] == ["healthy, 0.0001 to 0.1", "ideal, 0.001"]
        assert axes.get_yscale() == "log"
    assert [line.get_label() for line in many.lines][1:] == ["median"]
    assert len(few.lines) == 7


def test_bars_of_a_budget_end_where_the_parts_do():
    (axes,) = drawn(named(measured(), (), None, budget())["budget"])
    for i, row in enumerate(budget().rows):
        bars = [p for p in axes.patches if abs(p.get_y() + 0.4 - i) < 1e-9]
        assert sum(bar.get_width() for bar in bars) == pytest.approx(row.total)
        left = min(min(bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
        assert left == pytest.approx(row.activation)
    assert axes.lines[0].get_xdata().tolist() == [row.total for row in budget().rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_figure(family):
    verdict = Verdict("rule", family, "info", "")
    assert panel_of(verdict, panels(measured())) is not None
    assert panel_of(verdict, panels(measured(), (), prediction())) is not None
    assert panel_of(verdict, ()) is None


def test_recurrent_layers_are_found_by_level_and_direction():
    verdict = Verdict("rule", "vanishing", "info", "", tensor="1.weight_hh_l0", time_step=3)
    assert panel_of(verdict, panels(measured(3, recurrent=2, times=5))).name == "time-1.l0"
    assert [is_along(name, verdict) for name in ("1.l0_reverse", "1", "11.l0", "2.l0")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_neither_importing_nor_a_page_touches_pyplot(tmp_path):
    code = (
        "import sys, fastgrad.health.report as report\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from measured import measured\n"
        "report.table(measured())\n"
        "assert 'matplotlib' not in sys.modules\n"
        "report.write(sys.argv[1], measured())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    tests = str((tmp_path / __file__).parent)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "page.html"), tests], check=True)
