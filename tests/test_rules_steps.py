"""Lengths of steps, and rates that are too large or too small by them."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import facts, measured

import fastgrad as fg
from fastgrad.datasets import load_digits
from fastgrad.health.rules import Facts, Monitor
from fastgrad.health.rules.step_length import StepLength


@pytest.mark.parametrize("rate", [0.01, 0.5, 1.0, 1.5, 2.5])
def test_length_on_a_parabola(rate):
    # w^2 / 2: steps of gradient descent go the part `rate` of the way to the least loss
    w = 3.0 * (1 - rate) ** np.arange(12)
    known = facts(depth=1)
    run = measured(
        12, known, losses=w**2 / 2, gradient_norms=abs(w)[:, None],
        update_norms=rate * abs(w)[:, None],
    )  # fmt: skip
    found = StepLength.of(run)
    assert found.middle == pytest.approx(rate - 1, abs=1e-12)
    assert found.high >= found.middle
    assert found.rises == (rate > 2)


def test_length_of_steps_with_other_rows_is_not_told_to_be_small(rng):
    # the loss falls by all of the slope, but less than rows differ
    known = facts()
    losses = 2.3 - 1e-4 * np.arange(40) + 0.1 * rng.standard_normal(40)
    run = measured(40, known, losses=losses, gradient_norms=5e-3, update_norms=5e-3)
    assert StepLength.of(run).high > -0.9
    assert "rate_too_small" not in rules(known, run)


@pytest.mark.parametrize("same_rows", [False, True])
def test_a_loss_that_rises_is_the_steps_fault_where_rows_are_the_same(same_rows):
    known = facts(same_rows=same_rows)
    losses = 2.0 + 0.2 * (-1.0) ** np.arange(120)
    found = rules(known, measured(120, known, losses=losses))
    assert ("rate_too_large" in found) == same_rows
    falling = measured(120, known, losses=2.0 - 0.01 * np.arange(120))
    assert "rate_too_large" not in rules(known, falling)


def rules(known, run):
    monitor = Monitor(known)
    monitor.observe(run)
    return [verdict.rule for verdict in monitor.verdicts if verdict.rank]


@pytest.mark.parametrize(
    ("rate", "activation", "told"),
    [(1e-3, "relu", "rate_too_small"), (0.1, "relu", None), (0.1, "tanh", None),
     (1.0, "tanh", "rate_too_large")],
)  # fmt: skip
def test_all_rows_at_each_step(rate, activation, told, one_thread):
    X, y = load_digits()
    layers = [fg.Dense(64, 64, activation), fg.Dense(64, 64, activation), fg.Dense(64, 10)]
    trainer = fg.Trainer(
        fg.Sequential(*layers, rng=0), "cross_entropy", fg.SGD(rate), rng=0, health=True
    )
    for _ in range(100):
        trainer.epoch(X / 16, y, batch_size=len(X))
    found = [v for v in trainer.health.verdicts if v.rank]
    assert [v.rule for v in found[:1]] == ([] if told is None else [told])
    if told == "rate_too_small":
        assert -1.001 < found[0].evidence["step_length"] < -0.9
        assert found[0].evidence["update_ratio"] > 1e-4  # which would not tell it


@pytest.mark.parametrize(("jump", "told"), [(4.0, "rate_too_large"), (1.0, "rate_too_small")])
def test_what_large_steps_have_broken_asks_for_no_larger_ones(jump, told):
    known = facts()
    updates = np.full((120, 1), 1e-6)
    updates[:8] = jump  # of weights of norm 8
    found = rules(known, measured(120, known, update_norms=updates, losses=np.full(120, 2.3)))
    assert [rule for rule in found if rule.startswith("rate")] == [told]


@pytest.mark.parametrize(("loss", "told"), [(0.0, False), (0.1, True)])
def test_weights_that_stand_still_at_a_loss_of_0(loss, told):
    known = facts()
    updates = [1e-12, 0.02, 0.02, 0.02]
    run = measured(120, known, update_norms=updates, losses=np.full(120, loss))
    assert ("unchanged" in rules(known, run)) == told


@pytest.mark.parametrize(("size", "text"), [(4.0, "50.0% of"), (8e30, "1e+30 times")])
def test_updates_are_told_in_a_fitting_unit(size, text):
    known = facts()
    monitor = Monitor(known)
    monitor.observe(measured(120, known, update_norms=size, losses=np.full(120, 2.3)))
    (verdict,) = (v for v in monitor.verdicts if v.rule == "rate_too_large")
    assert f"by up to {text} their size" in verdict.cause


def test_steps_that_change_nothing_are_no_matter_of_the_rate():
    known = facts()
    monitor = Monitor(known)
    monitor.observe(measured(120, known, update_norms=0.0, losses=np.full(120, 2.3)))
    (verdict,) = (v for v in monitor.verdicts if v.rule == "rate_too_small")
    assert verdict.cause.startswith("no step changes any weight: the gradient is 0")


def test_a_minibatch_is_not_all_rows():
    X, y = np.eye(4, dtype=np.float32), np.zeros(4, int)
    for rows in (True, False):
        trainer = fg.Trainer(fg.Sequential(fg.Dense(4, 2), rng=0), "cross_entropy", health=True)
        if rows:
            trainer.epoch(X, y, batch_size=4)
        else:
            trainer.step(X, y)
        assert trainer.health._monitor.facts.same_rows == rows
    model = fg.Sequential(fg.Dense(4, 4), fg.Dropout(0.5), fg.Dense(4, 2), rng=0)
    assert not Facts.of(fg.Trainer(model, "cross_entropy"), X, y, batch_size=4).same_rows
