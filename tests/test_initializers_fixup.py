"""Fixup: what it sets in every kind of block, and that depth no longer shows in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import bits

import fastgrad as fg
from fastgrad import initializers as ini
from fastgrad.datasets import load_digits


def block(width=16, layers=2, **options):
    """A block of that many Dense layers, the last one linear."""
    inner = [fg.Dense(width, width, "relu") for _ in range(layers - 1)]
    return fg.Residual(*inner, fg.Dense(width, width), **options)


def stack(*blocks, width=16, dtype="float64", rng=0):
    return fg.Sequential(
        fg.Dense(12, width, "relu"), *blocks, fg.Dense(width, 3), rng=rng, dtype=dtype
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(depths=st.lists(st.integers(1, 4), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_every_block_is_scaled_by_its_own_depth(depths, seed):
    model = stack(*(block(layers=m) for m in depths), rng=seed)
    stem = model.params["0.weight"].copy()
    factors = ini.fixup(model, rng=seed)
    rng = np.random.default_rng(seed)
    expected = {}
    for i, m in enumerate(depths, 1):
        for j in range(m - 1):
            expected[f"{i}.{j}"] = len(depths) ** (-1 / (2 * m - 2))
            drawn = ini.he_normal()((16, 16), rng, "float64")
            assert np.array_equal(model.params[f"{i}.{j}.weight"], expected[f"{i}.{j}"] * drawn)
            assert not model.params[f"{i}.{j}.bias"].any()
        expected[f"{i}.{m - 1}"] = 0.0
    expected[f"{len(depths) + 1}"] = 0.0  # the classifier
    assert factors == expected
    for name, factor in expected.items():
        assert model.params[f"{name}.weight"].any() == (factor > 0)
    assert np.array_equal(model.params["0.weight"], stem)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_stack_starts_as_the_identity_both_ways(dtype, engine):
    model = fg.Sequential(*(block(layers=3) for _ in range(30)), rng=0, dtype=dtype)
    ini.fixup(model, rng=0)
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((5, 16)).astype(dtype) for _ in range(2))
    assert np.array_equal(model.forward(x), x)
    assert np.array_equal(model.backward(dy), dy)


def test_without_a_classifier_nothing_after_the_blocks_changes():
    model = fg.Sequential(fg.Dense(12, 16), block(), rng=0)
    before = model.params["0.weight"].copy()
    assert list(ini.fixup(model, rng=0)) == ["1.0", "1.1"]
    assert np.array_equal(model.params["0.weight"], before)


def test_blocks_in_chains_and_in_blocks_count_and_keep_their_own_layers():
    inner = fg.Residual(fg.Dense(16, 16, "tanh"), fg.Dense(16, 16, "tanh"))
    outer = fg.Residual(
        fg.LayerNorm(16),
        fg.Sequential(fg.Dense(16, 16, "relu"), inner, rng=0),
        fg.Dense(16, 16, "relu"),
        fg.Dense(16, 16, "leaky_relu"),
        fg.Dropout(0.1),
        scale=0.0,
        learn_scale=True,
    )
    model = fg.Sequential(
        fg.Sequential(outer, block(layers=1), rng=0),
        fg.Dense(16, 8, "relu"),
        fg.Dense(8, 3),
        rng=0,
    )
    head = model.params["1.weight"].copy()
    factors = ini.fixup(model, rng=0)
    third = 3 ** (-1 / 4)  # three blocks; the outer one has three layers of its own
    assert factors == {
        "0.0.1.0": third,
        "0.0.2": third,
        "0.0.3": 0.0,
        "0.0.1.1.0": 3**-0.5,
        "0.0.1.1.1": 0.0,
        "0.1.0": 0.0,
        "2": 0.0,
    }
    assert model.params["0.0.scale"] == 1.0  # with 0, nothing in the block would learn
    assert np.array_equal(model.params["1.weight"], head)
    assert not model.predict(np.ones((2, 16))).any()


def test_blocks_beside_something_else_count():
    model = fg.Sequential(
        fg.Parallel(fg.Sequential(block(), block(layers=3), rng=0), fg.Dense(16, 16), merge="sum"),
        fg.Dense(16, 3),
        rng=0,
    )
    beside = model.params["0.1.weight"].copy()
    factors = ini.fixup(model, rng=0)
    assert list(factors) == ["0.0.0.0", "0.0.0.1", "0.0.1.0", "0.0.1.1", "0.0.1.2", "1"]
    assert factors["0.0.1.0"] == 2 ** (-1 / 4)
    assert np.array_equal(model.params["0.1.weight"], beside)


def test_layers_without_biases_and_with_their_own_initializers():
    inner = fg.Dense(8, 8, "relu", bias=False, weight_init=np.ones((8, 8)))
    model = fg.Sequential(
        *(fg.Residual(inner if i == 0 else fg.Dense(8, 8, "relu"), fg.Dense(8, 8)) for i in (0, 1)),
        rng=0,
    )
    ini.fixup(model, rng=0)
    assert np.array_equal(model.params["0.0.weight"], np.full((8, 8), np.float32(2**-0.5)))


def test_the_seed_decides_and_a_second_time_is_the_same():
    first, second = stack(block(), block(), rng=1), stack(block(), block(), rng=1)
    ini.fixup(first, rng=3)
    ini.fixup(second, rng=4)
    assert bits(first.flat_params) != bits(second.flat_params)
    for _ in range(2):
        ini.fixup(second, rng=np.random.default_rng(3))
        assert bits(first.flat_params) == bits(second.flat_params)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "softsign", "elu", "selu"])
def test_every_layer_learns(activation):
    """A block of zeros has a gradient where the last layer's activation has a slope at 0."""
    model = stack(fg.Residual(fg.Dense(16, 16, "relu"), fg.Dense(16, 16, activation)), block())
    ini.fixup(model, rng=0)
    before = {name: view.copy() for name, view in model.params.items()}
    trainer = fg.Trainer(model, "mse", fg.SGD(0.5), rng=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 12)), rng.standard_normal((64, 3))
    for _ in range(4):  # the classifier, then the last layers, then the others
        trainer.step(x, y)
    for name, values in before.items():
        assert not np.array_equal(model.params[name], values), name


def residual_net(blocks):
    inner = [block(32, learn_scale=True) for _ in range(blocks)]
    return fg.Sequential(fg.Dense(64, 32, "relu"), *inner, fg.Dense(32, 10), rng=0)


def test_steps_change_the_outputs_alike_at_any_depth():
    images, labels = load_digits()
    X, y = images[:200] / 8 - 1, labels[:200]
    changes = {}
    for depth in (2, 64):
        model = residual_net(depth)
        ini.fixup(model, rng=0)
        trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0)
        outputs = [model.predict(X)]
        for _ in range(6):
            trainer.step(X, y)
            outputs.append(model.predict(X))
        changes[depth] = np.square(np.diff(outputs, axis=0)).mean(axis=(1, 2))
    ratio = np.sqrt(changes[64] / changes[2])
    assert 0.5 < ratio.min() <= ratio.max() < 2  # of the order of the learning rate, both


def test_a_deep_stack_learns_with_it_and_breaks_without():
    images, labels = load_digits()
    X, y = images / 8 - 1, labels
    plain, fixed = residual_net(48), residual_net(48)
    factors = ini.fixup(fixed, rng=0)
    assert factors["1.0"] == pytest.approx(1 / math.sqrt(48))
    with pytest.raises(fg.GradientError):
        fg.Trainer(plain, "cross_entropy", fg.SGD(0.1), rng=0).epoch(X[:1500], y[:1500], 32)
    trainer = fg.Trainer(fixed, "cross_entropy", fg.SGD(0.1), rng=0)
    losses = [trainer.epoch(X[:1500], y[:1500], 32) for _ in range(3)]
    assert losses[-1] < losses[0] / 3
    assert (fixed.predict(X[1500:]).argmax(axis=1) == y[1500:]).mean() > 0.8


def test_the_second_moment_of_a_stack_doubles_with_every_block_without_it():
    # E[x^2] of x + f(x) for He's weights, over rows: a factor 2 each, with a relative deviation of
    # the order of sqrt(2 / width) each
    blocks, width = 12, 256
    model = fg.Sequential(*(block(width) for _ in range(blocks)), rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((20, width))
    y = model.predict(x)
    growth = math.log(np.square(y).mean() / np.square(x).mean())
    # the last layer of a block is linear, whose default is Xavier's: 1 + 2 / 2 in E[f^2] / E[x^2]
    assert abs(growth - blocks * math.log(2)) < 5 * math.sqrt(blocks * 2 / width)


def dense(activation=None):
    return fg.Dense(16, 16, activation)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        ([dense()], {}, TypeError, r"model must be a fastgrad.Sequential, got \[Dense"),
        (stack(dense("relu")), {}, ValueError, "model has no Residual"),
        (stack(block()), {"rng": "seed"}, TypeError, "rng must be a seed"),
        (
            stack(block(), fg.Residual(fg.Activation("tanh"))),
            {},
            ValueError,
            "block 2 has no Dense layer of its own that could start at 0",
        ),
        (
            stack(fg.Residual(block())),
            {},
            ValueError,
            "block 1 has no Dense layer of its own",
        ),
        (
            stack(block(), block(scale=0.0)),
            {},
            ValueError,
            "block 2 has the constant scale 0 and would never learn",
        ),
        (
            stack(fg.Residual(fg.Parallel(dense(), dense(), merge="sum"), dense())),
            {},
            ValueError,
            "block 1 has a Parallel, of whose layers none is the last",
        ),
        (
            stack(fg.Residual(dense("relu"), dense("relu"))),
            {},
            ValueError,
            r"block 1 would never learn: relu in layer 1\.1 has no slope at 0",
        ),
        (
            stack(fg.Residual(dense(), fg.Sequential(dense(), fg.Activation("relu"), rng=0))),
            {},
            ValueError,
            r"block 1 would never learn: relu in layer 1\.1\.1",
        ),
        (
            stack(fg.Residual(dense("sigmoid"))),
            {},
            ValueError,
            r"block 1 would not start as the identity: sigmoid in layer 1\.0 is not 0 at 0",
        ),
        (
            stack(fg.Residual(dense("relu"), dense(), fg.BatchNorm(16))),
            {},
            ValueError,
            r"block 1 would normalize zeros in layer 1\.2, BatchNorm",
        ),
        (
            stack(fg.Residual(dense(), fg.RMSNorm(16))),
            {},
            ValueError,
            "would normalize zeros",
        ),
        (
            fg.Sequential(block(), fg.Dense(16, 3, "relu"), rng=0),
            {},
            ValueError,
            "the classifier, layer 1, would never learn: relu in layer 1 has no slope at 0",
        ),
    ],
    ids=lambda v: None,
)
def test_bad_input_leaves_the_model_as_it_was(model, options, error, message):
    before = bits(model.flat_params) if hasattr(model, "flat_params") else None
    with pytest.raises(error, match=message):
        ini.fixup(model, **options)
    if before is not None:
        assert bits(model.flat_params) == before
