"""Schedules within the recorded program, against rates set by hand between steps."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg
from fastgrad import schedules

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((40, 5))
Y = np.random.default_rng(1).standard_normal((40, 3))
STEPS = 10  # of an epoch with minibatches of 4

SCHEDULES = [
    schedules.Cosine(),
    schedules.Warmup(7, schedules.Linear(1.0, 0.1)),
    schedules.Step(3, 0.5),
    schedules.Constant(0.5),
]


def make(optimizer, **options):
    return fg.Trainer(chain(5, 8, 3), "mse", optimizer, rng=0, **options)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("optimizer", [fg.SGD, fg.Adam])
def test_an_epoch_follows_the_schedule(schedule, optimizer, backend):
    trainer = make(optimizer(0.05), schedule=schedule, total_steps=2 * STEPS)
    by_hand = make(optimizer(0.05))
    factors = schedule.factors(np.arange(2 * STEPS), 2 * STEPS)
    for epoch in range(2):
        trainer.epoch(X, Y, 4, shuffle=False)
        for i in range(STEPS):
            by_hand.optimizer.lr = max(0.05 * factors[epoch * STEPS + i], 1e-300)
            by_hand.step(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4])
        assert bits(trainer.model.flat_params) == bits(by_hand.model.flat_params)
        assert trainer.rate == 0.05 * factors[epoch * STEPS + STEPS - 1]


def test_steps_by_hand_follow_the_schedule(backend):
    schedule = schedules.Exponential(1, 0.9)
    found = []
    for by_epoch in (True, False):
        trainer = make(fg.Adam(0.05), schedule=schedule)
        if by_epoch:
            trainer.epoch(X, Y, 4, shuffle=False)
        else:
            for i in range(STEPS):
                trainer.step(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4])
        found.append(bits(trainer.model.flat_params))
    assert found[0] == found[1]


def test_one_cycle_moves_the_momentum_too(backend):
    schedule = schedules.OneCycle(momentum_range=(0.8, 0.95))
    trainer = make(fg.SGD(0.05, momentum=0.9), schedule=schedule, total_steps=STEPS)
    by_hand = make(fg.SGD(0.05, momentum=0.9))
    factors = schedule.factors(np.arange(STEPS), STEPS)
    momenta = schedule.momentum(np.arange(STEPS), STEPS)
    assert np.ptp(momenta) > 0.05
    trainer.epoch(X, Y, 4, shuffle=False)
    for i in range(STEPS):
        by_hand.optimizer.lr, by_hand.optimizer.momentum = 0.05 * factors[i], momenta[i]
        by_hand.step(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4])
    assert bits(trainer.model.flat_params) == bits(by_hand.model.flat_params)


def test_rates_of_layers_are_scheduled_alike(backend):
    schedule = schedules.Exponential(1, 0.5)
    options = {"per_layer": {"1": {"lr": 0.2}}}
    trainer = make(fg.SGD(0.05), schedule=schedule, **options)
    trainer.epoch(X[:8], Y[:8], 4, shuffle=False)
    before = trainer.model.flat_params.copy()
    trainer.step(X[8:12], Y[8:12])
    model = trainer.model
    for name, part in ((part.name, slice(part.start, part.stop)) for part in model.parts):
        lr = (0.2 if name.startswith("1") else 0.05) * 0.25
        expected = before[part] - np.float32(lr) * model.flat_grads[part]
        np.testing.assert_allclose(model.flat_params[part], expected, rtol=1e-6, atol=1e-7)


def test_long_epochs_are_prepared_in_pieces(backend):
    """More steps than the table of rates has rows."""
    x, y = np.tile(X, (60, 1)), np.tile(Y, (60, 1))
    trainer = make(fg.SGD(0.01), schedule=schedules.Linear(), total_steps=len(x))
    trainer.epoch(x, y, 1, shuffle=False)
    factors = schedules.Linear().factors(np.arange(len(x)), len(x))
    by_hand = make(fg.SGD(0.01))
    for i in range(len(x)):
        by_hand.optimizer.lr = 0.01 * factors[i]
        by_hand.step(x[i : i + 1], y[i : i + 1])
    assert trainer.steps == len(x)
    assert bits(trainer.model.flat_params) == bits(by_hand.model.flat_params)


def test_fit_knows_the_length_of_the_run():
    run = fg.fit(
        chain(5, 8, 3), X, Y, loss="mse", optimizer=fg.SGD(0.1), schedule="cosine", epochs=4,
        batch_size=3, accumulate=2,
    )  # fmt: skip
    steps = 4 * 7  # 14 minibatches, two to a step
    assert run.trainer.steps == run.trainer.stepper.total_steps == steps
    factors = schedules.Cosine().factors(np.arange(steps), steps)
    np.testing.assert_allclose(run.history["lr"], 0.1 * factors[6::7], rtol=1e-14)


def test_a_trainer_needs_the_length_for_parts_of_the_run():
    trainer = make(fg.SGD(0.1), schedule="cosine")
    before = bits(trainer.model.flat_params)
    with pytest.raises(ValueError, match="run"):
        trainer.epoch(X, Y)
    assert bits(trainer.model.flat_params) == before


def test_a_plateau_lowers_the_rate_within_fit():
    schedule = schedules.ReduceOnPlateau(
        factor=0.5, patience=0, threshold=10.0, threshold_mode="abs"
    )
    run = fg.fit(
        chain(5, 8, 3), X, Y, loss="mse", optimizer=fg.SGD(0.1), schedule=schedule, epochs=4
    )
    assert run.history["lr"] == [0.1, 0.1, 0.05, 0.025]


def test_momentum_cannot_cycle_where_there_is_none():
    class Plain(fg.SGD):
        momentum_place = None

    with pytest.raises(ValueError, match="needs momentum"):
        make(Plain(0.1), schedule=schedules.OneCycle(momentum_range=(0.8, 0.95)))


@pytest.mark.parametrize("optimizer", [fg.SGD(0.1), fg.RMSprop(), fg.Adagrad(0.1)], ids=repr)
def test_momentum_cannot_cycle_where_it_is_zero(optimizer):
    with pytest.raises(ValueError, match="needs momentum"):
        make(optimizer, schedule=schedules.OneCycle(momentum_range=(0.8, 0.95)))


def test_a_schedule_serves_several_runs():
    schedule = schedules.ReduceOnPlateau(0.5, patience=0, threshold=10.0, threshold_mode="abs")
    rates = [
        fg.fit(
            chain(5, 8, 3), X, Y, loss="mse", optimizer=fg.SGD(0.1), schedule=schedule, epochs=4
        ).history["lr"]
        for _ in range(2)
    ]
    assert rates[0] == rates[1]


def test_a_plateau_of_accuracies_is_one_that_no_longer_rises():
    schedule = schedules.ReduceOnPlateau(0.5, patience=0, monitor="val_accuracy")
    for accuracy in (0.1, 0.2, 0.3):
        schedule.update(accuracy)
    assert schedule.scale == 1
    schedule.update(0.2)
    assert schedule.scale == 0.5


def test_schedules_that_are_none_are_refused():
    with pytest.raises(ValueError, match="schedule: expected one of"):
        make(fg.SGD(0.1), schedule="sawtooth")
