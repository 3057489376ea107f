"""Padding may be anything: numbers that are none, indices out of range, weights below zero."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad import padding
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("recurrent")

N, T, F, H, OUT = 6, 5, 3, 4, 3
LENGTHS = np.array([5, 0, 3, 1, 4, 2])
PADDING = np.arange(T) >= LENGTHS[:, None]
CLEAN = 0
HUGE = 1e300  # beyond float32

REAL = {
    "dense": lambda: [fg.Dense(F, H, "relu"), fg.Dense(H, OUT)],
    "around": lambda: [fg.Residual(fg.Dense(F, F)), fg.Dense(F, OUT)],
    "around a recurrent layer": lambda: [
        fg.Residual(fg.GRU(F, F, return_sequences=True)),
        fg.Dense(F, OUT),
    ],
    "side by side": lambda: [
        fg.Parallel(fg.LSTM(F, H, return_sequences=True), fg.Dense(F, 2)),
        fg.Dense(H + 2, OUT),
    ],
    "norms": lambda: [
        fg.Standardize(F),
        fg.LayerNorm(F),
        fg.RNN(F, H, return_sequences=True, bidirectional=True),
        fg.RMSNorm(2 * H),
        fg.Dense(2 * H, OUT),
    ],
    "one output": lambda: [fg.GRU(F, H), fg.Dense(H, OUT)],
}
INDICES = {
    "embedding": lambda: [
        fg.Embedding(9, F),
        fg.Residual(fg.LSTM(F, F, return_sequences=True)),
        fg.Dense(F, OUT),
    ],
    "one hot": lambda: [fg.GRU(9, H, one_hot=True, return_sequences=True), fg.Dense(H, OUT)],
    "words, one output": lambda: [fg.Embedding(9, F), fg.LSTM(F, H), fg.Dense(H, OUT)],
}
MODELS = REAL | INDICES


def make(kind, dtype="float32"):
    return fg.Sequential(*MODELS[kind](), rng=0, dtype=dtype)


def sequences(kind):
    return "one output" not in kind


def data(kind, rng, loss):
    shape = (N, T) if sequences(kind) else (N,)
    x = rng.integers(9, size=(N, T)) if kind in INDICES else rng.standard_normal((N, T, F))
    return x, rng.integers(OUT, size=shape) if loss == "cross_entropy" else rng.uniform(
        size=(*shape, OUT)
    )


def dirty(values, real, index):
    """The same with something else in the padding."""
    found = values.copy()
    found[PADDING] = real if found.dtype.kind == "f" else index
    return found


GARBAGE = {
    "zeros": (0.0, 0),
    "none": (np.nan, -1),
    "infinite": (-np.inf, 10**12),
    "huge": (HUGE, -100),
}


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("kind", MODELS)
def test_it_changes_no_bit(kind, loss, rng, tmp_path):
    x, y = data(kind, rng, loss)
    weight = rng.uniform(0.5, 2, (N, T) if sequences(kind) else N)
    found = {}
    for name, values in GARBAGE.items():
        own_x = dirty(x, *values)
        own_y, own_weight = (
            (dirty(a, *values) for a in (y, weight)) if sequences(kind) else (y, weight)
        )
        model = make(kind)
        run = fg.fit(
            model,
            own_x,
            own_y,
            loss=loss,
            sample_weight=own_weight,
            lengths=LENGTHS,
            validation=(own_x, own_y, LENGTHS),
            epochs=2,
            batch_size=4,
            rng=0,
        )
        trainer = run.trainer
        numbers = [*run.history["loss"], *run.history["val_loss"]]
        numbers += [
            trainer.step(own_x, own_y, own_weight, LENGTHS),
            trainer.epoch(own_x, own_y, 4, True, own_weight, LENGTHS),
            trainer.evaluate(own_x, own_y, own_weight, 4, LENGTHS),
        ]
        fg.fit(model, [(own_x, own_y, own_weight, LENGTHS)], loss=loss, epochs=1)
        z = model.predict(own_x, 4, lengths=LENGTHS)
        np.save(tmp_path / "x.npy", own_x)
        rows = FileRows(tmp_path / "x.npy", block_bytes=100, window_blocks=4)
        again = model.predict(rows, 4, lengths=LENGTHS)
        counted = ~PADDING if sequences(kind) else slice(None)
        arrays = [np.array(numbers), model.flat_params, model.flat_buffers, z[counted]]
        arrays.append(again[counted])
        tried = fg.lr_range_test(
            model, own_x, own_y, loss=loss, lengths=LENGTHS, steps=5, rng=0, high=1e-3
        )
        found[name] = bits(*arrays, tried.losses)
    assert len(set(found.values())) == 1


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("bptt", [1, 2, 4])
@pytest.mark.parametrize("kind", ["one hot", "around a recurrent layer", "one output"])
def test_it_changes_no_window(kind, bptt, rng):
    x, y = data(kind, rng, "cross_entropy")
    found = set()
    for values in GARBAGE.values():
        labels = dirty(y, *values) if sequences(kind) else y
        trainer = fg.Trainer(make(kind), "cross_entropy", rng=0)
        loss = trainer.epoch(dirty(x, *values), labels, 3, lengths=LENGTHS, bptt=bptt)
        found.add(bits(np.array(loss), trainer.model.flat_params))
    assert len(found) == 1


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("kind", MODELS)
def test_passes_by_hand(kind, rng):
    """What is handed back counts for nothing there, either."""
    x, _ = data(kind, rng, "mse")
    found = set()
    dy = rng.standard_normal((N, T, OUT) if sequences(kind) else (N, OUT))
    for values in GARBAGE.values():
        model = make(kind)
        if kind == "norms":
            model.fit_input(dirty(x, *values), lengths=LENGTHS)
        model.forward(dirty(x, *values), lengths=LENGTHS)
        given = dirty(dy, *values) if sequences(kind) else dy
        dx = model.backward(given, input_grad=kind in REAL)
        if dx is not None:
            assert not dx[PADDING].any()
        found.add(bits(model.flat_grads, *([] if dx is None else [dx])))
    assert len(found) == 1


@pytest.mark.parametrize("loss", [None, "mse"])
@pytest.mark.parametrize("kind", MODELS)
def test_gradients_are_finite_differences(kind, loss, rng):
    x, y = data(kind, rng, "mse")
    model = make(kind, "float64")
    if kind == "norms":
        model.fit_input(x)
    garbage = dirty(x, np.nan, -1)
    assert fg.gradcheck(model, garbage, loss=loss, y=None if loss is None else y, lengths=LENGTHS)


def test_what_users_give_stays_theirs(rng):
    x, y = data("around", rng, "mse")
    x, y = dirty(x, np.nan, 0).astype(np.float32), dirty(y, np.inf, 0).astype(np.float32)
    before = bits(x, y)
    trainer = fg.Trainer(make("around"), "mse")
    trainer.epoch(x, y, lengths=LENGTHS)
    trainer.model.predict(x, lengths=LENGTHS)
    assert bits(x, y) == before


def test_steps_that_count_are_looked_at(rng):
    x, y = data("around", rng, "mse")
    words, labels = data("one hot", rng, "cross_entropy")
    lengths = LENGTHS + (LENGTHS < T)
    trainer = fg.Trainer(make("around"), "mse")
    with pytest.raises(ValueError, match=r"X has 15 values .* first is nan at index \(1, 0, 0\)"):
        trainer.epoch(dirty(x, np.nan, 0), y, lengths=lengths)
    with pytest.raises(ValueError, match="y has 15 values that are not finite"):
        trainer.epoch(x, dirty(y, np.nan, 0), lengths=lengths)
    classes = fg.Trainer(make("one hot"), "cross_entropy")
    with pytest.raises(ValueError, match=r"x must lie in \[0, 9\), got -1 at index \(1, 0\)"):
        classes.step(dirty(words, 0, -1), labels, lengths=lengths)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 3\), got -1 to 2"):
        classes.step(words, dirty(labels, 0, -1), lengths=lengths)


def test_clean_values_are_not_copied(rng):
    x = dirty(rng.standard_normal((N, T, F)), 0, 0)
    assert padding.cleared(x, LENGTHS) is x
    assert padding.cleared(x, None) is x


NONE = np.zeros(N, int)
ONLY_PADDING = PADDING.astype(float)
ONLY_EMPTY = (LENGTHS == 0).astype(float)


@pytest.mark.parametrize("weight", [ONLY_PADDING, ONLY_EMPTY], ids=["steps", "rows"])
def test_weights_of_padding_alone_are_none(weight, rng):
    x, y = data("around", rng, "mse")
    model = make("around")
    trainer, before = fg.Trainer(model, "mse"), bits(model.flat_params)
    given = {"sample_weight": weight, "lengths": LENGTHS}
    for act in (
        lambda: trainer.step(x, y, **given),
        lambda: trainer.epoch(x, y, **given),
        lambda: trainer.evaluate(x, y, **given),
        lambda: fg.fit(model, x, y, loss="mse", **given),
        lambda: fg.lr_range_test(model, x, y, loss="mse", **given),
    ):
        with pytest.raises(ValueError, match=r"sample_weight (must not be .* all 0|is 0 for all)"):
            act()
    assert bits(model.flat_params) == before


def test_no_step_at_all(rng):
    x, y = data("around a recurrent layer", rng, "mse")
    model = make("around a recurrent layer")
    trainer, before = fg.Trainer(model, "mse"), bits(model.flat_params)
    how = {"loss": "mse", "epochs": 1, "rng": 0}
    mostly = NONE.copy()
    mostly[0] = T
    for act in (
        lambda: trainer.epoch(x, y, lengths=NONE),
        lambda: trainer.epoch(x, y, lengths=NONE, bptt=2),
        lambda: trainer.evaluate(x, y, lengths=NONE),
        lambda: trainer.loss_of(y, y, lengths=NONE),
        lambda: fg.fit(model, x, y, lengths=NONE, **how),
        lambda: fg.fit(model, x, y, validation=(x, y, NONE), **how),
        lambda: fg.fit(model, x, y, lengths=mostly, validation=0.5, **how),
        lambda: fg.lr_range_test(model, x, y, loss="mse", lengths=NONE),
    ):
        with pytest.raises(ValueError, match="lengths are all 0: no step counts"):
            act()
    assert bits(model.flat_params) == before
    for weight in (None, np.ones(N), ONLY_PADDING):
        assert trainer.step(x, y, weight, NONE) == 0  # a minibatch may be like that
