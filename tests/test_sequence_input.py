"""Lengths as they come in: statistics, predictions and files, and what is said of bad ones."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits
from padded import COUNTS, LENGTHS, OUT, ROUNDINGS, F, H, N, T, data, make, with_padding

import fastgrad as fg
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("recurrent")


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
