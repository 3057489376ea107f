"""Weights that penalties and decay draw to 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_cases import STEPS
from synthetic import facts, measured

import fastgrad as fg
from fastgrad.health.rules import Monitor, name_of


def told(known, left, loss=0.3, **changes):
    """Verdicts on weights of norm 8 that shrink to a part, and a loss that comes to one."""
    shrinking = 8 * np.geomspace(1, left, STEPS)[:, None]
    falling = np.log(10) * np.maximum(np.exp(-np.arange(STEPS) / 10), loss)
    run = measured(STEPS, known, weight_norms=shrinking, losses=falling, **changes)
    monitor = Monitor(known)
    monitor.observe(run)
    return {verdict.rule: verdict for verdict in monitor.verdicts if verdict.rank}


# of the steps' 0.02 of norm 8, 1e-3 * 10 * 8 is four times the whole
STRONG = facts(decay=10.0)


@pytest.mark.parametrize(
    ("left", "loss", "seen"), [(0.2, 0.3, True), (0.5, 0.3, False), (0.2, 0.02, False)]
)
def test_weights_that_shrink_while_the_loss_has_a_way_to_go(left, loss, seen):
    assert ("weight_decay" in told(STRONG, left, loss)) == seen


def test_decay_that_is_not_the_cause_is_not_blamed():
    assert "weight_decay" not in told(facts(decay=1e-2), 0.2)


@pytest.mark.parametrize(("decay", "seen"), [(3.0, True), (1.7, False)])
def test_decay_that_weighs_less_than_the_data_is_not_blamed(decay, seen):
    # updates of 2.25e-3 of the weights, of which decay is 1.33 times, or 0.76 times, the whole
    updates = {"update_norms": 1e-3 * 2.25 * 8 * np.geomspace(1, 0.2, STEPS)[:, None]}
    assert ("weight_decay" in told(facts(decay=decay), 0.2, **updates)) == seen


def test_what_is_normalized_may_have_small_weights():
    layers = {**STRONG.layers, "1": replace(STRONG.layers["1"], normalizes=True)}
    assert "weight_decay" not in told(replace(STRONG, layers=layers), 0.2)


@pytest.mark.parametrize(("left", "cure"), [(0.2, "less_regularization"),
                                            (1.0, "smaller_learning_rate")])  # fmt: skip
def test_what_vanishes_by_small_weights_is_not_blamed_on_large_steps(left, cure):
    delta = np.ones((STEPS, 4))
    delta[4:, 0] = 1e-7
    found = told(facts(), left, loss=1.0, delta_norms=delta)["vanishing_depth"]
    assert name_of(found.cures[0]) == cure


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [(fg.AdamW(1e-2, weight_decay=10.0), True), (fg.SGD(0.1, weight_decay=0.3), True),
     *[(fg.AdamW(1e-2, weight_decay=d), False) for d in (1e-4, 1e-2, 0.1)],
     *[(fg.SGD(0.1, weight_decay=d), False) for d in (1e-4, 1e-2, 0.1)]],
)  # fmt: skip
def test_decay_of_a_small_table(optimizer, told, one_thread):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((569, 4))
    X = hidden @ rng.standard_normal((4, 30)) / 2 + 0.3 * rng.standard_normal((569, 30))
    y = (hidden[:, 0] + 0.5 * hidden[:, 1] > 0).astype(int)
    model = fg.Sequential(fg.Dense(30, 32, "relu"), fg.Dense(32, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", optimizer, rng=0, health=True)
    for _ in range(20):
        trainer.epoch(X, y, batch_size=64)
    found = [verdict.family for verdict in trainer.health.verdicts if verdict.rank]
    assert found == (["regularization"] if told else [])


@pytest.mark.parametrize(("limit", "seen"), [(10.0, False), (30.0, True)])
def test_a_clip_that_a_spike_would_meet_is_there_for_safety(limit, seen):
    known = facts(max_norm=limit)  # the gradient's norm is 0.2
    monitor = Monitor(known)
    monitor.observe(measured(STEPS, known))
    assert ("never_clipped" in {verdict.rule for verdict in monitor.verdicts}) == seen
