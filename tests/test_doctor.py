"""The doctor: what it repairs, what it leaves alone, and how it decides."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.health.treatment import Cure, Findings, Setup, Trial, cures, doctor, steps, trial
from fastgrad.health.treatment.trial import Material, Rows
from fastgrad.health.verdicts import Verdict

ROWS = 600


def data():
    """Eight features of which the largest of three sums is the class."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, 8)).astype(np.float32)
    return X, (X @ rng.standard_normal((8, 3))).argmax(axis=1)


def network(*layers, rng=0):
    return fg.Sequential(*(layers or (fg.Dense(8, 32, "relu"), fg.Dense(32, 3))), rng=rng)


def treat(model, X=None, y=None, **options):
    rows, labels = data()
    given = {"loss": "cross_entropy", "optimizer": fg.Adam(3e-3), "epochs": 10, "batch_size": 32,
             "rng": 0, "progress": False}  # fmt: skip
    return fg.health.doctor(
        model, rows if X is None else X, labels if y is None else y, **(given | options)
    )


def test_a_healthy_setup_comes_back_as_it_is():
    model = network()
    before = model.flat_params.copy()
    found = treat(model, clip=fg.ClipNorm(5.0), regularizers=fg.L2(1e-5))
    assert found.changes == ()
    assert found.before is found.after
    np.testing.assert_array_equal(found.model.flat_params, before)
    np.testing.assert_array_equal(model.flat_params, before)
    assert found.model is not model
    assert (found.optimizer.lr, found.clip[0].max_norm) == (3e-3, 5.0)
    assert found.regularizers[0].strength == 1e-5
    assert "nothing is changed: nothing is wrong" in found.report()


SICK = {
    "fast": (network, {"optimizer": fg.Adam(1.0)}, "smaller_learning_rate"),
    "slow": (network, {"optimizer": fg.Adam(1e-6)}, "larger_learning_rate"),
    "raw": (network, {"X": 500 * data()[0] + 1000}, "normalize_inputs"),
    "penalty": (network, {"regularizers": fg.L2(1.0)}, "less_regularization"),
    "clipped": (network, {"optimizer": fg.SGD(0.1), "clip": fg.ClipNorm(1e-5)}, "no_clipping"),
    "zeros": (
        lambda: network(fg.Dense(8, 32, "relu", weight_init="zeros"), fg.Dense(32, 3)),
        {},
        "initializer",
    ),
    "sigmoid": (
        lambda: network(
            fg.Dense(8, 16, "sigmoid"),
            *(fg.Dense(16, 16, "sigmoid") for _ in range(7)),
            fg.Dense(16, 3),
        ),
        {},
        "activation",
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_a_sick_setup_is_repaired_by_the_cure_of_its_cause(name):
    make, options, cure = SICK[name]
    found = treat(make(), **options)
    assert found.changes[0].cure == cure
    assert found.before.warnings
    assert not found.after.warnings
    assert found.after.loss < 0.5 * found.before.loss
    first, last = found.changes[0], found.changes[-1]
    assert (first.before, last.after) == (found.before.loss, found.after.loss)
    assert first.why == found.before.warnings[0].cause
    assert found.verdicts == {"before": found.before.verdicts, "after": found.after.verdicts}
    X, y = options.get("X", data()[0]), data()[1]
    run = found.fit(X, y, loss="cross_entropy", epochs=15, batch_size=32, rng=1, progress=False)
    assert (run.model.predict(X).argmax(-1) == y).mean() > 0.85
    report = found.report()
    for text in (first.what, first.why, *(change.what for change in found.rejected)):
        assert text in report


def test_a_rate_that_is_much_too_small_is_raised_step_by_step(monkeypatch):
    monkeypatch.setattr(steps, "suggested", lambda findings, setup: None)
    found = treat(network(), optimizer=fg.Adam(1e-5))
    assert {change.cure for change in found.changes} == {"larger_learning_rate"}
    assert len(found.changes) >= 3
    assert found.optimizer.lr >= 1e-3
    assert found.after.ok


def test_targets_far_from_zero_are_learned_in_their_units():
    X, _ = data()
    y = 3000 + 500 * np.tanh(X[:, :1])
    model = network(fg.Dense(8, 32, "tanh"), fg.Dense(32, 1))
    found = treat(model, y=y, loss="mse")
    assert found.changes[0].cure == "normalize_targets"
    run = found.fit(X, y, loss="mse", epochs=15, batch_size=32, rng=1, progress=False)
    assert np.sqrt(np.mean((run.model.predict(X) - y) ** 2)) < 0.2 * y.std()


def test_the_same_seed_gives_the_same_answer():
    answers = [treat(network(), optimizer=fg.Adam(1.0)) for _ in range(2)]
    assert answers[0].report() == answers[1].report()
    np.testing.assert_array_equal(*(answer.model.flat_params for answer in answers))
    np.testing.assert_array_equal(*(answer.after.losses for answer in answers))


class Halve(fg.Layer):
    """A layer of a user's own."""

    def forward(self, x, params, train):
        return x / 2

    def backward(self, dy, params, grads):
        return dy / 2


def test_beside_layers_of_ones_own_no_others_are_put():
    model = network(fg.Dense(8, 32, "relu"), Halve(), fg.Dense(32, 3))
    found = treat(model, optimizer=fg.Adam(1.0), epochs=5)
    tried = {change.cure.partition(" ")[0] for change in (*found.changes, *found.rejected)}
    assert tried <= {cure.name for cure in (*cures.steps.CURES, *cures.starts.CURES)}
    assert [change.cure for change in found.changes] == ["smaller_learning_rate"]
    np.testing.assert_array_equal(found.model.flat_params, model.flat_params)


def test_beside_layers_of_ones_own_inputs_are_standardized_but_not_in_front_of_them():
    X = 500 * data()[0] + 1000
    found = treat(network(fg.Dense(8, 32, "relu"), Halve(), fg.Dense(32, 3)), X=X)
    assert found.changes[0].cure == "normalize_inputs"
    kinds = [type(layer) for layer in found.model.layers]
    assert kinds == [fg.Standardize, fg.Dense, Halve, fg.Dense]
    found = treat(network(Halve(), fg.Dense(8, 32, "relu"), fg.Dense(32, 3)), X=X)
    assert type(found.model.layers[0]) is Halve


def test_sequences_with_lengths():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 9, 3)).astype(np.float32)
    lengths = rng.integers(4, 10, 120)
    y = (X[:, 0, 0] > 0).astype(int)
    model = fg.Sequential(fg.GRU(3, 12), fg.Dense(12, 2), rng=0)
    found = fg.health.doctor(
        model, X, y, loss="cross_entropy", optimizer=fg.Adam(1e-7), epochs=20, batch_size=20,
        lengths=lengths, validation=(X[:40], y[:40], lengths[:40]), rng=0, progress=False,
    )  # fmt: skip
    assert "larger_learning_rate" in found.changes[0].cure
    assert found.after.loss < found.before.loss


def test_the_budget_is_kept(monkeypatch):
    calls = []
    real = trial.run

    def counted(setup, material, order=0):
        calls.append(material.steps)
        return real(setup, material, order)

    monkeypatch.setattr("fastgrad.health.treatment.practice.run", counted)
    found = treat(network(), optimizer=fg.Adam(1.0), steps=40, cures=2, rounds=2)
    assert set(calls) == {40}
    assert len(calls) == found.trials <= 1 + 4 * (4 * 2 + 16)
    assert f"{len(calls)} trials of 40 steps each" in found.report()


def test_rows_that_judge_are_not_trained_on(monkeypatch):
    seen = []

    def look(setup, material, order=0):
        seen.append(material)
        raise KeyboardInterrupt

    monkeypatch.setattr("fastgrad.health.treatment.practice.run", look)
    with pytest.raises(KeyboardInterrupt):
        treat(network())
    rows, held = (set(map(bytes, part.X)) for part in (seen[0].rows, seen[0].held_out))
    assert (len(rows), len(held)) == (480, 120)
    assert not rows & held


def test_where_nothing_helps_trials_are_longer_if_the_run_is():
    X = data()[0]
    y = np.random.default_rng(1).integers(0, 3, ROWS)
    given = {"optimizer": fg.Adam(1e-7), "batch_size": 120, "cures": 1, "rounds": 1}
    found = treat(network(), X, y, epochs=60, **given)
    assert not found.changes
    assert found.steps == 60 * 4
    assert len({change.before for change in found.rejected}) == 2  # two first runs
    again = found.trials - found.shorter
    assert f"{again} trials of 240 steps each after {found.shorter} shorter ones" in found.report()
    found = treat(network(), X, y, epochs=60, steps=30, **given)
    assert found.steps == 30


def tried(verdicts, setup):
    return Trial(setup, np.ones(10), tuple(verdicts), np.zeros(0))


def test_cures_come_in_the_order_of_the_verdicts():
    first = Verdict("a", "dead", "critical", "why", ("bias: that", "initializer: so"))
    second = Verdict("b", "loss", "warning", "why", ("optimizer: x", "initializer: y"))
    note = Verdict("c", "init", "info", "why", ("residual: z",))
    setup = Setup(network(), fg.SGD(0.1))
    found = cures.chosen(Findings(None, tried([first, second, note], setup)), 4, False)
    assert [cure.name for cure in found] == ["bias", "initializer", "optimizer", "normalize_inputs"]
    noted = cures.chosen(Findings(None, tried([note], setup)), 4, False)
    assert [cure.name for cure in noted] == ["residual"]
    treated = cures.chosen(Findings(None, tried([note], setup)), 4, True)
    assert treated[0].name == "larger_learning_rate"
    assert all(isinstance(cure, Cure) for cure in cures.CURES)
    assert len({cure.name for cure in cures.CURES}) == len(cures.CURES)


def test_trials_of_a_setup_that_breaks_end_there():
    X, y = data()
    rows = Rows(X[:480], y[:480])
    held_out = Rows(X[480:], X[480:, :3])
    material = Material(fg.MSE(), Rows(rows.X, rows.X[:, :3]), held_out, 32, 40, 1, 0)
    setup = Setup(network(), fg.SGD(1e4))
    found = trial.run(setup, material)
    assert found.loss == math.inf
    assert "nonfinite" in {verdict.family for verdict in found.warnings}
    assert np.isfinite(found.norms).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"rounds": -1}, ValueError, "rounds must be"),
        ({"cures": 0}, ValueError, "cures must be"),
        ({"validation": 1.0}, ValueError, "validation must lie"),
        ({"optimizer": "newton"}, ValueError, "optimizer: expected one of"),
        ({"optimizer": fg.LBFGS()}, ValueError, "LBFGS has none"),
        ({"clip": 1.0}, TypeError, "clip must be a Clip"),
        ({"regularizers": fg.L2(0.1, per_layer={"9": 1.0})}, ValueError, "9"),
        ({"X": np.ones((4, 7))}, ValueError, "X"),
        ({"y": np.ones(3, int)}, ValueError, "y"),
        ({"X": np.full((ROWS, 8), np.nan)}, ValueError, "not finite"),
        ({"X": np.ones((0, 8)), "y": np.ones(0, int)}, ValueError, "no axis of length 0"),
        ({"X": np.ones((5, 8)), "y": np.ones(5, int)}, ValueError, "X has 5 rows, needs 20"),
        ({"validation": (np.ones((9, 8)), np.ones(9, int))}, ValueError, "9 rows, needs 10"),
        ({"validation": (np.ones((9, 8)),)}, ValueError, "validation must be a fraction"),
        ({"progress": "yes"}, TypeError, "progress"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        treat(network(), **options)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="model: expected a Sequential, got str"):
        treat("model")


def test_twenty_rows_are_enough():
    X, y = data()
    found = treat(network(), X[:20], y[:20], optimizer=fg.Adam(1e-7), epochs=30, cures=2)
    assert len(found.before.losses) == 10
    assert np.isfinite(found.before.losses).all()


def test_without_rounds_there_is_a_diagnosis_and_no_cure():
    found = treat(network(), optimizer=fg.Adam(1e-7), rounds=0)
    assert found.trials == 1
    assert "1 trial of 150 steps, judged" in found.report()
    assert "nothing is changed: no cure was tried" in found.report()


def test_stateful_layers_are_refused():
    model = fg.Sequential(fg.RNN(8, 4, stateful=True), fg.Dense(4, 3), rng=0)
    with pytest.raises(ValueError, match="layer 0 is stateful"):
        treat(model, X=np.zeros((ROWS, 2, 8), np.float32))


def test_the_example_in_the_documentation_works():
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(doctor, "doctor", globs={})
    assert doctest.DocTestRunner().run(example).failed == 0
