"""`Session`: calls in a row are one pass over a sequence."""

from __future__ import annotations

import copy
import pickle
import re

import numpy as np
import pytest

import fastgrad as fg
from fastgrad import backends

CELLS = {
    "rnn": lambda **more: fg.RNN(3, 20, "gelu", **more),
    "lstm": lambda **more: fg.LSTM(3, 20, num_layers=2, peepholes=True, **more),
    "gru": lambda **more: fg.GRU(3, 20, **more),
    "original": lambda **more: fg.GRU(3, 20, reset_after=False, **more),
    "norm": lambda **more: fg.LSTM(3, 20, layer_norm=True, **more),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


@cells
@pytest.mark.parametrize("sequences", [1, 5])
def test_calls_in_a_row_are_one_sequence(recurrent, rng, cell, sequences):
    model = fg.Sequential(cell(return_sequences=True), fg.Dense(20, 2), rng=0, dtype="float64")
    x = rng.standard_normal((sequences, 9, 3))
    whole = model.predict(x)
    session = fg.Session(model, (sequences, 1, 3))
    for _ in range(2):  # and once more from the start
        steps = [session(x[:, t : t + 1]) for t in range(9)]
        np.testing.assert_allclose(np.concatenate(steps, axis=1), whole, rtol=1e-12, atol=1e-14)
        session.reset()


@cells
def test_weights_are_those_of_the_last_refresh(recurrent, rng, cell):
    model = fg.Sequential(cell(), rng=0, dtype="float64")
    session = fg.Session(model, (2, 1, 3))
    x = rng.standard_normal((2, 1, 3))
    before = session(x)
    model.flat_params[...] *= 1.5
    session.reset()
    assert session(x).tobytes() == before.tobytes()
    session.reset()
    session.refresh()
    after = session(x)
    np.testing.assert_allclose(after, model.predict(x), rtol=1e-12)
    assert abs(after - before).max() > 1e-3


def test_the_state_outlives_a_refresh(recurrent, rng):
    model = fg.Sequential(fg.GRU(3, 8), rng=0, dtype="float64")
    session, other = (fg.Session(model, (1, 1, 3)) for _ in range(2))
    for x in rng.standard_normal((4, 1, 1, 3)):
        session.refresh()
        assert session(x).tobytes() == other(x).tobytes()


def test_a_session_leaves_the_states_of_its_model_alone(recurrent, rng):
    model = fg.Sequential(fg.LSTM(3, 8, stateful=True), rng=0, dtype="float64")
    x = rng.standard_normal((1, 1, 3))
    first = model.predict(x)
    session = fg.Session(model, (1, 1, 3))
    np.testing.assert_allclose(session(x), first, rtol=1e-12)
    model.reset_states()
    np.testing.assert_allclose(model.predict(x), first, rtol=1e-12)


def test_models_without_states_have_sessions(rng):
    model = fg.Sequential(fg.Dense(3, 8, "tanh"), fg.BatchNorm(8), fg.Dense(8, 2), rng=0)
    session = fg.Session(model, (4, 3))
    for x in rng.standard_normal((3, 4, 3)):
        assert session(x).tobytes() == model.predict(x).tobytes()
    assert session([[0.0, 1, 2]] * 4).shape == (4, 2)


def test_indices(recurrent, rng):
    model = fg.Sequential(fg.GRU(7, 8, one_hot=True), rng=0, dtype="float64")
    session = fg.Session(model, (1, 1))
    letters = rng.integers(7, size=(1, 6))
    for t in range(6):
        last = session(letters[:, t : t + 1])
    np.testing.assert_allclose(last, model.predict(letters), rtol=1e-12)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 7\), got 7"):
        session(np.array([[7]]))


@cells
@pytest.mark.parametrize("shape", [(2, 1), (3, 7)], ids=str)
def test_tables_of_indices(recurrent, rng, cell, shape):
    model = fg.Sequential(cell(one_hot=True), rng=0, dtype="float64")
    session = fg.Session(model, shape)
    for _ in range(2):
        for letters in rng.integers(3, size=(2, *shape)):
            session.reset()
            np.testing.assert_allclose(session(letters), model.predict(letters), rtol=1e-12)
        model.flat_params[...] *= 1.5
        session.refresh()


@cells
def test_no_layer_writes_where_another_has_its_weights(recurrent, rng, cell):
    """A layer-normalized one gives more of its memory back than others need."""
    first = fg.LSTM(3, 64, layer_norm=True, return_sequences=True)
    model = fg.Sequential(first, fg.Dense(64, 3), cell(), rng=0, dtype="float64")
    session = fg.Session(model, (2, 5, 3))
    for x in rng.standard_normal((3, 2, 5, 3)):
        session.reset()
        np.testing.assert_allclose(session(x), model.predict(x), rtol=1e-11, atol=1e-14)


def test_what_depends_on_weights_alone_is_made_once(monkeypatch, rng):
    backend, made = backends.load("reference"), []

    def counted(kernel):
        raw = backend.raw(kernel)
        return lambda *values: (made.append(kernel), raw(*values))

    for kernel in ("gate_table", "gate_bias", "layer_norm_forward", "fill_rows"):
        monkeypatch.setitem(backend._raw, kernel, counted(kernel))
    monkeypatch.setattr(backends, "_active", backend)
    layer = fg.LSTM(3, 4, layer_norm=True, one_hot=True)
    session = fg.Session(fg.Sequential(layer, rng=0), (1, 1))
    assert set(made) == {"gate_table", "gate_bias", "layer_norm_forward", "fill_rows"}
    made.clear()
    session([[1]])
    assert not made
    session.refresh()
    assert "gate_table" in made


def test_each_result_is_its_own(rng):
    session = fg.Session(fg.Sequential(fg.Dense(2, 2), rng=0), (1, 2))
    first = session(np.ones((1, 2)))
    kept = first.copy()
    session(np.zeros((1, 2)))
    assert first.tobytes() == kept.tobytes()


@pytest.mark.parametrize("x", [np.zeros((1, 2, 3)), np.zeros(3), np.zeros((2, 1, 3))])
def test_another_shape_is_refused(x):
    session = fg.Session(fg.Sequential(fg.GRU(3, 4), rng=0), (1, 1, 3))
    with pytest.raises(ValueError, match=r"x has shape .*, needs \(1, 1, 3\)"):
        session(x)


SHAPES = [
    ((1, 1, 4), ValueError, "x has shape (1, 1, 4), needs (N, T, 3)"),
    ((1, 4), ValueError, "x has shape (1, 4), needs (N, T, 3)"),
    ((1, 3), ValueError, "GRU needs sequences (N, T, 3), got shape (1, 3)"),
    ((), ValueError, "x has shape (), needs (N, T, 3)"),
    ((1, 0, 3), ValueError, "shape must be at least 1 along each axis, got (1, 0, 3)"),
    ((-1, 1, 3), ValueError, "shape must be at least 1 along each axis, got (-1, 1, 3)"),
    ((None, 1, 3), TypeError, "shape must be integers alone, got (None, 1, 3)"),
    ((1, 1.0, 3), TypeError, "shape must be integers alone, got (1, 1.0, 3)"),
    ((True, 1, 3), TypeError, "shape must be integers alone, got (True, 1, 3)"),
    (3, TypeError, "shape must be a tuple of integers, got 3"),
    (None, TypeError, "shape must be a tuple of integers, got None"),
    ("113", TypeError, "shape must be a tuple of integers, got '113'"),
]


@pytest.mark.parametrize(("shape", "error", "message"), SHAPES)
def test_a_shape_that_the_model_does_not_take_is_refused(shape, error, message):
    with pytest.raises(error, match=re.escape(message)):
        fg.Session(fg.Sequential(fg.GRU(3, 4), rng=0), shape)


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_session_is_not_copied(duplicate):
    session = fg.Session(fg.Sequential(fg.GRU(3, 4), rng=0), (1, 1, 3))
    with pytest.raises(TypeError, match=r"a Session cannot be copied or pickled: .* its model"):
        duplicate(session)


@pytest.mark.parametrize("option", ["bidirectional", "reverse", "learn_initial"])
def test_layers_that_do_not_go_on_are_refused(option):
    model = fg.Sequential(fg.Dense(3, 4), fg.GRU(4, 4, **{option: True}), rng=0)
    with pytest.raises(ValueError, match=f"layer 1 has {option}"):
        fg.Session(model, (1, 1, 3))


@pytest.mark.parametrize("x", [np.zeros((1, 1, 3), complex), np.zeros((1, 1, 3), "U1")])
def test_other_kinds_of_numbers_are_refused(x):
    session = fg.Session(fg.Sequential(fg.GRU(3, 4), rng=0), (1, 1, 3))
    with pytest.raises(TypeError, match="x must hold real numbers"):
        session(x)
