"""The studies run, and the little that they do with --quick agrees with theory where it must."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastgrad import studies
from fastgrad.studies import Result, Row, chain, depth, dying, patients
from fastgrad.studies.__main__ import main
from fastgrad.studies.common import digits, gradients, stack


@pytest.fixture(scope="module")
def quick():
    """Runs a study once."""
    found = {}

    def run(name):
        if name not in found:
            found[name] = studies.study(name, quick=True)
        return found[name]

    return run


def row(result, what):
    return next(each for each in result.rows if each.what == what)


@pytest.mark.parametrize("name", studies.NAMES)
def test_each_has_rows_and_a_picture(quick, name, tmp_path):
    result = quick(name)
    assert result.rows or result.tables
    for each in result.rows:
        assert each.measured is not None
        assert str(each.what) in result.text()
    path = tmp_path / "picture.png"
    result.figure().savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", studies.NAMES)
def test_each_has_a_summary_of_one_line(name):
    assert studies.summary(name).endswith(".")


def test_command_prints_and_draws(tmp_path, capsys):
    picture = tmp_path / "out" / "chain.png"
    assert main(["chain", "--quick", "--out", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "predicted" in said
    assert f"picture written to {picture}" in said
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_list_names_all(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(studies.NAMES)


def test_all_writes_a_picture_each(tmp_path, monkeypatch, capsys):
    result = Result("title", [Row("what", None, 1.0, 1.0)], lambda figure: None)
    monkeypatch.setattr("fastgrad.studies.__main__.study", lambda name, quick: result)
    main(["all", "--quick", "--out", str(tmp_path)])
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(studies.NAMES)
    assert capsys.readouterr().out.count("title") == len(studies.NAMES)


def test_unknown_names_are_refused(capsys):
    with pytest.raises(ValueError, match="name: expected one of chain, glorot"):
        studies.study("nonsense")
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "invalid choice" in capsys.readouterr().err


def test_table_by_hand():
    result = Result("Title", [Row("what", None, 0.5, 1 / 3)], lambda figure: None, note="Note.")
    assert result.measured("what") == 1 / 3
    assert result.text().splitlines() == [
        "Title",
        "",
        "      published  predicted  measured",
        "----  ---------  ---------  --------",
        "what  -          0.5        0.333",
        "",
        "Note.",
    ]


def test_chain_by_hand_is_the_engine(quick):
    for each in quick("chain").rows:
        if each.predicted is not None:
            assert each.measured == pytest.approx(each.predicted, rel=1e-12)
    y, grads = chain.by_hand([10.0, 0.1])
    assert (y, *grads) == pytest.approx((2.0, 0.4, 40.0))


def test_steepest_direction_shrinks_as_the_hessian_says(quick):
    result = quick("learning_rate")
    for factor in (0.02, 0.5, 1.8, 2.2):
        found = row(result, f"rate {factor:g} / lambda_max: factor a step")
        assert found.measured == pytest.approx(1 - factor, rel=1e-9)
        found = row(result, f"rate {factor:g} / lambda_max: what becomes of it")
        assert found.measured == found.predicted


def test_forget_gates_keep_sigmoid_of_their_bias(quick):
    for bias in (0, 1, 2, 3, 5):
        found = row(quick("forget_bias"), f"b = {bias}: gradient's factor a step")
        # the gates' inputs have deviation 0.1, which moves the mean of log sigmoid by 0.01 at most
        assert found.measured == pytest.approx(found.predicted, rel=0.01)


def test_probability_of_death():
    assert dying.died(2, 10) == pytest.approx(0.9437, abs=1e-4)
    share, _ = dying._share_dead("relu", 2, 3, 400)
    expected = dying.died(2, 3)
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 400)


def test_correlation_length_diverges_at_the_critical_point():
    # below it inputs become alike: c* = 1, and the slope there is chi = sigma_w^2 E[phi'^2]
    ordered, critical, chaotic = map(depth.correlation_length, (1.3, 1.76, 2.5))
    assert critical > 50 * max(ordered, chaotic)
    assert depth.fixed_point(1.76095) == pytest.approx(0.5700, abs=1e-3)


def test_gradients_do_not_depend_on_the_data_s_labels():
    model = stack(3, 32, "tanh", "xavier_normal")
    x = digits().X[:50]
    before = model.flat_params.copy()
    found = gradients(model, x)
    assert found.delta["3"] == 1
    assert found.weights["0.weight"] > 0
    assert np.array_equal(model.flat_params, before)


def test_both_lists_name_every_cure():
    vanishing = {each.cure for each in patients.VANISHING}
    exploding = {each.cure for each in patients.EXPLODING}
    both = {"Xavier", "He", "BatchNorm", "LSTM", "GRU", "normalized inputs"}
    assert both <= vanishing & exploding
    assert {"ReLU", "Leaky ReLU", "residual", "gradient floor"} <= vanishing
    more = {"clip by norm", "clip by value", "L2", "dropout", "smaller rate"}
    assert more <= exploding


def test_cures_cure_before_training():
    for each in patients.VANISHING:
        if each.cure not in ("gradient floor", "normalized inputs"):
            sick, cured = each.sick.run(quick=True), each.cured.run(quick=True)
            assert sick.decades < -2
            assert cured.decades > sick.decades + 2
