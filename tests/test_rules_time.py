"""Rules on gradients along time, where the first step decides about all that come after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_cases import STEPS, STILL, through_time
from synthetic import facts, measured

import fastgrad as fg
from fastgrad.health.rules import Monitor, name_of


def told(known, **changes):
    monitor = Monitor(known)
    monitor.observe(measured(STEPS, known, **changes))
    return monitor.verdicts


def explodes_once(gain, later=0.5):
    """The gradient along time of a run whose first step is another one than all that follow."""
    (name, found), *_ = through_time(later).items()
    found[:1] = through_time(gain)["0.l0"][:1]
    return {name: found}


def jump(size):
    """Updates of weights of norm 8."""
    found = np.full((STEPS, 1), 0.02)
    found[0] = size
    return found


def test_a_jump_by_a_gradient_that_exploded_comes_first():
    known = facts()
    first, second, *_ = told(
        known, through_time=explodes_once(1.5), update_norms=jump(1e3), losses=STILL
    )
    assert (first.rule, first.severity) == ("exploding_time", "critical")
    assert first.evidence["per_step"] == pytest.approx(1.5)
    assert second.rule == "vanishing_time"
    assert name_of(second.cures[0]) == "clipping"


@pytest.mark.parametrize(("gain", "size"), [(1.15, 1e3), (1.5, 1.0)])
def test_without_an_explosion_or_a_jump_it_has_vanished(gain, size):
    found = told(facts(), through_time=explodes_once(gain), update_norms=jump(size), losses=STILL)
    assert "exploding_time" not in {verdict.rule for verdict in found}
    (vanishing,) = (verdict for verdict in found if verdict.rule == "vanishing_time")
    assert name_of(vanishing.cures[0]) != "clipping"


def test_a_gradient_of_nothing_is_no_number_of_decades():
    found = told(facts(), through_time=through_time(0.0), losses=STILL)
    assert "exactly 0" in found[0].cause
    assert "decades" not in found[0].cause


@pytest.mark.parametrize(
    ("kind", "steps", "severity"),
    [("GRU", 24, "info"), ("RNN", 24, "critical"), ("GRU", STEPS, "critical")],
)
def test_gates_are_given_some_steps_to_open(kind, steps, severity):
    known = facts()
    layers = {**known.layers, "0": replace(known.layers["0"], kind=kind)}
    monitor = Monitor(replace(known, layers=layers))
    run = measured(STEPS, known, through_time=through_time(0.5), losses=STILL)
    monitor.observe(run[:steps])
    (verdict,) = (v for v in monitor.verdicts if v.rule == "vanishing_time")
    assert verdict.severity == severity


@pytest.mark.parametrize("epochs", [1, 10])
@pytest.mark.parametrize(("std", "rule"), [(0.8, "exploding_time"), (0.25, None)])
def test_a_recurrent_layer_that_explodes_at_birth(std, rule, epochs, one_thread):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 100, 2)), rng.integers(0, 2, 400)
    layer = fg.RNN(2, 16, recurrent_init=fg.initializers.normal(std))
    trainer = fg.Trainer(
        fg.Sequential(layer, fg.Dense(16, 2), rng=0), "cross_entropy", fg.SGD(0.1), rng=0,
        health=True,
    )  # fmt: skip
    for _ in range(epochs):
        trainer.epoch(X, y, batch_size=32)
    found = [verdict.rule for verdict in trainer.health.verdicts if verdict.rank]
    assert found[:1] == [rule] if rule else "exploding_time" not in found
