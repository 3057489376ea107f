"""Stateful layers: each minibatch goes on, row by row, where the one before it ended."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from nets import assert_close, bits

import fastgrad as fg
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("recurrent")

F, H, T, SIZE, PARTS = 2, 5, 4, 3, 6
ROUNDINGS = 4 * PARTS * T * (F + 4 * H + 40)
KINDS = {
    "rnn": lambda **how: fg.RNN(F, H, **how),
    "lstm": lambda **how: fg.LSTM(F, H, num_layers=2, **how),
    "gru": lambda **how: fg.GRU(F, H, **how),
}


class Poison(fg.Layer):
    """The identity, whose backward pass spoils the gradients of some minibatches."""

    def __init__(self, at=()):
        self.at, self.seen = at, -1

    def parameters(self):
        return {"scale": ((1,), fg.initializers.ones())}

    def forward(self, x, params, train):
        return x

    def backward(self, dy, params, grads):
        self.seen += 1
        grads["scale"][...] = np.nan if self.seen in self.at else 0
        return dy


def make(kind="lstm", stateful=True, sequences=True, poison=(), dtype="float64"):
    layer = KINDS[kind](stateful=stateful, return_sequences=sequences)
    return fg.Sequential(layer, Poison(poison), fg.Dense(H, 1), rng=0, dtype=dtype)


def data(rng, parts=PARTS):
    """SIZE long sequences in parts: row i of each minibatch goes on in row i of the next."""
    x, y = rng.standard_normal((2, SIZE, parts * T, F))
    cut = [slice(p * T, (p + 1) * T) for p in range(parts)]
    return np.concatenate([x[:, c] for c in cut]), np.concatenate([y[:, c, :1] for c in cut])


def states_of(trainer):
    found = sorted(trainer.arrays().items())
    return {name: a.copy() for name, a in found if name.startswith("state.")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("train", [True, False])
def test_two_windows_are_the_whole(kind, train, rng):
    x = rng.standard_normal((SIZE, 2 * T, F))
    whole, model = make(kind, stateful=False), make(kind)
    wanted, end = whole.forward(x, train), whole.states
    for _ in range(2):
        parts = [model.forward(part, train) for part in (x[:, :T], x[:, T:])]
        assert_close(np.concatenate(parts, axis=1), wanted, "float64", ROUNDINGS)
        for name, state in model.states.items():
            assert_close(state, end[name], "float64", ROUNDINGS, name)
        assert abs(model.forward(x[:, :T], train) - parts[0]).max() > 1e-3
        model.reset_states()
    parts = [model.predict(part) for part in (x[:, :T], x[:, T:])]
    assert_close(np.concatenate(parts, axis=1), wanted, "float64", ROUNDINGS)


def test_each_number_of_rows_has_states_of_its_own(rng):
    x = rng.standard_normal((SIZE, T, F))
    model = make()
    model.predict(x)
    alone = model.predict(x[:1])
    model.reset_states()
    assert bits(model.predict(x[:1])) == bits(alone)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_what_the_next_batch_goes_on_from(kind, rng):
    """After steps, epochs, failures, validation and a reset; in a model and in copies of it."""
    x, y = data(rng)
    trainer = fg.Trainer(make(kind, poison=[1]), "mse", fg.SGD(0.1), on_nonfinite="skip")
    model = trainer.model
    assert model.states == {}

    def kept():
        prefix = f"state.{SIZE}."
        found = states_of(trainer).items()
        return {name[len(prefix) :]: a for name, a in found if name.startswith(prefix)}

    def agree(found, wanted):
        assert found
        assert found.keys() == wanted.keys()
        assert bits(*found.values()) == bits(*(wanted[name] for name in found))

    trainer.step(x[:SIZE], y[:SIZE])
    first = model.states
    assert all(state.any() for state in first.values())
    agree(first, kept())
    trainer.step(x[:SIZE], y[:SIZE])
    assert trainer.guard.bad == 1
    agree(model.states, first)
    trainer.evaluate(x, y)
    agree(model.states, first)
    trainer.epoch(x, y, SIZE, shuffle=False)
    agree(model.states, kept())
    for duplicate in (copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))):
        copied = duplicate(model)
        agree(copied.states, model.states)
        before = model.states
        outputs = copied.predict(x[:SIZE])
        agree(model.states, before)
        assert bits(model.predict(x[:SIZE])) == bits(outputs)
        agree(model.states, copied.states)
    copied.reset_states()
    assert all(state.shape == (SIZE, H) and not state.any() for state in copied.states.values())
    assert all(state.any() for state in model.states.values())


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_a_loop_with_states(kind, rng):
    """By hand: outputs, loss, gradients and SGD of a model that is given its states."""
    x, y = data(rng)
    trainer = fg.Trainer(make(kind), "mse", fg.SGD(0.1))
    hand = make(kind, stateful=False)
    states = {}
    for _ in range(2):
        losses = []
        for start in range(0, len(x), SIZE):
            part = slice(start, start + SIZE)
            z = hand.forward(x[part], states=states)
            losses.append(((z - y[part]) ** 2).mean())
            states = hand.states
            hand.backward(2 * (z - y[part]) / z.size, input_grad=False)
            hand.flat_params[...] -= 0.1 * hand.flat_grads
        mean = trainer.epoch(x, y, SIZE, shuffle=False)
        assert mean == pytest.approx(np.mean(losses), rel=1e-12)
    assert_close(trainer.model.flat_params, hand.flat_params, "float64", ROUNDINGS)
    for name, state in states.items():
        assert_close(states_of(trainer)[f"state.{SIZE}.{name}"], state, "float64", ROUNDINGS)


def test_steps_files_and_batches_are_the_epoch(rng, tmp_path):
    x, y = data(rng)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    rows = FileRows(tmp_path / "x.npy", tmp_path / "y.npy", block_bytes=600, window_blocks=4)
    parts = [(x[i : i + SIZE], y[i : i + SIZE]) for i in range(0, len(x), SIZE)]
    how = {"loss": "mse", "optimizer": fg.SGD(0.1), "epochs": 2, "progress": False}
    fixed = {"shuffle": False, "batch_size": SIZE}
    found = [
        fg.fit(make(), x, y, **how, **fixed),
        fg.fit(make(), rows, **how, **fixed),
        fg.fit(make(), parts, **how),
    ]
    trainer = fg.Trainer(make(), "mse", fg.SGD(0.1))
    for part in 2 * parts:
        trainer.step(*part)
    ends = [bits(r.model.flat_params, *states_of(r.trainer).values()) for r in found]
    assert set(ends) == {bits(trainer.model.flat_params, *states_of(trainer).values())}


def test_a_callback_resets(rng):
    x, y = data(rng)
    how = {"loss": "mse", "optimizer": fg.SGD(0.1), "shuffle": False, "batch_size": SIZE}
    reset = lambda run: run.model.reset_states()  # noqa: E731
    run = fg.fit(make(), x, y, epochs=2, callbacks=[reset], **how)
    trainer = fg.Trainer(make(), "mse", fg.SGD(0.1))
    for _ in range(2):
        trainer.model.reset_states()
        trainer.epoch(x, y, SIZE, False)
    assert bits(run.model.flat_params) == bits(trainer.model.flat_params)
    on = fg.fit(make(), x, y, epochs=2, **how)
    assert bits(run.model.flat_params) != bits(on.model.flat_params)


def test_validation_starts_from_zeros_and_leaves_the_states_alone(rng):
    x, y = data(rng)
    how = {"loss": "mse", "shuffle": False, "batch_size": SIZE, "epochs": 3, "rng": 0}
    held = x[:SIZE] + 1, y[:SIZE]  # as many rows as a minibatch
    plain, run = fg.fit(make(), x, y, **how), fg.fit(make(), x, y, validation=held, **how)
    assert bits(run.model.flat_params) == bits(plain.model.flat_params)
    assert bits(*states_of(run.trainer).values()) == bits(*states_of(plain.trainer).values())
    run.model.reset_states()
    assert run.trainer.evaluate(*held) == run.history["val_loss"][-1]


@pytest.mark.parametrize("single", [True, False])
def test_a_failed_step_is_as_if_it_had_not_been(single, rng):
    x, y = data(rng)
    bad = 2
    good = np.r_[0 : bad * SIZE, (bad + 1) * SIZE : len(x)]
    trainers = []
    for rows, poison in ((np.arange(len(x)), [bad]), (good, [])):
        trainer = fg.Trainer(make(poison=poison), "mse", fg.SGD(0.1), on_nonfinite="skip")
        if single:
            for part in rows.reshape(-1, SIZE):
                trainer.step(x[part], y[part])
        else:
            trainer.epoch(x[rows], y[rows], SIZE, False)
        trainers.append(trainer)
    failed, plain = trainers
    assert failed.guard.bad == 1
    assert bits(failed.model.flat_params) == bits(plain.model.flat_params)
    assert bits(*states_of(failed).values()) == bits(*states_of(plain).values())


def test_an_error_leaves_the_last_good_state(rng):
    x, y = data(rng)
    trainer = fg.Trainer(make(poison=[2]), "mse", fg.SGD(0.1))
    with pytest.raises(fg.GradientError):
        trainer.epoch(x, y, SIZE, False)
    plain = fg.Trainer(make(), "mse", fg.SGD(0.1))
    plain.epoch(x[: 2 * SIZE], y[: 2 * SIZE], SIZE, False)
    assert bits(*states_of(trainer).values()) == bits(*states_of(plain).values())


def test_a_roll_back_takes_states_back(rng):
    x, y = data(rng)
    policy = fg.RollBack(every=2, lr_factor=1.0, worse=100.0)
    trainer = fg.Trainer(make(poison=[3]), "mse", fg.SGD(0.1), on_nonfinite=policy)
    for i in range(4):
        part = slice(i * SIZE, (i + 1) * SIZE)
        trainer.step(x[part], y[part])
    plain = fg.Trainer(make(), "mse", fg.SGD(0.1))
    plain.epoch(x[: 2 * SIZE], y[: 2 * SIZE], SIZE, False)  # the state after two steps was kept
    assert bits(*states_of(trainer).values()) == bits(*states_of(plain).values())
    # minibatches of other rows, met since, start from zeros again
    other = fg.Trainer(make(poison=[1]), "mse", fg.SGD(0.1), on_nonfinite=fg.RollBack())
    other.step(x[:2], y[:2])
    other.step(x[:3], y[:3])
    assert not any(state.any() for state in states_of(other).values())


class StoppedError(Exception):
    """What ends a run here."""


@pytest.mark.parametrize("stop", [2, 3, 8, 13])
@pytest.mark.parametrize("policy", ["raise", fg.RollBack(every=2)])
def test_a_resumed_run_ends_with_the_same_bits(stop, policy, rng, tmp_path):
    x, y = data(rng)
    path = tmp_path / "run.safetensors"

    def simple():
        layer = fg.GRU(F, H, stateful=True, return_sequences=True)
        return fg.Sequential(fg.Sequential(layer), fg.Dense(H, 1), rng=0, dtype="float64")

    how = {"loss": "mse", "shuffle": False, "batch_size": SIZE, "epochs": 3, "rng": 0}
    how |= {"on_nonfinite": policy, "validation": (x[:2], y[:2])}
    whole = fg.fit(simple(), x, y, **how)
    count = 0

    class Stop:
        def start(self, run):
            run.trainer.every(1, self.look)

        def look(self):
            nonlocal count
            count += 1
            if count == stop:
                raise StoppedError

        def __call__(self, run):
            pass

    with pytest.raises(StoppedError):
        fg.fit(simple(), x, y, callbacks=[fg.Checkpoint(path, every_steps=2), Stop()], **how)
    again = fg.resume(
        path,
        x,
        y,
        validation=(x[:2], y[:2]),
        callbacks=[fg.Checkpoint(path, every_steps=2), Stop()],
    )
    assert bits(again.model.flat_params) == bits(whole.model.flat_params)
    assert again.history["loss"] == whole.history["loss"]
    assert bits(*states_of(again.trainer).values()) == bits(*states_of(whole.trainer).values())
    assert bits(again.model.predict(x[:SIZE])) == bits(whole.model.predict(x[:SIZE]))


def test_a_look_at_the_gradient_moves_no_state(rng):
    x, _ = data(rng)
    model = make(sequences=False)
    model.forward(x[:SIZE])
    before = model.predict(x[:2]), model._memory.lasting()
    kept = bits(*before[1].values())
    assert fg.gradcheck(model, x[:SIZE])
    assert bits(*model._memory.lasting().values()) == kept


def test_lengths_end_states_where_sequences_end(rng):
    x = rng.standard_normal((SIZE, T, F))
    lengths = np.array([2, 0, T])
    model = make("gru")
    model.forward(x)
    before = model.states["0.h_l0"]
    model.forward(x, lengths=lengths)
    after = model.states["0.h_l0"]
    assert bits(after[1]) == bits(before[1])
    alone = make("gru")
    alone.forward(x[:1])
    alone.forward(x[:1, :2])
    assert_close(after[:1], alone.states["0.h_l0"], "float64", ROUNDINGS)


def refused(**options):
    def act(model, x, y):
        how = {"batch_size": SIZE, "shuffle": False, "loss": "mse", "epochs": 1} | options
        fg.fit(model, x, y, **how)

    return act


def epoch(**options):
    return lambda m, x, y: fg.Trainer(m, "mse", **options).epoch(x, y, SIZE, False)


WHY = "layer 0.0 is stateful: each minibatch goes on, row by row, where the last one ended, so "
CASES = {
    "shuffled": (refused(shuffle=True), WHY + "shuffle must be False"),
    "a ragged end": (refused(batch_size=4), WHY + "batch_size must divide the 18 rows, got 4"),
    "an epoch": (lambda m, x, y: fg.Trainer(m, "mse").epoch(x, y, 3), WHY + "shuffle"),
    "a fraction": (refused(validation=0.5), "validation 0.5 would draw rows at random, but layer"),
    "accumulate": (epoch(accumulate=2), "layer 0.0 is stateful, .* needs accumulate 1, got 2"),
    "accumulate in fit": (refused(accumulate=2), "needs accumulate 1"),
    "accumulate in a step": (
        lambda m, x, y: fg.Trainer(m, "mse", accumulate=2).step(x, y), "needs accumulate 1"
    ),
    "parts of predictions": (
        lambda m, x, y: m.predict(x, 6), "so that all 18 rows must be one batch: .* got 6"
    ),
    "bptt": (refused(bptt=2), "layer 0.0 has stateful"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_go_on_row_by_row_is_refused(case, rng):
    act, message = CASES[case]
    x, y = data(rng)
    layer = fg.GRU(F, F, stateful=True, return_sequences=True)
    model = fg.Sequential(fg.Residual(layer), fg.Dense(F, 1), rng=0)
    before = bits(model.flat_params, model.flat_buffers)
    with pytest.raises(ValueError, match=message):
        act(model, x, y)
    assert bits(model.flat_params, model.flat_buffers) == before
    assert not any(state.any() for state in model._memory.lasting().values())
