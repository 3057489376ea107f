"""`Sequential`: its parameters, and its passes against plain NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import ACTIVATIONS, LOSSES, assert_close, bits, chain, network, targets

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")


def passes(model, x, dy):
    """Output, gradients by name and that of x, as `network` returns them."""
    y = model.forward(x)
    dx = model.backward(dy)
    return y, {name: view.copy() for name, view in model.grads.items()}, dx


def check(model, x, dy):
    """Both passes are those of NumPy, but for rounding."""
    dense = [layer for layer in model.layers if isinstance(layer, fg.Dense)]
    got = passes(model, x, dy)
    wanted = network(model.params, [layer.activation for layer in dense], x, dy)
    rows = x.size // x.shape[-1]
    roundings = 2 * sum(layer.inputs + layer.outputs + 20 for layer in dense) + rows
    assert [*got[1]] == [*model.params]
    for name in got[1]:
        assert_close(got[1][name], wanted[1][name], model.dtype, roundings, name)
    for k, name in ((0, "y"), (2, "dx")):
        assert got[k].dtype == model.dtype
        assert got[k].shape == wanted[k].shape
        assert_close(got[k], wanted[k], model.dtype, roundings, name)


def test_parameters_have_the_names_and_shapes_of_pytorch():
    model = fg.Sequential(
        fg.Dense(5, 8, "tanh"), fg.Activation("relu"), fg.Dense(8, 3, bias=False), rng=0
    )
    shapes = {"0.weight": (8, 5), "0.bias": (8,), "2.weight": (3, 8)}
    assert {name: view.shape for name, view in model.params.items()} == shapes
    assert {name: view.shape for name, view in model.grads.items()} == shapes
    assert model.num_parameters == 40 + 8 + 24
    assert (model.inputs, model.outputs, model.dtype) == (5, 3, np.float32)


def test_views_and_arenas_are_the_same_memory(dtype):
    model = chain(5, 8, 3, dtype=dtype)
    model.params["0.bias"][...] = 7
    model.params["1.weight"] = np.arange(24).reshape(3, 8)
    assert np.count_nonzero(model.flat_params == 7) == 8 + 1
    model.flat_params[...] = 2
    assert all((view == 2).all() for view in model.params.values())
    for arena, views in ((model.flat_params, model.params), (model.flat_grads, model.grads)):
        for array in (arena, *views.values()):
            assert array.ctypes.data % 64 == 0
            assert np.shares_memory(array, arena)


def test_what_lies_between_two_parameters_stays_zero(dtype):
    model = chain(5, 8, 3, dtype=dtype)
    trainer = fg.Trainer(model, "mse", fg.AdamW(0.1), clip=fg.GradFloor(1.0))
    for _ in range(3):
        trainer.step(np.ones((4, 5)), np.ones((4, 3)))
    for flat, views in ((model.flat_params, model.params), (model.flat_grads, model.grads)):
        total = sum(view.astype(np.float64).sum() for view in views.values())
        for view in views.values():
            view[...] = 0
        assert total != 0
        assert not flat.any()


@pytest.mark.parametrize("shape", [(1,), (13,), (3, 4)], ids=["one row", "rows", "sequences"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_passes_are_those_of_numpy(activation, shape, dtype, rng):
    model = chain(5, 8, 7, 3, activation=activation, dtype=dtype)
    check(model, rng.standard_normal((*shape, 5)), rng.standard_normal((*shape, 3)))


def test_passes_are_those_of_numpy_at_every_width(rng):
    for width in range(1, 71):
        model = chain(width, 71 - width, width, bias=width % 3 > 0)
        check(model, rng.standard_normal((4, width)), rng.standard_normal((4, width)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_layer_is_that_of_a_dense_one(activation, dtype, rng):
    x, dy = rng.standard_normal((9, 5)), rng.standard_normal((9, 8))
    fused = chain(5, 8, 8, activation=activation, dtype=dtype)
    dense = [fg.Dense(i, o, bias_init="ones") for i, o in ((5, 8), (8, 8))]
    apart = fg.Sequential(dense[0], fg.Activation(activation), dense[1], dtype=dtype)
    for mine, theirs in zip(apart.params.values(), fused.params.values(), strict=True):
        mine[...] = theirs
    (y, grads, dx), (wanted_y, wanted_grads, wanted_dx) = (
        passes(model, x, dy) for model in (apart, fused)
    )
    of_fused = (wanted_y, wanted_dx, *wanted_grads.values())
    for got, wanted in zip((y, dx, *grads.values()), of_fused, strict=True):
        assert_close(got, wanted, dtype, 2 * (5 + 8 + 8 + 40) + 9)


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(1, 40), size=st.integers(1, 50))
def test_predict_is_forward_whatever_the_batch_size(rows, size):
    model = chain(5, 9, 3, activation="gelu")
    x = np.random.default_rng(rows).standard_normal((rows, 5))
    whole = model.forward(x)
    assert bits(model.forward(x, train=False)) == bits(whole) == bits(model.predict(x, rows))
    assert_close(model.predict(x, size), whole, model.dtype, 5 + 9 + 40, f"batches of {size}")


def test_the_gradient_of_the_input_is_optional(rng):
    model = chain(5, 8, 3)
    x, dy = rng.standard_normal((6, 5)), rng.standard_normal((6, 3))
    model.forward(x)
    assert model.backward(dy, input_grad=False) is None
    without = bits(model.flat_grads)
    assert model.backward(dy).shape == x.shape
    assert bits(model.flat_grads) == without


def test_results_are_copies(rng):
    model = chain(5, 8, 3)
    x, dy = rng.standard_normal((6, 5)), rng.standard_normal((6, 3))
    results = model.forward(x), model.backward(dy), model.predict(x)
    before = bits(*results)
    model.forward(-x), model.backward(-dy), model.predict(-x)
    assert bits(*results) == before


def test_a_look_at_other_data_leaves_the_forward_pass_alone(rng):
    model = chain(5, 8, 3, activation="gelu")
    x, dy = rng.standard_normal((6, 5)), rng.standard_normal((6, 3))
    y, grads, dx = passes(model, x, dy)
    for rows in (6, 1, 2, 3, 4, 5, 50):  # more shapes than are remembered
        model.forward(rng.standard_normal((rows, 5)))
    model.forward(x)
    for rows in (6, 1, 2, 3, 4, 5, 50):
        model.predict(rng.standard_normal((rows, 5)))
    trainer = fg.Trainer(model, "mse")
    trainer.evaluate(-x, dy)
    again = model.backward(dy)
    assert bits(again, *model.grads.values()) == bits(dx, *grads.values())
    assert bits(model.forward(x)) == bits(y)


def test_backward_goes_with_the_last_forward(rng):
    model = chain(5, 8, 3)
    small, large = rng.standard_normal((2, 5)), rng.standard_normal((30, 5))
    for first, x in ((small, large), (large, small)):
        model.forward(first)
        check(model, x, rng.standard_normal((len(x), 3)))
    model.forward(small, train=False)
    with pytest.raises(RuntimeError, match=r"forward\(x, train=True\)"):
        model.backward(np.ones((2, 3)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck_of_every_activation(activation, rng):
    model = chain(4, 6, 3, activation=activation, dtype="float64")
    found = fg.gradcheck(model, rng.standard_normal((5, 4)))
    assert found, found
    assert [*found.errors] == ["x", *model.params]


@pytest.mark.parametrize("shape", [(5,), (2, 3)], ids=["rows", "sequences"])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck_of_every_loss(loss, shape, rng):
    model = chain(4, 6, 3, dtype="float64")
    y = targets(loss, rng, np.prod(shape), 3)
    y = y.reshape(*shape, *y.shape[1:])
    found = fg.gradcheck(model, rng.standard_normal((*shape, 4)), loss=loss, y=y)
    assert found, found


def test_gradcheck_finds_what_is_wrong(rng):
    class Wrong(fg.Activation):
        def backward(self, dy, params, grads):
            return 1.01 * dy

        def forward(self, x, params, train):
            return x

        record = fg.Layer.record

    found = fg.gradcheck(fg.Sequential(Wrong("relu"), dtype="float64"), np.ones((2, 3)))
    assert not found
    assert "<-- too large" in repr(found)


def test_both_dtypes_start_alike_and_stay_close(rng):
    single, double = chain(20, 30, 4), chain(20, 30, 4, dtype="float64")
    assert bits(single.flat_params[: 30 * 20]) == bits(
        double.flat_params[: 30 * 20].astype(np.float32)
    )
    double.flat_params[: 30 * 20] = single.flat_params[: 30 * 20]
    x = rng.standard_normal((11, 20)).astype(np.float32)
    assert_close(single.predict(x), double.predict(x), np.float32, 20 + 30 + 40)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_a_model_of_its_own(copied, rng):
    model = chain(5, 8, 3)
    x = rng.standard_normal((6, 5))
    y = model.forward(x)
    other = copied(model)
    assert bits(other.predict(x)) == bits(y)
    check(other, x, rng.standard_normal((6, 3)))
    other.flat_params[...] = 0
    assert not other.predict(x).any()
    assert bits(model.predict(x)) == bits(y)


def test_repr():
    model = fg.Sequential(fg.Dense(2, 300, "elu", alpha=0.5), fg.Activation("tanh"), rng=0)
    assert repr(model) == (
        "Sequential(\n  0: Dense(inputs=2, outputs=300, activation='elu', alpha=0.5)\n"
        "  1: Activation(activation='tanh')\n)  # 900 parameters, float32"
    )
    assert repr(model.params) == "0.weight: float32[300, 2]\n0.bias: float32[300]"
