"""What is done about steps that are not finite."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg
from fastgrad import policies

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # NumPy, and so the reference, says where numbers overflow
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

BAD = 3e38  # a sum of some leaves float32


def data(rng, rows=40, bad=()):
    """Rows of which some minibatches of four overflow."""
    x = rng.standard_normal((rows, 5)).astype(np.float32)
    y = rng.standard_normal((rows, 3)).astype(np.float32)
    for i in bad:
        x[4 * i] = BAD
    return x, y


def make(policy, optimizer=None, **options):
    model = fg.Sequential(
        fg.Dense(5, 8, "relu"), fg.BatchNorm(8), fg.Dropout(0.2), fg.Dense(8, 3), rng=0
    )
    trainer = fg.Trainer(
        model, "mse", optimizer or fg.Adam(0.01), on_nonfinite=policy, rng=0, **options
    )
    return model, trainer


def everything(trainer):
    return {name: array.copy() for name, array in trainer.arrays().items()}


@pytest.mark.parametrize("bad", [[0], [9], [3, 4], [0, 5, 9]])
@pytest.mark.parametrize("clip", [None, fg.ClipNorm(1.0)], ids=repr)
def test_skip_trains_on_the_other_minibatches(bad, clip, rng, backend):
    x, y = data(rng, bad=bad)
    model, trainer = make("skip", clip=clip)
    loss = trainer.epoch(x, y, 4, shuffle=False)
    assert np.isfinite(loss)
    assert (trainer.steps, trainer.guard.bad) == (10 - len(bad), len(bad))

    good = np.delete(np.arange(40).reshape(10, 4), bad, axis=0).reshape(-1)
    other, known = make("raise", clip=clip)
    assert known.epoch(x[good], y[good], 4, shuffle=False) == loss
    assert bits(model.flat_params, model.flat_buffers) == bits(
        other.flat_params, other.flat_buffers
    )
    assert [vars(r) for r in trainer.clip_reports()] == [vars(r) for r in known.clip_reports()]


def test_skip_gives_up_after_its_limit(rng, backend):
    x, y = data(rng, bad=[2, 3, 4])
    model, trainer = make(fg.Skip(limit=2))
    with pytest.raises(fg.GradientError, match="step 2"):
        trainer.epoch(x, y, 4, shuffle=False)
    assert (trainer.steps, trainer.guard.bad) == (2, 3)
    assert np.isfinite(model.flat_params).all()


def test_good_steps_in_between_start_the_count_again(rng, backend):
    x, y = data(rng, bad=[0, 2, 4, 6, 8])
    _, trainer = make(fg.Skip(limit=1))
    trainer.epoch(x, y, 4, shuffle=False)
    assert (trainer.steps, trainer.guard.bad) == (5, 5)


def test_steps_by_hand_follow_the_policy(rng, backend):
    x, y = data(rng, bad=[0])
    _, trainer = make("skip")
    before = everything(trainer)
    trainer.step(x[:4], y[:4])
    assert trainer.guard.bad == 1
    assert {k: bits(v) for k, v in before.items()} == {
        k: bits(v) for k, v in trainer.arrays().items()
    }
    trainer.step(x[4:8], y[4:8])
    assert trainer.steps == 1


def test_roll_back_goes_back_to_the_kept_state_with_a_smaller_rate(rng, backend):
    x, y = data(rng, bad=[6])
    policy = fg.RollBack(every=4, lr_factor=0.25)
    model, trainer = make(policy)
    _, known = make("raise")
    known.epoch(x[:16], y[:16], 4, shuffle=False)
    at_four = everything(known)
    seen = []
    trainer.every(1, lambda: seen.append((trainer.steps, everything(trainer))))
    trainer.epoch(x, y, 4, shuffle=False)
    steps = [step for step, _ in seen]
    assert steps == [1, 2, 3, 4, 5, 6, 4, 5, 6]
    for name, array in at_four.items():
        assert bits(seen[6][1][name]) == bits(array), name
    assert trainer.rate == 0.01 * 0.25
    assert np.isfinite(model.flat_params).all()


def test_roll_back_gives_up_after_its_limit(rng, backend):
    x, y = data(rng, bad=range(10))
    _, trainer = make(fg.RollBack(limit=3))
    with pytest.raises(fg.GradientError):
        trainer.epoch(x, y, 4, shuffle=False)
    assert trainer.guard.bad == 4
    assert trainer.rate == 0.01 * 0.5**3


def test_roll_back_cures_a_rate_that_explodes(rng):
    """Without it the run ends at once; with it the rate falls until the loss does."""
    x, y = data(rng)
    results = {}
    for policy in ("raise", fg.RollBack(every=10, lr_factor=0.3)):
        model = chain(5, 8, 3, activation="identity")
        trainer = fg.Trainer(model, "mse", fg.SGD(10.0), on_nonfinite=policy, rng=0)
        first = trainer.evaluate(x, y)
        try:
            for _ in range(200):
                trainer.epoch(x, y, 8)
        except fg.GradientError:
            results[policy] = None
        else:
            results[policy] = trainer.evaluate(x, y) / first
    raised, cured = results.values()
    assert raised is None
    assert cured < 1


def test_history_counts_what_was_left_out(rng):
    x, y = data(rng, bad=[2])
    model, _ = make("raise")
    run = fg.fit(
        model, x, y, loss="mse", on_nonfinite="skip", epochs=3, batch_size=4, shuffle=False
    )
    assert run.history["left_out"] == [1, 1, 1]
    assert "left_out" not in fg.fit(model, x[12:], y[12:], loss="mse", epochs=1).history


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.Skip(0), ValueError, "limit must be at least 1, got 0"),
        (lambda: fg.Skip(1.5), TypeError, "limit must be an integer"),
        (lambda: fg.RollBack(every=0), ValueError, "every must be at least 1"),
        (lambda: fg.RollBack(lr_factor=0), ValueError, "lr_factor must lie in"),
        (lambda: fg.RollBack(lr_factor=2), ValueError, "lr_factor must lie in"),
        (lambda: fg.RollBack(worse=0.5), ValueError, "worse must lie in"),
        (lambda: fg.RollBack(limit=-1), ValueError, "limit must be at least 1"),
        (lambda: policies.get("ignore"), ValueError, "expected one of raise, skip, roll_back"),
        (lambda: policies.get(3), ValueError, "on_nonfinite: expected one of"),
        (lambda: policies.from_config({}), ValueError, 'a mapping with a "name"'),
        (lambda: policies.from_config({"name": "Hope"}), ValueError, "expected one of Raise"),
        (lambda: policies.from_config({"name": "Skip", "x": 1}), TypeError, "Skip"),
    ],
)
def test_bad_policies_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "policy", [policies.Raise(), fg.Skip(3), fg.RollBack(7, 0.3, 2, 1.5)], ids=repr
)
def test_a_policy_is_made_again_from_its_config(policy):
    assert vars(policies.from_config(policy.config())) == vars(policy)
