"""Passes of recurrent models in any order: no memory is given out while it is needed."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from nets import bits

import fastgrad as fg

CELLS = {
    "rnn": lambda **more: fg.RNN(3, 6, **more),
    "lstm": lambda **more: fg.LSTM(3, 6, peepholes=True, **more),
    "norm": lambda **more: fg.LSTM(3, 6, layer_norm=True, **more),
    "gru": lambda **more: fg.GRU(3, 6, **more),
    "original": lambda **more: fg.GRU(3, 6, reset_after=False, **more),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
OPTIONS = [{}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}]


def made(cell, **options):
    return fg.Sequential(cell(return_sequences=True, **options), rng=0, dtype="float64")


@cells
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("order", [(True, False, True), (False, True, False)], ids=str)
def test_backward_passes_of_both_kinds_do_not_disturb_each_other(
    recurrent, rng, cell, options, order
):
    model = made(cell, **options)
    x = rng.standard_normal((5, 4, 3))
    dy = rng.standard_normal(model.forward(x).shape)
    wanted = {}
    for input_grad in (True, False):  # each kind in a model of its own
        alone = made(cell, **options)
        alone.forward(x)
        wanted[input_grad] = bits(alone.backward(dy, input_grad), alone.flat_grads)
    for input_grad in order:
        model.forward(x)
        assert bits(model.backward(dy, input_grad), model.flat_grads) == wanted[input_grad]


def test_a_second_backward_pass_is_refused(recurrent, rng):
    model = made(CELLS["gru"])
    y = model.forward(rng.standard_normal((2, 4, 3)))
    model.backward(y)
    with pytest.raises(RuntimeError, match="needs another forward pass"):
        model.backward(y)
    model.forward(rng.standard_normal((2, 4, 3)))
    model.backward(y)


def test_a_learned_state_has_no_gradient_where_another_is_given(recurrent, rng):
    model = fg.Sequential(fg.LSTM(3, 6, learn_initial=True), rng=0, dtype="float64")
    x = rng.standard_normal((2, 4, 3))
    model.backward(np.ones_like(model.forward(x)))
    assert model.grads["0.initial_h_l0"].all()
    model.backward(np.ones_like(model.forward(x, states={})))
    assert not model.grads["0.initial_h_l0"].any()
    assert model.state_grads["0.h_l0"].all()


def test_gradients_of_states_are_those_of_the_backward_pass(recurrent, rng):
    model = made(CELLS["gru"])
    y = model.forward(rng.standard_normal((6, 4, 3)), states={})
    model.predict(rng.standard_normal((2, 4, 3)))
    model.backward(y)
    assert model.state_grads["0.h_l0"].shape == (6, 6)


def test_states_are_kept_as_long_as_a_pass_uses_them(recurrent, rng):
    model = made(CELLS["gru"])
    x = rng.standard_normal((1, 2, 3))
    model.predict(x)
    last = model.states["0.h_l0"]
    for rows in range(2, 30):
        model.predict(rng.standard_normal((rows, 2, 3)))
        assert model.states["0.h_l0"].shape == (rows, 6)
        model.predict(x)
        assert model.states["0.h_l0"].tobytes() == last.tobytes()
    gc.collect()
    assert [len(model._memory.of(rows)) for rows in range(1, 30)] == [1] + 25 * [0] + 3 * [1]


def test_evaluation_leaves_the_states_of_training_alone(recurrent, rng):
    model = fg.Sequential(fg.GRU(3, 6, stateful=True), fg.Dense(6, 1), rng=0)
    x, y = rng.standard_normal((4, 5, 3)), rng.standard_normal((4, 1))
    trainer = fg.Trainer(model, "mse", fg.SGD(0.1))
    trainer.step(x, y)
    assert trainer.evaluate(x, y) == trainer.evaluate(x, y)
    copy = fg.Sequential(fg.GRU(3, 6, stateful=True), fg.Dense(6, 1), rng=0)
    other = fg.Trainer(copy, "mse", fg.SGD(0.1))
    other.step(x, y)
    assert trainer.step(x, y) == other.step(x, y)


def test_a_summary_needs_no_shape(recurrent):
    model = fg.Sequential(fg.GRU(3, 6), fg.Dense(6, 1), rng=0)
    assert model.summary().layers[0].output_shape == (1, 6)
    letters = fg.Sequential(fg.Embedding(9, 3), fg.GRU(3, 6, return_sequences=True), rng=0)
    assert letters.summary().layers[1].output_shape == (1, 1, 6)


def test_the_range_test_refuses_stateful_layers(rng):
    model = fg.Sequential(fg.GRU(3, 6, stateful=True), fg.Dense(6, 1), rng=0)
    with pytest.raises(ValueError, match="layer 0 is stateful"):
        fg.lr_range_test(model, np.zeros((4, 5, 3)), np.zeros((4, 1)), loss="mse")
