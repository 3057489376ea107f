"""What health may conclude from rows that are not all of the data, and when it learns more."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.data import FileRows

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (640, 8)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)


def make(outputs=3):
    return fg.Sequential(fg.Dense(8, 20, "relu"), fg.Dense(20, outputs), rng=0)


def trainer_of(model, loss="cross_entropy", lr=1e-2):
    return fg.Trainer(model, loss, fg.Adam(lr), rng=0, health=True)


def facts(health):
    return health._monitor.facts


def test_a_first_minibatch_of_one_class_is_no_verdict_on_the_data():
    """Its entropy is 0, that of the data is not."""

    def batches():
        yield X[Y == 1][:32], Y[Y == 1][:32]
        for start in range(0, 640, 32):
            yield X[start : start + 32], Y[start : start + 32]

    run = fg.fit(
        make(), batches, loss="cross_entropy", optimizer=fg.Adam(1e-2), epochs=10, progress=False,
        rng=0,
    )  # fmt: skip
    assert (run.model.predict(X).argmax(1) == Y).mean() > 0.9
    assert facts(run.health).constant_loss == pytest.approx(math.log(3), rel=1e-6)
    assert not {v.rule for v in run.health.verdicts} & {"loss_stuck", "loss_diverging"}


@pytest.mark.parametrize("rows", [1, 2])
def test_steps_of_few_rows(rows):
    trainer = trainer_of(make(), lr=3e-3)
    for _ in range(5):
        for start in range(0, 640, rows):
            trainer.step(X[start : start + rows], Y[start : start + rows])
    assert (trainer.model.predict(X).argmax(1) == Y).mean() > 0.9
    assert not {v.rule for v in trainer.health.verdicts} & {"loss_stuck", "loss_diverging"}


def test_real_targets_of_a_minibatch():
    trainer = trainer_of(make(1), "mse")
    trainer.step(X[:1], X[:1, :1])
    assert math.isnan(facts(trainer.health).constant_loss)
    assert math.isnan(facts(trainer.health).first_loss)  # one row says nothing of others' sizes
    trainer = trainer_of(make(1), "mse")
    trainer.step(X[:32], X[:32, :1])
    assert math.isnan(facts(trainer.health).constant_loss)
    assert facts(trainer.health).first_loss == pytest.approx(np.mean(X[:32, 0] ** 2), rel=1e-5)


def test_nothing_is_proven_by_the_box_of_a_minibatch():
    """Units 14 to 19 are silent near 0, and alive elsewhere."""
    model = make()
    bias = model.params["0.bias"]
    bias[...] = -0.3
    bias[:14] = -1000

    def batches():
        yield X[:32] * 0.05, Y[:32]
        for start in range(32, 640, 32):
            yield X[start : start + 32], Y[start : start + 32]

    run = fg.fit(
        model, batches, loss="cross_entropy", optimizer=fg.Adam(1e-4), epochs=3, progress=False,
        rng=0,
    )  # fmt: skip
    alive = X @ model.params["0.weight"].T + model.params["0.bias"] > 0
    assert (~alive.any(axis=0)).mean() < 0.9
    assert run.health._proven_dead() == {}
    dead = [v for v in run.health.verdicts if v.family == "dead"]
    assert all(math.isnan(v.evidence["proven"]) for v in dead)

    whole = fg.fit(
        model, X, Y, loss="cross_entropy", optimizer=fg.Adam(1e-4), epochs=1, progress=False
    )
    assert whole.health._proven_dead()["0"] == pytest.approx((~alive.any(axis=0)).mean(), abs=0.05)


def test_facts_are_renewed_by_an_epoch():
    """All but the parameters before the first step, and only where more is known."""
    trainer = trainer_of(make())
    start = trainer.model.params["0.weight"].copy()
    trainer.step(X[:4], Y[:4])
    before = facts(trainer.health)
    assert (before.batch_size, before.steps_per_epoch) == (4, 1)
    trainer.step(X[:8], Y[:8])
    assert facts(trainer.health) is before
    trainer.epoch(X, Y, batch_size=64)
    after = facts(trainer.health)
    assert (after.batch_size, after.steps_per_epoch) == (64, 10)
    assert after.weights is before.weights
    assert after.inputs.low.tolist() == X.min(axis=0).tolist()
    share = np.bincount(Y) / len(Y)
    assert after.constant_loss == pytest.approx(-(share * np.log(share)).sum(), rel=1e-5)
    assert trainer.health._proven_dead() != {}
    trainer.step(X[:4], Y[:4])
    assert facts(trainer.health) is after
    assert np.array_equal(trainer.health._start[0][: start.size], start.ravel())


def test_sequences_in_windows_are_not_the_same_rows():
    """An epoch of a single minibatch, in one step or in several."""
    sequences = X.reshape(10, 64, 8)[:, :12]
    for bptt, same in ((None, True), (4, False)):
        model = fg.Sequential(fg.RNN(8, 4, return_sequences=True), fg.Dense(4, 1), rng=0)
        trainer = trainer_of(model, "mse")
        trainer.epoch(sequences, sequences[:, :, :1], batch_size=10, bptt=bptt)
        found = facts(trainer.health)
        assert found.same_rows is same
        assert found.constant_loss == pytest.approx(sequences[:, :, 0].var(), rel=1e-5)


@pytest.fixture
def files(tmp_path):
    """Saves inputs and classes; returns their paths."""

    def save(x, y):
        paths = tmp_path / "x.npy", tmp_path / "y.npy"
        for path, array in zip(paths, (x, y), strict=True):
            np.save(path, array)
        return paths

    return save


def test_rows_of_files_that_fit_into_memory_are_as_arrays(files):
    """Inputs of size 255 and more are found, and there is a minibatch for the budget."""
    settings = {"loss": "cross_entropy", "optimizer": fg.Adam(1e-3), "epochs": 3, "rng": 0}
    found = []
    for source in ((X * 500, Y), (FileRows(*files(X * 500, Y)),)):
        run = fg.fit(make(), *source, progress=False, **settings)
        known = facts(run.health)
        assert (known.batch_size, known.steps_per_epoch) == (64, 10)
        assert known.inputs.high.tolist() == (X * 500).max(axis=0).tolist()
        assert math.isfinite(run.health.budget().total)
        severities = {v.rule: v.severity for v in run.health.verdicts}
        assert severities["inputs"] == "critical"
        assert run.health._box[1].tolist() == (X * 500).max(axis=0).tolist()
        found.append((known.constant_loss, severities["inputs"], severities["initial_loss"]))
    assert found[0] == found[1]


def test_a_window_of_a_file_is_not_all_of_it(files):
    """Rows sorted by class: the first windows have but one of them."""
    order = np.argsort(Y, kind="stable")
    row = 8 * 4 + 8
    rows = FileRows(*files(X[order], Y[order]), block_bytes=8 * row, window_blocks=16)
    trainer = trainer_of(make())
    trainer.step(X[:4], Y[:4])
    trainer.epoch(rows, batch_size=16, shuffle=False)
    known = facts(trainer.health)
    assert (known.batch_size, known.steps_per_epoch) == (16, 40)
    assert known.constant_loss == pytest.approx(math.log(3), rel=1e-6)
    assert not known.same_rows
    assert trainer.health._proven_dead() == {}
