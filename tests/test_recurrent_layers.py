"""Recurrent layers: what has to be the same, however it is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, kinds
from nets import assert_close, bits

import fastgrad as fg
from fastgrad import backends

LENGTHS = np.array([4, 9, 1, 0, 9, 6, 2])


def model_of(kind, inputs=3, units=5, dtype="float64", **options):
    """A model of one layer, none of whose parameters is 0."""
    layer, own = KINDS[kind]
    model = fg.Sequential(layer(inputs, units, **own, **options), rng=0, dtype=dtype)
    for name, view in model.params.items():
        rng = np.random.default_rng([ord(c) for c in name])
        view[...] = rng.standard_normal(view.shape) / np.sqrt(units)
    return model


def both_ways(model, x, dy, **how):
    """Outputs, final states and all gradients, by name."""
    found = {"y": model.forward(x, **how), **model.states}
    dx = model.backward(dy, model.indices is None)
    found |= {f"grad {name}": view.copy() for name, view in model.grads.items()}
    return found if dx is None else found | {"dx": dx}


def same(got, wanted, roundings=None, rows=slice(None)):
    """All of these, bit for bit or up to so many roundings; `rows` of what has sequences."""
    assert got.keys() == wanted.keys()
    for name, array in got.items():
        other = wanted[name] if "grad" in name else wanted[name][rows]
        if roundings is None:
            assert bits(array) == bits(other), name
        else:
            assert_close(array, other, array.dtype, roundings, name)


def batch(rng, *shape, units=5):
    return rng.standard_normal((*shape, 3)), rng.standard_normal((*shape, units))


def flipped(x, lengths):
    y = x.copy()
    for row, length in zip(y, lengths, strict=True):
        row[:length] = row[:length][::-1]
    return y


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@kinds
def test_reverse_is_the_layer_of_flipped_sequences(level, rng, dtype, kind, lengths):
    """Each within its length."""
    x, dy = batch(rng, 7, 9)
    steps = np.full(7, 9) if lengths is None else lengths
    how = {"dtype": dtype, "return_sequences": True}
    got = both_ways(model_of(kind, reverse=True, **how), x, dy, lengths=lengths)
    wanted = both_ways(
        model_of(kind, **how), flipped(x, steps), flipped(dy, steps), lengths=lengths
    )
    wanted |= {name: flipped(wanted[name], steps) for name in ("y", "dx")}
    same(got, wanted)


@kinds
def test_two_directions_are_two_layers(level, rng, kind):
    """Up to the sum of what both make of the gradient of x."""
    x, dy = batch(rng, 7, 9, units=10)
    model = model_of(kind, bidirectional=True, return_sequences=True)
    got = both_ways(model, x, dy, lengths=LENGTHS)
    dx = 0
    for i, end in enumerate(("", "_reverse")):
        one = model_of(kind, return_sequences=True, reverse=i == 1)
        for name in one.params:
            one.params[name] = model.params[name + end]
        columns = slice(5 * i, 5 * i + 5)
        wanted = both_ways(one, x, np.ascontiguousarray(dy[..., columns]), lengths=LENGTHS)
        assert bits(got["y"][..., columns]) == bits(wanted["y"])
        for name in one.params:
            assert bits(got[f"grad {name}{end}"]) == bits(wanted[f"grad {name}"])
        dx = dx + wanted["dx"]
    assert bits(got["dx"]) == bits(dx)


@pytest.mark.parametrize("sequences", [True, False])
@kinds
def test_levels_are_layers(level, rng, kind, sequences):
    x, dy = batch(rng, 7, 9)
    dy = dy if sequences else dy[:, 0]
    model = model_of(kind, num_layers=3, return_sequences=sequences)
    layer, own = KINDS[kind]
    options = [(3, True), (5, True), (5, sequences)]
    layers = [layer(i, 5, **own, return_sequences=s) for i, s in options]
    apart = fg.Sequential(*layers, rng=0, dtype="float64")
    for name in apart.params:
        i, rest = name.split(".")
        apart.params[name] = model.params[f"0.{rest[:-1]}{i}"]
    got, wanted = both_ways(model, x, dy, lengths=LENGTHS), both_ways(apart, x, dy, lengths=LENGTHS)
    assert bits(got["y"], got["dx"]) == bits(wanted["y"], wanted["dx"])
    assert [bits(v) for v in model.grads.values()] == [bits(v) for v in apart.grads.values()]


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("more", [{}, {"bidirectional": True, "num_layers": 2}], ids=["one", "all"])
@kinds
def test_padding_changes_nothing(level, rng, dtype, kind, more, sequences):
    """Neither its inputs nor the gradients of its outputs; its own are 0."""
    x, dy = batch(rng, 7, 9, units=10 if more else 5)
    dy = dy if sequences else dy[:, 0]
    model = model_of(kind, dtype=dtype, return_sequences=sequences, **more)
    padding = np.arange(9) >= LENGTHS[:, None]
    results = []
    for filler in (0, 1, 1e30):
        x[padding] = filler
        if sequences:
            dy[padding] = filler
        results.append(both_ways(model, x, dy, lengths=LENGTHS))
        assert not results[-1]["dx"][padding].any()
        if sequences:
            assert not results[-1]["y"][padding].any()
    same(results[0], results[1])
    same(results[0], results[2])
    states = model.states
    assert not any(states[name][3].any() for name in states)  # that of an empty sequence


@pytest.mark.parametrize("units", [5, 33])
@kinds
def test_a_batch_in_another_order(level, rng, dtype, kind, units):
    """Outputs and gradients of inputs move with it; sums over the batch may be rounded."""
    x, dy = batch(rng, 7, 9, units=units)
    model = model_of(kind, units=units, dtype=dtype, return_sequences=True, bidirectional=False)
    got = both_ways(model, x, dy, lengths=LENGTHS)
    order = rng.permutation(7)
    moved = both_ways(model, x[order], dy[order], lengths=LENGTHS[order])
    for name in got:
        if "grad" in name:
            # a sum of 40 rows, of terms about as large as the largest sum
            assert_close(moved[name], got[name], dtype, 4 * 40, name)
        elif level == "reference":  # whose products depend on where a row lies
            assert_close(moved[name], got[name][order], dtype, 9 * units, name)
        else:
            assert bits(moved[name]) == bits(got[name][order]), name


@pytest.mark.parametrize("units", [1, 5, 16, 33, 100])
@kinds
def test_one_sequence_is_a_row_of_a_batch(level, rng, dtype, kind, units):
    """Whatever the others are, and with or without lengths."""
    x, dy = batch(rng, 12, 6, units=units)
    model = model_of(kind, units=units, dtype=dtype, return_sequences=True)
    y = model.forward(x)
    dx = model.backward(dy)
    for i in (0, 5, 11):
        for lengths in (None, [6]):
            one = model.forward(x[i : i + 1], lengths=lengths)
            back = model.backward(dy[i : i + 1])
            if level == "reference":
                assert_close(one, y[i : i + 1], dtype, 6 * units)
                assert_close(back, dx[i : i + 1], dtype, 4 * 6 * units)
            else:
                assert bits(one, back) == bits(y[i], dx[i])


@kinds
def test_lengths_of_all_steps_are_none(level, rng, dtype, kind):
    for shape in ((7, 9), (1, 9), (7, 1), (1, 1)):
        x, dy = batch(rng, *shape)
        model = model_of(kind, dtype=dtype, return_sequences=True)
        got = both_ways(model, x, dy, lengths=[shape[1]] * shape[0])
        same(got, both_ways(model, x, dy))


@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"bidirectional": True}], ids=str)
@kinds
def test_one_hot_inputs(level, rng, dtype, kind, options):
    """As of the vectors, which have one 1; sums over the batch may be rounded in another order."""
    indices = rng.integers(4, size=(7, 9))
    indices[:, 0] = [3, 3, 3, 0, 0, 2, 1]
    units = 10 if "bidirectional" in options else 5
    dy = rng.standard_normal((7, 9, units))
    how = {"dtype": dtype, "return_sequences": True, **options}
    for lengths in (None, LENGTHS):
        got = both_ways(model_of(kind, 4, one_hot=True, **how), indices, dy, lengths=lengths)
        wanted = both_ways(model_of(kind, 4, **how), np.eye(4)[indices], dy, lengths=lengths)
        del wanted["dx"]
        assert got.keys() == wanted.keys()
        for name in got:
            roundings = 4 * 63 if "weight_ih" in name or "ih_weight" in name else 0
            assert_close(got[name], wanted[name], dtype, roundings, f"{name} {lengths}")


@kinds
def test_a_stateful_layer_goes_on(level, rng, dtype, kind):
    """Two calls are one, of outputs and of states; until it is told to forget."""
    x, _ = batch(rng, 4, 10)
    whole = model_of(kind, dtype=dtype, return_sequences=True)
    y = whole.forward(x)
    model = model_of(kind, dtype=dtype, return_sequences=True, stateful=True)
    for _ in range(2):
        first, second = model.forward(x[:, :6]), model.forward(x[:, 6:])
        assert bits(np.concatenate([first, second], axis=1)) == bits(y)
        assert {k: bits(v) for k, v in model.states.items()} == {
            k: bits(v) for k, v in whole.states.items()
        }
        model.reset_states()


@kinds
def test_given_states_go_on_as_well(level, rng, kind):
    """And gradients go back through them: of two parts as of the whole."""
    x, dy = batch(rng, 4, 10)
    model = model_of(kind, return_sequences=True, num_layers=2)
    wanted = both_ways(model, x, dy)
    first = model.forward(x[:, :6])
    states = model.states
    second = model.forward(x[:, 6:], states=states)
    assert bits(np.concatenate([first, second], axis=1)) == bits(wanted["y"])
    late = model.backward(dy[:, 6:])
    sums = {name: view.copy() for name, view in model.grads.items()}
    d_states = model.state_grads
    model.forward(x[:, :6], states={})
    early = model.backward(dy[:, :6], d_states=d_states)
    assert_close(np.concatenate([early, late], axis=1), wanted["dx"], np.float64, 100)
    for name, view in model.grads.items():
        assert_close(view + sums[name], wanted[f"grad {name}"], np.float64, 400, name)


@pytest.mark.parametrize("sequences", [True, False])
@kinds
def test_ten_thousand_steps(level, rng, kind, sequences):
    if level == "reference":
        pytest.skip("each step is a loop in Python")
    model = model_of(kind, units=2, return_sequences=sequences)
    x = rng.standard_normal((1, 10_000, 3))
    y = model.forward(x)
    dx = model.backward(np.ones_like(y))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()
    assert all(np.isfinite(view).all() for view in model.grads.values())


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(list(KINDS)),
    # inputs of one or two steps alone are multiplied as dot products, which round in another order
    lengths=st.lists(st.sampled_from([0, 3, 4, 5, 6, 7]), min_size=1, max_size=20),
    more=st.integers(0, 3),
    units=st.integers(1, 20),
    bidirectional=st.booleans(),
    threads=st.sampled_from([1, 2, 3]),
)
def test_a_sequence_does_not_know_of_padding_or_others(
    kind, lengths, more, units, bidirectional, threads
):
    """Alone and cut to its length it gives the same, on any number of threads."""
    rng = np.random.default_rng(0)
    before = backends.num_threads()
    model = model_of(kind, units=units, return_sequences=True, bidirectional=bidirectional)
    x = rng.standard_normal((len(lengths), max(lengths) + more or 1, 3))
    backends.set_num_threads(threads)
    y = model.forward(x, lengths=lengths)
    dx = model.backward(np.ones_like(y))
    backends.set_num_threads(1)
    for i, length in enumerate(lengths):
        if length:
            alone = model.forward(x[i : i + 1, :length])
            assert bits(alone) == bits(y[i, :length])
            assert bits(model.backward(np.ones_like(alone))) == bits(dx[i, :length])
    backends.set_num_threads(before)
