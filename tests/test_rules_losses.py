"""When a loss is said to be stuck: what chance allows, and what still falls."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import facts, measured

import fastgrad as fg
from fastgrad.health.rules import Facts, Monitor
from fastgrad.health.rules.window import RecentLoss


def stuck(losses, constant_loss=1.0):
    """The severity of the verdict that the loss is stuck, or None."""
    known = facts(constant_loss=constant_loss)
    monitor = Monitor(known)
    monitor.observe(measured(len(losses), known, losses=losses))
    found = {verdict.rule: verdict.severity for verdict in monitor.verdicts}
    return found.get("loss_stuck")


def rare(steps, mean, seed=0):
    """Losses of a class that is in few minibatches: of each mean, and as scattered as that."""
    return mean * np.random.default_rng(seed).exponential(1, steps)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [100, 400, 3000])
def test_a_noisy_loss_below_the_constant_one_is_not_stuck(steps, seed):
    assert stuck(rare(steps, 0.8, seed)) in (None, "info")


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_loss_is_stuck_once_there_are_steps_enough_to_tell(seed):
    assert stuck(rare(60, 1.0, seed)) in (None, "info")
    noisy = 1 + 0.3 * (rare(20_000, 1.0, seed) - 1)
    assert stuck(noisy) == "critical"


def test_a_loss_that_comes_from_far_above_is_not_stuck():
    steps = np.arange(400)
    assert stuck(20 * np.exp(-steps / 100)[:200]) == "info"
    assert stuck(1.0 + 19 * np.exp(-steps / 20)) == "critical"  # it stays at the constant one


def test_what_was_stuck_and_moves_again_is_stuck_no_more():
    still = np.ones(100)
    assert stuck(still) == "warning"
    assert stuck(np.concatenate([still, 1 - np.arange(200) / 400])) is None


def test_errors_of_recent_losses(rng):
    noise = rng.standard_normal(4000)
    found = RecentLoss.of(3 - np.arange(4000) / 1e3 + noise)
    # a thousand losses: their mean has the deviation 1 / sqrt(1000); 5 of them, and 10 % of noise
    assert found.error == pytest.approx(1 / np.sqrt(1000), rel=0.1)
    assert abs(found.mean - (3 - 3.4995)) < 5 * found.error
    assert abs(found.fall - 1) < 5 * found.fall_error
    assert found.fall_error == pytest.approx(np.sqrt(2) * found.error)
    assert np.isnan(RecentLoss.of(np.ones(1)).mean)


@pytest.mark.parametrize(("batch_size", "told"), [(16, False), (64, True), (256, True)])
def test_small_minibatches_may_differ_by_more(batch_size, told):
    known = facts(batch_size=batch_size)
    monitor = Monitor(known)
    monitor.observe(measured(120, known, losses=2.3 + 1.2 * (-1.0) ** np.arange(120)))
    assert ("loss_oscillating" in {verdict.rule for verdict in monitor.verdicts}) == told


def diverges(losses):
    known = facts(constant_loss=1.0)
    monitor = Monitor(known)
    monitor.observe(measured(len(losses), known, losses=losses))
    return "loss_diverging" in {verdict.rule for verdict in monitor.verdicts}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [12, 28, 60, 200])
def test_losses_of_a_few_rows_do_not_diverge_by_chance(steps, seed):
    rng = np.random.default_rng(seed)
    assert not diverges(rng.chisquare(16, steps) / 16)  # as mean squares of 16 errors are
    assert diverges(rng.chisquare(16, 60) / 16 * np.maximum(1, 1.2 ** (np.arange(60) - 40)))


LAST = {
    "a layer of its own": lambda end: [fg.Dense(4, 1), fg.Activation(end)],
    "in a row": lambda end: [fg.Sequential(fg.Dense(4, 4), fg.Dense(4, 1, end))],
    "of the layer": lambda end: [fg.Dense(4, 1, end)],
}


@pytest.mark.parametrize("last", LAST)
@pytest.mark.parametrize(
    ("loss", "end", "told"),
    [("binary_cross_entropy", "sigmoid", True), ("binary_cross_entropy", "relu", True),
     ("binary_cross_entropy", "identity", False), ("mse", "sigmoid", False),
     ("huber", "softplus", False)],
)  # fmt: skip
def test_activations_of_logits(last, loss, end, told):
    X, y = np.eye(4, dtype=np.float32), np.array([0.0, 0, 1, 1])
    model = fg.Sequential(fg.Dense(4, 4, "relu"), *LAST[last](end), rng=0)
    trainer = fg.Trainer(model, loss, fg.SGD(0.1), rng=0, health=True)
    for _ in range(4):
        trainer.epoch(X, y, batch_size=2)
    found = [v for v in trainer.health.verdicts if v.rule == "activated_logits"]
    assert len(found) == told
    assert not told or (found[0].severity == "warning" and end in found[0].cause)


def test_outputs_of_several_layers_are_not_judged_as_logits():
    layers = [fg.Parallel(fg.Dense(4, 2, "relu"), fg.Dense(4, 2))]
    trainer = fg.Trainer(fg.Sequential(*layers, rng=0), "cross_entropy")
    assert Facts.of(trainer).logits is None
