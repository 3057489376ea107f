"""Sequences with lengths: padding counts nowhere, whatever it holds."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits
from padded import (
    COUNTS,
    LAYERS,
    LENGTHS,
    LOSSES,
    OUT,
    ROUNDINGS,
    F,
    N,
    T,
    data,
    make,
    with_padding,
)

import fastgrad as fg
from fastgrad.program import Tape

pytestmark = pytest.mark.usefixtures("recurrent")


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_padding_changes_no_bit(kind, sequences, rng):
    x, y = data(rng, "cross_entropy", sequences)
    found = []
    for garbage, label in ((0.0, 0), (1e30, -100), (-7.5, 2**40)):
        dirty = with_padding(x, garbage)
        labels = with_padding(y, label) if sequences else y
        model = make(kind, sequences, dtype="float32")
        trainer = fg.Trainer(model, "cross_entropy", rng=0)
        losses = [
            trainer.step(dirty, labels, lengths=LENGTHS),
            trainer.epoch(dirty, labels, 4, lengths=LENGTHS),
            trainer.evaluate(dirty, labels, batch_size=4, lengths=LENGTHS),
        ]
        z = model.predict(dirty, lengths=LENGTHS)
        found.append(bits(model.flat_params, np.array(losses), z[COUNTS] if sequences else z))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_batch_is_the_sum_of_its_sequences(kind, sequences, rng):
    """Each of them cut to its own length, with its share of what counts."""
    x, y = data(rng, "mse", sequences)
    batch = fg.Trainer(make(kind, sequences), "mse", fg.SGD(1e-9))
    loss = batch.step(x, y, lengths=LENGTHS)
    shares = LENGTHS / LENGTHS.sum() if sequences else (LENGTHS > 0) / N
    total = {name: np.zeros_like(grad) for name, grad in batch.model.grads.items()}
    sum_of_losses = 0.0
    for i in np.flatnonzero(LENGTHS):
        single = fg.Trainer(make(kind, sequences), "mse", fg.SGD(1e-9))
        cut = slice(0, LENGTHS[i])
        target = y[i : i + 1, cut] if sequences else y[i : i + 1]
        sum_of_losses += shares[i] * single.step(x[i : i + 1, cut], target)
        for name, grad in single.model.grads.items():
            total[name] += shares[i] * grad
    if not sequences:  # those of length 0 give the last layer's bias, which starts at 0
        rest = y[LENGTHS == 0]
        sum_of_losses += (rest**2).mean(axis=1).sum() / N
        total["1.bias"] -= (2 * rest / OUT).sum(axis=0) / N
    assert loss == pytest.approx(sum_of_losses, rel=ROUNDINGS * 2.3e-16)
    for name, grad in batch.model.grads.items():
        assert_close(grad, total[name], "float64", ROUNDINGS, name)


@pytest.mark.parametrize("weighted", [None, "rows", "steps"])
@pytest.mark.parametrize("size", [1, 4, 9])
@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_is_its_steps(loss, size, weighted, rng):
    x, y = data(rng, loss)
    shape = {None: None, "rows": N, "steps": (N, T)}[weighted]
    weight = None if shape is None else rng.uniform(0.5, 2, shape)
    whole, steps = (fg.Trainer(make(), loss, fg.SGD(0.1)) for _ in range(2))
    mean = whole.epoch(x, y, size, False, weight, LENGTHS)
    losses, counts = [], []
    for start in range(0, N, size):
        part = slice(start, start + size)
        own = None if weight is None else weight[part]
        losses.append(steps.step(x[part], y[part], own, LENGTHS[part]))
        counts.append(LENGTHS[part].sum())
    assert bits(whole.model.flat_params) == bits(steps.model.flat_params)
    assert mean == pytest.approx(np.average(losses, weights=counts), rel=1e-14)


def test_shuffled_lengths_go_with_their_rows(rng):
    x, y = data(rng)
    trainer, twin = (fg.Trainer(make(), "mse", fg.SGD(0.1), rng=5) for _ in range(2))
    trainer.epoch(x, y, 4, lengths=LENGTHS)
    order = twin.order(N, True)
    twin.epoch(x[order], y[order], 4, False, lengths=LENGTHS[order])
    assert bits(trainer.model.flat_params) == bits(twin.model.flat_params)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_means(loss, rng):
    x, y = data(rng, loss)
    model = make()
    trainer = fg.Trainer(model, loss, fg.SGD(1e-9))
    z = model.predict(x, lengths=LENGTHS)
    each = np.array([[trainer.loss_of(z[i, t : t + 1], y[i, t : t + 1]) for t in range(T)]
                     for i in range(N)])  # fmt: skip
    rows, steps = rng.uniform(size=N), rng.uniform(size=(N, T))
    for weight, spread in ((None, 1), (rows, rows[:, None]), (steps, steps)):
        wanted = np.average(each, weights=spread * COUNTS)
        for found in (
            trainer.evaluate(x, y, weight, lengths=LENGTHS),
            trainer.step(x, y, weight, LENGTHS),
        ):
            assert found == pytest.approx(wanted, rel=1e-6)  # the rate is 1e-9


def test_weights_of_rows_are_those_of_their_steps(rng):
    x, y = data(rng)
    weight = rng.uniform(size=N)
    found = []
    for given in (weight, np.repeat(weight[:, None], T, axis=1)):
        trainer = fg.Trainer(make(), "mse")
        trainer.epoch(x, y, 4, False, given)
        trainer.epoch(x, y, 4, False, given, LENGTHS)
        found.append(bits(trainer.model.flat_params))
    assert found[0] == found[1]


def test_lengths_are_weights_of_0_and_1(rng):
    x, y = data(rng)
    model = make("gru")
    losses = [
        fg.Trainer(model, "mse").evaluate(x, y, *given)
        for given in ((None, None, LENGTHS), (COUNTS.astype(float),))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-15)


@pytest.mark.parametrize("fixed", [True, False])
def test_full_lengths_are_none(fixed, rng):
    x, y = data(rng)
    found = []
    for lengths in (None, np.full(N, T)):
        trainer = fg.Trainer(make("gru"), "mse", rng=0)
        losses = [trainer.epoch(x, y, 4, fixed, lengths=lengths) for _ in range(2)]
        found.append((losses, trainer.model.flat_params.copy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-14)
    assert_close(found[0][1], found[1][1], "float64", 6 * ROUNDINGS)


def test_minibatches_in_which_nothing_counts(rng):
    x, y = data(rng)
    lengths = np.where(np.arange(N) < 4, 0, LENGTHS)
    trainer = fg.Trainer(make(), "mse", fg.SGD(0.1), on_nonfinite=fg.RollBack(every=1))
    before = bits(trainer.model.flat_params)
    assert trainer.step(x, y, lengths=np.zeros(N, int)) == 0
    assert bits(trainer.model.flat_params) == before
    assert trainer.gradient_norm() == 0
    mean = trainer.epoch(x, y, 4, False, lengths=lengths)
    rest = fg.Trainer(make(), "mse", fg.SGD(0.1))
    assert mean == rest.epoch(x[4:], y[4:], 4, False, lengths=lengths[4:])
    assert bits(trainer.model.flat_params) == bits(rest.model.flat_params)


@pytest.mark.parametrize("kind", LAYERS)
def test_sequences_without_steps_give_their_initial_state(kind, rng):
    """With one output each they count: what comes after the recurrent layer learns from them."""
    x, y = data(rng, sequences=False)
    none = np.zeros(N, int)
    model = make(kind, sequences=False)
    assert not model.predict(x, lengths=none).any()  # the last bias starts at 0
    trainer = fg.Trainer(model, "mse", fg.SGD(0.1))
    assert trainer.step(x, y, lengths=none) == pytest.approx((y**2).mean(), rel=1e-14)
    assert_close(model.grads["1.bias"], -2 * y.mean(axis=0) / OUT, "float64", 2 * N)
    assert not any(grad.any() for name, grad in model.grads.items() if name != "1.bias")


def test_parts_of_a_step_weigh_by_their_rows(rng):
    x, y = data(rng)
    whole = fg.Trainer(make(), "mse", fg.SGD(0.1), accumulate=2)
    whole.epoch(x, y, 5, False, lengths=LENGTHS)
    total = 0.0
    for part in (slice(0, 5), slice(5, 9)):
        trainer = fg.Trainer(make(), "mse", fg.SGD(0.1))
        trainer.step(x[part], y[part], lengths=LENGTHS[part])
        total = total + (part.stop - part.start) / N * trainer.model.flat_grads
    assert_close(whole.model.flat_grads, total, "float64", 20)
    steps = fg.Trainer(make(), "mse", fg.SGD(0.1), accumulate=2)
    for part in (slice(0, 5), slice(5, 9)):
        steps.step(x[part], y[part], lengths=LENGTHS[part])
    assert_close(steps.model.flat_params, whole.model.flat_params, "float64", 20)


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("loss", [None, "mse", "cross_entropy"])
def test_gradients_are_finite_differences(loss, kind, sequences, rng):
    x, y = data(rng, loss or "mse", sequences)
    y = None if loss is None else y
    assert fg.gradcheck(make(kind, sequences), x, loss=loss, y=y, lengths=LENGTHS)


def test_fit_with_lengths_is_its_epochs(rng):
    x, y = data(rng, "cross_entropy")
    held = x[:5] + 1, y[:5], LENGTHS[:5]
    how = {"loss": "cross_entropy", "epochs": 3, "batch_size": 4, "rng": 0, "progress": False}
    run = fg.fit(make(), x, y, lengths=LENGTHS, validation=held, **how)
    trainer = fg.Trainer(make(), "cross_entropy", rng=0)
    losses = [trainer.epoch(x, y, 4, lengths=LENGTHS) for _ in range(3)]
    assert run.history["loss"] == losses
    assert bits(run.model.flat_params) == bits(trainer.model.flat_params)
    assert run.history["val_loss"][-1] == trainer.evaluate(*held[:2], lengths=held[2])
    batches = [(x[:4], y[:4], None, LENGTHS[:4]), [x[4:], y[4:], np.ones(5), LENGTHS[4:]]]
    again = fg.fit(make(), batches, **how)
    twin = fg.Trainer(make(), "cross_entropy", rng=0)
    for _ in range(3):
        for batch in batches:
            twin.step(*batch)
    assert bits(again.model.flat_params) == bits(twin.model.flat_params)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all", "lengths"])
def test_accuracy_counts_steps(lengths, rng):
    x, y = data(rng, "cross_entropy")
    how = {"loss": "cross_entropy", "epochs": 2, "lengths": lengths, "rng": 0}
    held = (x, y) if lengths is None else (x, with_padding(y, -1), lengths)
    run = fg.fit(make(), x, y, validation=held, **how)
    z = run.model.predict(x, lengths=lengths)
    counts = [
        z[row, t].argmax() == y[row, t]
        for row in range(N)
        for t in range(T if lengths is None else lengths[row])
    ]
    assert run.history["val_accuracy"][-1] == np.mean(counts)


def test_a_fraction_takes_lengths_with_it(rng):
    x, y = data(rng)
    given = np.maximum(LENGTHS, 1)
    run = fg.fit(make(), x, y, lengths=given, validation=0.4, loss="mse", epochs=2, rng=0)
    X, Y, lengths = run.data.held_out
    order = [int(np.flatnonzero((x[:, 0] == row[0]).all(axis=1))[0]) for row in X]
    rest = [int(np.flatnonzero((x[:, 0] == row[0]).all(axis=1))[0]) for row in run.data.X]
    assert sorted(order + rest) == list(range(N))
    assert lengths.tolist() == given[order].tolist()
    assert run.data.lengths.tolist() == given[rest].tolist()
    assert run.history["val_loss"][-1] == run.trainer.evaluate(X, Y, lengths=lengths)


def test_layers_share_the_plan_of_a_batch(rng, monkeypatch):
    calls = []
    call = Tape.call
    monkeypatch.setattr(Tape, "call", lambda self, *a: calls.append(a[0]) or call(self, *a))
    layers = [fg.GRU(F, F, return_sequences=True), fg.Dense(F, F), fg.LSTM(F, F)]
    model = fg.Sequential(*layers, rng=0, dtype="float64")
    x, _ = data(rng)
    y = model.forward(x, lengths=LENGTHS)
    assert calls.count("sequence_plan") == 1
    model.backward(np.ones_like(y))
    assert calls.count("sequence_plan") == 1
    assert_close(model.predict(x, lengths=LENGTHS), y, "float64", ROUNDINGS)


@pytest.mark.parametrize("how", [{}, {"bptt": 7}, {"sample_weight": True}], ids=str)
@pytest.mark.parametrize("sequences", [True, False])
def test_threads_change_no_bit(sequences, how, rng, threads):
    """All of it is large enough for two threads."""
    x = rng.standard_normal((70, 20, 40)).astype(np.float32)
    y = rng.integers(30, size=(70, 20) if sequences else 70)
    lengths = rng.integers(21, size=70)
    how = {name: rng.uniform(size=70) if value is True else value for name, value in how.items()}
    found = []
    for count in (1, 2):
        threads(count)
        layers = fg.LSTM(40, 48, return_sequences=True), fg.GRU(48, 40, return_sequences=sequences)
        model = fg.Sequential(*layers, fg.Dense(40, 30), rng=0)
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.ClipNorm(0.1), rng=0)
        losses = [trainer.epoch(x, y, 32, lengths=lengths, **how) for _ in range(2)]
        losses.append(trainer.evaluate(x, y, lengths=lengths))
        found.append(bits(np.array(losses), model.flat_params, *trainer.state.values()))
    assert found[0] == found[1]
