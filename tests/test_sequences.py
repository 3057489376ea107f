"""Sequences with lengths: padding counts nowhere, whatever it holds."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits, targets

import fastgrad as fg
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("recurrent")

N, T, F, H, OUT = 9, 6, 3, 5, 4
LENGTHS = np.array([6, 0, 3, 1, 6, 5, 2, 0, 4])
COUNTS = np.arange(T) < LENGTHS[:, None]
# every value goes through as many sums of such lengths in each of the steps and in each pass
ROUNDINGS = 4 * T * (F + 4 * H + OUT + N + 20)

LAYERS = {
    "rnn": lambda **how: fg.RNN(F, H, **how),
    "lstm": lambda **how: fg.LSTM(F, H, **how),
    "gru": lambda **how: fg.GRU(F, H, **how),
    "both ways": lambda **how: fg.LSTM(F, H, bidirectional=True, num_layers=2, **how),
}
LOSSES = ["mse", "mae", "cross_entropy", "soft_cross_entropy", "binary_cross_entropy"]


def make(kind="lstm", sequences=True, dtype="float64", first=()):
    layer = LAYERS[kind](return_sequences=sequences)
    return fg.Sequential(*first, layer, fg.Dense(layer.output_features(F), OUT), rng=0, dtype=dtype)


def data(rng, loss="mse", sequences=True):
    x = rng.standard_normal((N, T, F))
    y = targets(loss, rng, N * T if sequences else N, OUT)
    return x, y.reshape(N, T, *y.shape[1:]) if sequences else y


def with_padding(values, padding):
    found = values.astype(np.result_type(values, type(padding)))
    found[~COUNTS] = padding
    return found


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


def test_standardize_sees_no_padding(rng):
    x, y = data(rng)
    dirty = with_padding(x, 1e6)
    model = make(first=[fg.Standardize(F)])
    model.fit_input(dirty, lengths=LENGTHS)
    steps = x[COUNTS]
    np.testing.assert_allclose(model.buffers["0.mean"], steps.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(model.buffers["0.scale"], steps.std(axis=0), rtol=1e-14)
    other = make(first=[fg.Standardize(F)])
    fg.fit(other, dirty, y, lengths=LENGTHS, loss="mse", epochs=1)
    assert bits(other.flat_buffers) == bits(model.flat_buffers)
    with pytest.raises(ValueError, match="lengths are all 0"):
        model.fit_input(x, lengths=np.zeros(N, int))


def test_standardize_over_many_sequences(rng, tmp_path):
    x = rng.standard_normal((700, 4, 2))
    lengths = rng.integers(5, size=700)
    np.save(tmp_path / "x.npy", x)
    found = []
    for given in (x, FileRows(tmp_path / "x.npy", block_bytes=2000, window_blocks=2)):
        model = fg.Sequential(fg.Standardize(2), dtype="float64")
        model.fit_input(given, lengths=lengths)
        steps = x[np.arange(4) < lengths[:, None]]
        np.testing.assert_allclose(model.buffers["0.mean"], steps.mean(axis=0), atol=1e-15)
        found.append(model.buffers["0.scale"].copy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-14)


@pytest.mark.parametrize("sequences", [True, False])
def test_predictions_in_parts_and_from_files(sequences, rng, tmp_path):
    x, _ = data(rng)
    model = make("gru", sequences)
    np.save(tmp_path / "x.npy", x)
    whole = model.predict(x, lengths=LENGTHS)
    out = np.empty_like(whole)
    for size in (1, 2, 4, 9, 100):
        assert model.predict(x, size, out, LENGTHS) is out
        assert_close(out, whole, "float64", ROUNDINGS)
    rows = FileRows(tmp_path / "x.npy", block_bytes=150, window_blocks=4)
    assert_close(model.predict(rows, 2, lengths=LENGTHS), whole, "float64", ROUNDINGS)
    forward = model.forward(x, train=False, lengths=LENGTHS)
    assert_close(forward, whole, "float64", ROUNDINGS)


class Seen(fg.Layer):
    """The identity, which notes the shapes that pass."""

    def __init__(self):
        self.shapes = []

    def forward(self, x, params, train):
        self.shapes.append(x.shape)
        return x


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((3000, 2), 1024), ((3000, 4, 2), 1024), ((1100, 33, 1), 992), ((5, 40000, 1), 1)],
)
def test_predictions_take_bounded_memory(shape, rows):
    seen = Seen()
    fg.Sequential(seen, rng=0).predict(np.zeros(shape))
    assert max(s[0] for s in seen.shapes) == rows
    assert sum(s[0] for s in seen.shapes) == shape[0]


def test_a_layer_that_would_see_padding_says_so(rng):
    x, y = data(rng)
    norm = fg.Sequential(
        fg.GRU(F, H, return_sequences=True), fg.BatchNorm(H), fg.Dense(H, OUT), rng=0
    )
    flat = fg.Sequential(
        fg.GRU(F, H, return_sequences=True), fg.Flatten(T, H), fg.Dense(T * H, OUT), rng=0
    )
    late = fg.Sequential(fg.GRU(F, H), fg.BatchNorm(H), fg.Dense(H, OUT), rng=0)
    fg.Trainer(late, "mse").step(x, y[:, 0], lengths=LENGTHS)
    fg.Trainer(norm, "mse").step(x, y)
    for model, target, name in ((norm, y, "BatchNorm"), (flat, y[:, 0], "Flatten")):
        trainer = fg.Trainer(model, "mse")
        before = bits(model.flat_params, model.flat_buffers)
        for act in (trainer.step, trainer.epoch):
            with pytest.raises(ValueError, match=f"{name} would .* padding of sequences with len"):
                act(x, target, lengths=LENGTHS)
        with pytest.raises(ValueError, match="padding"):
            model.forward(x, lengths=LENGTHS)
        assert bits(model.flat_params, model.flat_buffers) == before
    norm.predict(x, lengths=LENGTHS)


LONG = LENGTHS.copy()
LONG[2] = 7
CASES = {
    "too few": (LENGTHS[:-1], ValueError, r"lengths has shape \(8,\), needs \(9,\)"),
    "a column": (LENGTHS[:, None], ValueError, r"lengths has shape \(9, 1\), needs \(9,\)"),
    "a number": (3, ValueError, r"lengths has shape \(\), needs \(9,\)"),
    "too long": (LONG, ValueError, r"lengths must lie in \[0, 6\], got 0 to 7"),
    "negative": (LENGTHS - 1, ValueError, r"lengths must lie in \[0, 6\], got -1 to 5"),
    "floats": (LENGTHS / 2, TypeError, "lengths must hold integers, got dtype float64"),
    "text": (LENGTHS.astype(str), TypeError, "lengths must hold real numbers, got dtype <U21"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_lengths_are_explained_and_do_no_harm(case, rng, tmp_path):
    lengths, kind, message = CASES[case]
    x, y = data(rng)
    model = make(first=[fg.Standardize(F)])
    model.fit_input(x)
    trainer = fg.Trainer(model, "mse")
    acts = [
        lambda: trainer.step(x, y, lengths=lengths),
        lambda: trainer.epoch(x, y, lengths=lengths),
        lambda: trainer.epoch(x, y, lengths=lengths, bptt=2),
        lambda: trainer.evaluate(x, y, lengths=lengths),
        lambda: trainer.loss_of(y, y, lengths=lengths),
        lambda: model.predict(x, lengths=lengths),
        lambda: model.forward(x, lengths=lengths),
        lambda: model.fit_input(x, lengths=lengths),
        lambda: fg.fit(model, x, y, loss="mse", lengths=lengths),
        lambda: fg.fit(model, x, y, loss="mse", validation=(x, y, lengths)),
        lambda: fg.fit(model, [(x, y, None, lengths)], loss="mse"),
        lambda: fg.gradcheck(model, x, lengths=lengths),
    ]
    before = bits(model.flat_params, model.flat_buffers)
    for act in acts:
        with pytest.raises(kind, match=message) as caught:
            act()
        assert type(caught.value) is kind
    assert bits(model.flat_params, model.flat_buffers) == before


def test_lengths_where_there_can_be_none(rng, tmp_path):
    x, y = data(rng)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    rows = FileRows(tmp_path / "x.npy", tmp_path / "y.npy")
    trainer = fg.Trainer(make(), "mse")
    for act in (trainer.epoch, lambda *a, **k: fg.fit(make(), *a, loss="mse", **k)):
        with pytest.raises(ValueError, match="lengths must not be given with FileRows"):
            act(rows, lengths=LENGTHS)
    with pytest.raises(ValueError, match="lengths must not be given with batches"):
        fg.fit(make(), [(x, y)], loss="mse", lengths=LENGTHS)
    dense = fg.Trainer(fg.Sequential(fg.Dense(F, OUT), rng=0), "mse")
    with pytest.raises(ValueError, match=r"lengths must not be given for rows \(9, 3\)"):
        dense.step(x[:, 0], y[:, 0], lengths=LENGTHS)


def test_words(rng):
    """Indices (N, T) are sequences, too."""
    words, labels = rng.integers(11, size=(N, T)), rng.integers(OUT, size=N)
    for first in (
        [fg.Embedding(11, F), fg.GRU(F, H)],
        [fg.GRU(11, H, one_hot=True)],
    ):
        losses = []
        for padding in (0, 10):
            model = fg.Sequential(*first, fg.Dense(H, OUT), rng=0)
            trainer = fg.Trainer(model, "cross_entropy", rng=0)
            given = with_padding(words, padding)
            losses.append([trainer.epoch(given, labels, 4, lengths=LENGTHS) for _ in range(3)])
            with pytest.raises(ValueError, match=r"lengths must lie in \[0, 6\]"):
                trainer.step(given, labels, lengths=LONG)
        assert losses[0] == losses[1]


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
