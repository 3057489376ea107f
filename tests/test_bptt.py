"""Truncated backpropagation through time: windows whose states go on and whose gradients do not."""

from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest
from nets import assert_close, bits, targets

import fastgrad as fg
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("recurrent")

N, T, F, H, OUT = 7, 11, 3, 5, 4
LENGTHS = np.array([11, 0, 3, 8, 1, 4, 10])
ROUNDINGS = 4 * T * (F + 4 * H + OUT + N + 20)
KINDS = {
    "rnn": lambda **how: fg.RNN(F, H, **how),
    "lstm": lambda **how: fg.LSTM(F, H, num_layers=2, **how),
    "gru": lambda **how: fg.GRU(F, H, **how),
}


def make(kind="lstm", sequences=True):
    layer = KINDS[kind](return_sequences=sequences)
    return fg.Sequential(layer, fg.Dense(H, OUT), rng=0, dtype="float64")


def data(rng, sequences=True, loss="mse", rows=N, times=T):
    x = rng.standard_normal((rows, times, F))
    y = targets(loss, rng, rows * times if sequences else rows, OUT)
    return x, y.reshape(rows, times, *y.shape[1:]) if sequences else y


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_window_is_no_truncation(kind, lengths, sequences, rng):
    x, y = data(rng, sequences)
    weight = rng.uniform(size=N)
    found = []
    for bptt in (None, T, 100):
        trainer = fg.Trainer(make(kind, sequences), "mse", fg.SGD(0.1, momentum=0.9), rng=1)
        losses = [trainer.epoch(x, y, 3, True, w, lengths, bptt) for w in (None, weight, None)]
        found.append((bits(trainer.model.flat_params), trainer.steps))
        if bptt is None:
            wanted = losses
        assert losses == pytest.approx(wanted, rel=1e-14)
    assert found[0] == found[1] == found[2]


def by_hand(model, x, y, weight, lengths, steps):
    """SGD on windows of a minibatch of sequences; the sum of losses, and what counts."""
    states, total, count = {}, 0.0, 0.0
    for first in range(0, x.shape[1], steps):
        part = slice(first, first + steps)
        own = np.clip(lengths - first, 0, steps)
        if not own.any():
            continue
        window = x[:, part]
        own = np.minimum(own, window.shape[1])
        z = model.forward(window, lengths=own, states=states)
        states = model.states
        share = (np.arange(z.shape[1]) < own[:, None]) * weight[:, part]
        if not share.any():
            continue
        d = z - y[:, part]
        total += own.sum() * (share[..., None] * d**2).sum() / share.sum() / OUT
        count += own.sum()
        model.backward(2 * share[..., None] * d / share.sum() / OUT, input_grad=False)
        model.flat_params[...] -= 0.1 * model.flat_grads
    return total, count


@pytest.mark.parametrize("weighted", [None, "rows", "steps"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("steps", [1, 3, 4, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_a_loop_with_states(kind, steps, lengths, weighted, rng):
    x, y = data(rng)
    spread = np.ones((N, T))
    weight = None
    if weighted == "rows":
        weight = rng.uniform(0.5, 2, N)
        spread = np.repeat(weight[:, None], T, axis=1)
    elif weighted == "steps":
        weight = spread = rng.uniform(0.5, 2, (N, T))
        weight[:, 4:8] = 0  # a whole window, for some steps
    trainer, hand = fg.Trainer(make(kind), "mse", fg.SGD(0.1)), make(kind)
    mean = trainer.epoch(x, y, 4, False, weight, lengths, steps)
    total = count = 0.0
    for start in range(0, N, 4):
        rows = slice(start, start + 4)
        own = np.full(N, T) if lengths is None else lengths
        found = by_hand(hand, x[rows], y[rows], spread[rows], own[rows], steps)
        total, count = total + found[0], count + found[1]
    assert mean == pytest.approx(total / count, rel=1e-12)
    assert_close(trainer.model.flat_params, hand.flat_params, "float64", ROUNDINGS)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("steps", [1, 3, 4, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_one_output_trains_on_the_last_steps_of_each_sequence(kind, steps, lengths, rng):
    """By hand each sequence is by itself: forward up to its last steps, and back through these."""
    x, y = data(rng, sequences=False)
    trainer, hand = (fg.Trainer(make(kind, False), "mse", fg.SGD(0.1)) for _ in range(2))
    assert trainer.epoch(x, y, N, False, None, lengths, steps) > 0
    assert trainer.steps == 1
    model = hand.model
    total = {name: np.zeros_like(grad) for name, grad in model.grads.items()}
    for i, length in enumerate(np.full(N, T) if lengths is None else lengths):
        cut = max(length - steps, 0)
        states = {}
        if cut:
            model.forward(x[i : i + 1, :cut], train=False)
            states = model.states
        own = np.array([min(length, steps)])
        window = x[i : i + 1, cut : cut + max(own[0], 1)]
        z = model.forward(window, lengths=own, states=states)
        model.backward(2 * (z - y[i]) / OUT / N, input_grad=False)
        for name, grad in model.grads.items():
            total[name] += grad
    for name, grad in trainer.model.grads.items():
        assert_close(grad, total[name], "float64", ROUNDINGS, name)


def test_gradients_end_where_a_window_begins(rng):
    """Only the first step of each window has an effect: no gradient comes from before it."""
    x, y = data(rng, rows=2, times=8)
    trainer = fg.Trainer(make("rnn"), "mse", fg.SGD(1e-9))
    trainer.epoch(x, y, 2, False, bptt=4)
    found = trainer.model.time_gradients["0.l0"]
    assert found.h.shape == (4,)
    assert np.isnan(found.gain[0])
    assert np.isfinite(found.gain[1:]).all()


def sizes(trainer):
    spaces = [trainer._recorder._workspace, *trainer.model._workspaces.values()]
    return [[buffer.nbytes for buffer in space.buffers] for space in spaces]


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("lengths", [True, False])
def test_memory_does_not_grow_with_time(sequences, lengths, rng):
    found, peaks = [], []
    for times in (100, 1000):
        x, y = data(rng, sequences, rows=4, times=times)
        own = np.array([times, times - 1, 7, times // 2]) if lengths else None
        trainer = fg.Trainer(make("gru", sequences), "mse", fg.SGD(0.01))
        trainer.epoch(x, y, 4, False, lengths=own, bptt=20)
        tracemalloc.start()
        trainer.epoch(x, y, 4, False, lengths=own, bptt=20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        found.append(sizes(trainer))
        plain = fg.Trainer(make("gru", sequences), "mse")
        plain.epoch(x, y, 4, lengths=own)
    assert found[0] == found[1]
    activations = sum(sizes(plain)[0])
    assert activations > 10 * sum(found[1][0])
    # with lengths there are copies that have zeros in the padding, and what finds it
    columns = F + OUT if sequences else F
    copies_and_mask = 1000 * 4 * (8 * columns + 1) if lengths else 0
    assert peaks[1] - peaks[0] < activations / 10 + copies_and_mask


def test_windows_in_which_nothing_counts_make_no_step(rng):
    x, y = data(rng)
    trainer = fg.Trainer(make(), "mse", fg.Adam(0.1))
    trainer.epoch(x[2:3], y[2:3], 1, lengths=[3], bptt=2)
    assert trainer.steps == 2
    trainer.epoch(x[1:3], y[1:3], 1, False, lengths=[0, 3], bptt=2)
    assert trainer.steps == 4
    burn_in = np.ones((N, T))
    burn_in[:, :6] = 0
    trainer.epoch(x, y, N, sample_weight=burn_in, bptt=3)
    assert trainer.steps == 6  # of four windows the first two only run forward


def test_padding_changes_no_bit(rng):
    x, y = data(rng)
    padding = np.arange(T) >= LENGTHS[:, None]
    found = []
    for value in (0, 1e300, -3):
        x[padding], y[padding] = value, value
        trainer = fg.Trainer(make("gru"), "mse", rng=0)
        found.append([trainer.epoch(x, y, 3, lengths=LENGTHS, bptt=4) for _ in range(2)])
        found[-1].append(bits(trainer.model.flat_params))
    assert found[0] == found[1] == found[2]


def test_indices(rng):
    words = (rng.integers(9, size=(N, 1)) + np.arange(T)) % 9  # each says what the next one is
    model = fg.Sequential(
        fg.GRU(9, H, one_hot=True, return_sequences=True), fg.Dense(H, 9), rng=0, dtype="float64"
    )
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(0.03), rng=0)
    losses = [trainer.epoch(words[:, :-1], words[:, 1:], 4, bptt=4) for _ in range(30)]
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("sequences", [True, False])
def test_fit_has_all_around_it(sequences, rng):
    x, y = data(rng, sequences)
    schedule = fg.schedules.Cosine()
    how = {"loss": "mse", "clip": fg.ClipNorm(0.1), "schedule": schedule, "rng": 0, "epochs": 3}
    how |= {"regularizers": fg.L2(1e-3), "average": 0.9, "batch_size": 3, "validation": (x, y)}
    seen = []
    run = fg.fit(make(sequences=sequences), x, y, bptt=4, callbacks=lambda r: seen.append(r.epoch),
                 **how)  # fmt: skip
    windows = 3 if sequences else 1
    assert run.trainer.steps == 3 * 3 * windows
    assert run.trainer.stepper.total_steps == run.trainer.steps
    total = run.trainer.steps
    factors = schedule.factors(np.arange(total), total)
    assert run.history["lr"] == pytest.approx(1e-3 * factors[3 * windows - 1 :: 3 * windows])
    assert seen == [1, 2, 3]
    assert {"val_loss", "clipped", "gradient_norm"} <= run.history.keys()
    assert run.settings.bptt == 4
    ragged = fg.fit(make(), *data(rng), lengths=LENGTHS, bptt=4, loss="mse", epochs=1, rng=0)
    assert ragged.trainer.stepper.total_steps == 3


# NumPy says where numbers overflow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("policy", ["raise", "skip", "roll_back"])
def test_a_window_that_is_not_finite(policy, rng):
    """The targets of one window are so large that its loss is infinite."""
    x, y = data(rng)
    y[1, 5] = 1e200
    trainer = fg.Trainer(make(), "mse", fg.SGD(0.1), on_nonfinite=policy)
    before = trainer.model.flat_params.copy()
    if policy == "raise":
        with pytest.raises(fg.GradientError, match="the loss is inf"):
            trainer.epoch(x, y, N, bptt=4)
        plain = fg.Trainer(make(), "mse", fg.SGD(0.1))
        plain.epoch(x[:, :4], y[:, :4], N, bptt=4)
        assert_close(trainer.model.flat_params, plain.model.flat_params, "float64", ROUNDINGS)
    else:
        assert np.isfinite(trainer.epoch(x, y, N, bptt=4))
        assert (trainer.guard.bad, trainer.steps) == (1, 2 if policy == "skip" else 1)
    assert (trainer.model.flat_params != before).any()


# NumPy says where numbers overflow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("policy", ["skip", fg.RollBack(every=1)], ids=["skip", "roll_back"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_after_a_window_left_out_states_go_on(kind, lengths, policy, rng):
    """By hand the window that cannot be trained on runs forward alone."""
    x, y = data(rng)
    own = np.full(N, T) if lengths is None else lengths
    bad = y.copy()
    bad[0, 5] = 1e200
    trainer, hand = fg.Trainer(make(kind), "mse", fg.SGD(0.1), on_nonfinite=policy), make(kind)
    trainer.epoch(x, bad, N, False, lengths=lengths, bptt=4)
    assert (trainer.guard.bad, trainer.steps) == (1, 2)
    last = 0.1 if policy == "skip" else 0.05
    assert trainer.rate == last
    states = {}
    for first, rate in ((0, 0.1), (4, None), (8, last)):
        steps = np.clip(own - first, 0, min(4, T - first))
        part = slice(first, first + 4)
        z = hand.forward(x[:, part], lengths=steps, states=states)
        states = hand.states
        if rate is None:
            continue
        counts = np.arange(z.shape[1]) < steps[:, None]
        hand.backward(counts[..., None] * 2 * (z - y[:, part]) / counts.sum() / OUT, False)
        hand.flat_params[...] -= rate * hand.flat_grads
    assert_close(trainer.model.flat_params, hand.flat_params, "float64", ROUNDINGS)


# NumPy says where numbers overflow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("burn_in", [False, True])
def test_sequences_whose_states_are_not_finite_end_there(burn_in, rng):
    """The next minibatch starts from zeros."""
    x, y = data(rng, rows=6, times=12)
    x[1, 4:6] = np.finfo(np.float64).max  # whose products with the weights overflow
    weight = np.ones((6, 12))
    weight[:, 4:8] = 0 if burn_in else 1
    model = fg.Sequential(
        fg.RNN(F, H, activation="relu", return_sequences=True, weight_init="ones"),
        fg.Dense(H, OUT),
        rng=0,
        dtype="float64",
    )
    twin = copy.deepcopy(model)
    trainer = fg.Trainer(model, "mse", fg.SGD(0.01), on_nonfinite=fg.policies.Skip(limit=1))
    trainer.epoch(x, y, 3, False, weight, bptt=4)
    assert trainer.steps == 1 + 3 - burn_in
    assert trainer.guard.bad == (0 if burn_in else 1)
    rest = fg.Trainer(twin, "mse", fg.SGD(0.01))
    rest.epoch(x[:3, :4], y[:3, :4], 3, False, bptt=4)
    rest.epoch(x[3:], y[3:], 3, False, weight[3:], bptt=4)
    assert bits(model.flat_params) == bits(twin.flat_params)


def test_a_run_is_resumed_between_epochs(rng, tmp_path):
    x, y = data(rng)
    path = tmp_path / "run.safetensors"
    how = {"loss": "mse", "batch_size": 3, "lengths": LENGTHS, "bptt": 4, "rng": 0}
    whole = fg.fit(make(), x, y, epochs=4, **how)
    fg.fit(make(), x, y, epochs=2, callbacks=fg.Checkpoint(path), **how)
    again = fg.resume(path, x, y, lengths=LENGTHS, epochs=4, callbacks=fg.Checkpoint(path))
    assert again.settings.bptt == 4
    assert bits(again.model.flat_params) == bits(whole.model.flat_params)
    assert again.history["loss"] == whole.history["loss"]
    with pytest.raises(ValueError, match="X, y, sample_weight, lengths and validation are not th"):
        fg.resume(path, x, y, epochs=4, callbacks=fg.Checkpoint(path))
    model = make()
    with pytest.raises(ValueError, match="every_steps must not be given with bptt"):
        fg.fit(model, x, y, callbacks=fg.Checkpoint(path, every_steps=2), **how)
    assert bits(model.flat_params) == bits(make().flat_params)


def layers(*found):
    return fg.Sequential(*found, rng=0, dtype="float64")


CASES = {
    "no recurrent layer": (
        lambda: layers(fg.Dense(F, OUT)), {}, ValueError, "bptt needs a recurrent layer"
    ),
    "reverse": (
        lambda: layers(fg.GRU(F, H, reverse=True, return_sequences=True), fg.Dense(H, OUT)),
        {}, ValueError, "bptt goes forward from zeros, but layer 0 has reverse",
    ),
    "both ways": (
        lambda: layers(fg.Sequential(fg.GRU(F, 2, bidirectional=True, return_sequences=True))),
        {}, ValueError, "layer 0.0 has bidirectional",
    ),
    "learned states": (
        lambda: layers(fg.Residual(fg.LSTM(F, F, learn_initial=True, return_sequences=True)),
                       fg.Dense(F, OUT)),
        {}, ValueError, "layer 0.0 has learn_initial",
    ),
    "stateful": (
        lambda: layers(fg.GRU(F, OUT, stateful=True, return_sequences=True)),
        {"shuffle": False, "batch_size": N}, ValueError, "layer 0 has stateful",
    ),
    "accumulate": (make, {"accumulate": 2}, ValueError, "bptt .* each window: accumulate is 2"),
    "all rows at once": (make, {"optimizer": "lbfgs"}, ValueError, "takes no bptt"),
    "a number of steps": (
        lambda: layers(fg.GRU(F, H, return_sequences=True), fg.Flatten(T, H), fg.Dense(T * H, 2)),
        {}, ValueError, r"Flatten needs \(N, 11, 5\), got shape \(7, 3, 5\)",
    ),
    "zero": (make, {"bptt": 0}, ValueError, "bptt must be at least 1, got 0"),
    "a fraction": (make, {"bptt": 0.5}, TypeError, "bptt must be an integer, got 0.5"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_cut_is_refused(case, rng):
    model_of, options, kind, message = CASES[case]
    x, y = data(rng)
    model = model_of()
    y = y[..., : model.outputs]
    if len(model.output_shape(x.shape)) == 2:
        y = y[:, 0]
    before = bits(model.flat_params)
    with pytest.raises(kind, match=message):
        fg.fit(model, x, y, **({"loss": "mse", "bptt": 3} | options))
    trainer_options = {k: v for k, v in options.items() if k in ("accumulate", "optimizer")}
    rest = {k: v for k, v in options.items() if k not in trainer_options}
    trainer = fg.Trainer(model, "mse", **trainer_options)
    with pytest.raises(kind, match=message):
        trainer.epoch(x, y, **({"bptt": 3} | rest))
    assert bits(model.flat_params) == before


def test_rows_and_streams_are_refused(rng, tmp_path):
    x, y = data(rng)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    rows = FileRows(tmp_path / "x.npy", tmp_path / "y.npy")
    with pytest.raises(ValueError, match="bptt must not be given with FileRows"):
        fg.fit(make(), rows, loss="mse", bptt=3)
    with pytest.raises(ValueError, match="bptt must not be given with FileRows"):
        fg.Trainer(make(), "mse").epoch(rows, bptt=3)
    with pytest.raises(ValueError, match="bptt must not be given with batches"):
        fg.fit(make(), [(x, y)], loss="mse", bptt=3)
    dense = fg.Sequential(fg.Dense(F, OUT), rng=0)
    with pytest.raises(ValueError, match=r"bptt cuts sequences .* got X \(7, 3\)"):
        fg.fit(dense, x[:, 0], y[:, 0], loss="mse", bptt=3)
