"""Dropout: one mask for every backend and any number of threads, and what it does to a model."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from harness import call, exact
from nets import assert_close, bits
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad import backends
from fastgrad.backends.reference.dropout import random_bits
from fastgrad.program import Tape, Workspace

SIZES = [(0, 3), (1, 1), (1, 7), (15, 1), (4, 4), (1, 17), (3, 11), (300, 70)]
SIGMAS = 5  # a sound mask strays farther once in 1.7 million draws; these are the same in every run


def arguments(p=0.3, seed=0, layer=0, count=0):
    return {"p": p, "seed": seed, "layer": layer, "count": np.array([count])}


def kept(shape, **given):
    """The mask, which all backends share."""
    return call(backends.load("reference"), "dropout", x=np.ones(shape), **arguments(**given)).y > 0


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.97, 1 - 1e-12])
@pytest.mark.parametrize("size", SIZES)
def test_every_backend_draws_the_same_mask(run, rng, dtype, size, p):
    x = (rng.uniform(0.1, 1, size) * rng.choice([-1, 1], size)).astype(dtype)
    for seed, layer, count in ((0, 0, 0), (2**63 - 1, 3, 10**12), (-1, 1, -1)):
        given = {"x": x, **arguments(p, seed, layer, count)}
        y, true = run("dropout", **given).y, exact("dropout", **given).y
        assert np.array_equal(y == 0, true == 0)
        assert not np.signbit(y[y == 0]).any()
        assert_within(y, true, rounding(true, dtype, 2))  # of 1 / (1 - p) and of the product


def test_in_place(ops, rng, dtype):
    x = rng.standard_normal((33, 70)).astype(dtype)
    given = arguments(seed=5, count=2).values()
    apart = np.empty_like(x)
    ops.dropout(x, *given, apart)
    ops.dropout(x, *given, x)
    assert bits(x) == bits(apart)


def test_what_is_dropped_is_zero_whatever_it_was(run, dtype):
    mask = kept((20, 30))
    for value in (np.nan, np.inf, -np.inf):
        y = run("dropout", x=np.full(mask.shape, value, dtype), **arguments()).y
        assert np.array_equal(y, np.where(mask, value, 0), equal_nan=True)


def test_only_the_place_in_memory_matters():
    one = kept((300, 70)).ravel()
    for shape in ((70, 300), (1, 21000), (21000, 1)):
        assert np.array_equal(kept(shape).ravel(), one)
    assert np.array_equal(kept((11, 70)).ravel(), one[:770])


def test_places_go_on_beyond_32_bits():
    places = np.arange(2**16, dtype=np.uint64)
    parts = [random_bits(1, 2, 3, places + np.uint64(k * 2**32)) for k in range(4)]
    for i, a in enumerate(parts):
        for b in parts[:i]:
            assert_uncorrelated(a < 2**31, b < 2**31, 0.5)


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 2**62 + 1])
def test_how_many_are_kept(p, seed):
    deviation = np.sqrt(1e5 * p * (1 - p))
    for count in (0, 1, 10**6):
        for layer in (0, 1, 7):
            number = np.count_nonzero(kept((1000, 100), p=p, seed=seed, layer=layer, count=count))
            assert abs(number - 1e5 * (1 - p)) < SIGMAS * deviation


def assert_uncorrelated(a, b, p):
    """The mean of n products of independent numbers of variance 1 has the variance 1 / n."""
    a, b = ((mask.ravel() - (1 - p)) / np.sqrt(p * (1 - p)) for mask in (a, b))
    assert abs(np.mean(a * b)) < SIGMAS / np.sqrt(a.size)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
def test_masks_have_nothing_to_do_with_each_other(p):
    others = [{}, {"count": 1}, {"count": 2}, {"layer": 1}, {"layer": 2}, {"seed": 1}, {"seed": 2}]
    others += [{"seed": 1, "count": 1}, {"count": 1, "layer": 1}, {"seed": 2**32}, {"count": 2**32}]
    masks = [kept((500, 200), p=p, **other) for other in others]
    for i, mask in enumerate(masks):
        for other in masks[:i]:
            assert_uncorrelated(mask, other, p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("columns", [200, 256])
def test_neighbours_have_nothing_to_do_with_each_other(p, columns):
    for given in ({}, {"seed": 3, "layer": 1, "count": 4}):
        mask = kept((500, columns), p=p, **given).ravel()
        for lag in {1, 2, 3, columns - 1, columns, columns + 1, *2 ** np.arange(16)}:
            assert_uncorrelated(mask[:-lag], mask[lag:], p)


def test_the_mean_is_x(rng):
    p, draws = 0.3, 1000
    x = rng.standard_normal((3, 8))
    total = np.zeros_like(x)
    for count in range(draws):
        total += exact("dropout", x=x, **arguments(p, count=count)).y
    deviation = np.abs(x) * np.sqrt(p / (1 - p) / draws)
    assert (abs(total / draws - x) < SIGMAS * deviation).all()


def tower(*, dtype="float64", rng=0, p=0.3):
    """Dropout first and last, in a row, in a block and in a chain."""
    return fg.Sequential(
        fg.Dropout(p / 2),
        fg.Dense(6, 16, "tanh"),
        fg.Dropout(p),
        fg.Residual(fg.Dropout(p), fg.Dense(16, 16, "silu"), fg.Dropout(p), learn_scale=True),
        fg.Residual(fg.Dropout(p)),
        fg.Sequential(fg.Dense(16, 8, "gelu"), fg.Sequential(fg.Dropout(p)), rng=rng),
        fg.Dropout(0),
        fg.Dense(8, 3),
        fg.Dropout(p),
        fg.Dropout(p),
        rng=rng,
        dtype=dtype,
    )


@pytest.mark.parametrize("loss", [None, "mse", "cross_entropy"])
def test_gradients(engine, rng, loss):
    model = tower()
    y = rng.integers(3, size=9) if loss == "cross_entropy" else rng.standard_normal((9, 3))
    options = {} if loss is None else {"loss": loss, "y": y}
    for _ in range(2):
        check = fg.gradcheck(model, rng.standard_normal((9, 6)), rng=0, **options)
        assert check
        assert all(check.analytic.values())
    if loss is None:
        assert fg.gradcheck(model, rng.standard_normal((3, 4, 6)), rng=0)


def test_predictions_know_nothing_of_it(engine, rng):
    x = rng.standard_normal((20, 6))
    model = tower()
    same = tower(p=0)
    for layers in (model, same):
        assert bits(layers.predict(x)) == bits(same.forward(x))  # BLAS: of as many rows
        assert bits(layers.forward(x, train=False)) == bits(same.forward(x))
    assert bits(fg.Sequential(fg.Dropout(), dtype="float64").predict(x)) == bits(x)


@pytest.mark.parametrize(("p", "train"), [(0.5, False), (0.0, True)])
def test_nothing_is_recorded_where_nothing_is_dropped(p, train):
    tape = Tape(backends.active(), Workspace(), np.float32)
    x, dy = tape.empty((4, 3)), tape.empty((4, 3))
    y, backward = fg.Dropout(p).record(tape, x, {}, {}, train)
    assert y is x
    assert backward(dy, True) is dy
    assert tape.take() == []


def test_backward_sees_the_mask_of_its_forward_pass(engine, rng, dtype):
    model = fg.Sequential(fg.Dropout(0.4), rng=0, dtype=dtype)
    seen = set()
    for rows in (30, 30, 7, 30):
        x, dy = rng.uniform(1, 2, (2, rows, 50)).astype(dtype)
        y = model.forward(x)
        model.predict(x)
        dx = model.backward(dy)
        assert np.array_equal(y == 0, dx == 0)
        assert_close(dx[y > 0], dy[y > 0] / 0.6, dtype, 2)
        assert bits(model.backward(dy)) == bits(dx)
        seen.add(bits(y[:7] > 0))
    assert len(seen) == 4


def test_every_layer_has_a_mask_of_its_own():
    shape = (100, 300)
    inner = fg.Sequential(fg.Dropout(0.5), rng=0)
    for layers in ((fg.Dropout(0.5), fg.Dropout(0.5)), (fg.Dropout(0.5), inner)):
        y = fg.Sequential(*layers, rng=0).forward(np.ones(shape))
        strays = np.count_nonzero(y) - y.size / 4
        assert abs(strays) < SIGMAS * np.sqrt(y.size * 3 / 16)


def training(seed=0, steps=3, batch=None, rng=0):
    """A trainer, and the masks of its steps: where the gradient of the biases is not 0."""
    model = fg.Sequential(fg.Dense(1, 200, weight_init="ones"), fg.Dropout(0.3), rng=seed)
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-3), rng=rng)
    masks = []
    for _ in range(steps):
        if batch:
            trainer.epoch(np.ones((1, 1)), np.zeros((1, 200)), batch)
        else:
            trainer.step(np.ones((1, 1)), np.zeros((1, 200)))
        masks.append(model.grads["0.bias"] != 0)
    return trainer, masks


def test_every_step_has_a_mask_of_its_own(engine):
    trainer, masks = training()
    for step, mask in enumerate(masks):
        seed = trainer._recorder.seed
        assert np.array_equal(mask, kept((1, 200), p=0.3, seed=seed, count=step)[0])
    assert len(set(map(bits, masks))) == 3


def test_seeds_decide(engine):
    trainer, masks = training()
    for same in (training(), training(batch=1)):
        assert bits(*same[1]) == bits(*masks)
        assert bits(same[0].model.flat_params) == bits(trainer.model.flat_params)
    for other in (training(seed=1), training(rng=1), training(rng=None)):
        assert not {*map(bits, masks)} & {*map(bits, other[1])}


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 40))
    y = rng.integers(3, size=600)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = fg.Sequential(
            fg.Dropout(0.1),
            fg.Dense(40, 64, "relu"),
            fg.Dropout(0.3),
            fg.Residual(fg.Dense(64, 50, "relu"), fg.Dropout(0.2), fg.Dense(50, 64)),
            fg.Sequential(fg.Dense(64, 64, "gelu"), fg.Dropout(0.5), rng=0),
            fg.Dense(64, 3),
            rng=0,
            dtype=dtype,
        )
        trainer = fg.Trainer(model, "cross_entropy", rng=0)
        losses = [trainer.epoch(x, y, 250) for _ in range(4)]
        assert losses[-1] < losses[0]
        out = model.forward(x)
        passes = out, model.backward(out), model.flat_grads
        results.add(bits(model.flat_params, *passes, losses))
    assert len(results) == 1


def test_a_generator_is_left_as_the_parameters_leave_it():
    states = []
    for layers in ((), (fg.Dropout(),)):
        rng = np.random.default_rng(0)
        model = fg.Sequential(fg.Dense(3, 4), *layers, rng=rng)
        states.append((bits(model.flat_params), rng.bit_generator.state))
    assert states[0] == states[1]
    rng = np.random.default_rng(0)
    fg.Sequential(fg.Dropout(), rng=rng)
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_with_the_same_masks(copied, rng):
    model = tower()
    x = rng.standard_normal((5, 6))
    model.forward(x)
    again = copied(model)
    for _ in range(2):
        assert bits(again.forward(x)) == bits(model.forward(x))
    model.forward(x)
    assert bits(again.forward(x)) != bits(model.forward(x))


def test_it_is_saved_and_loaded(tmp_path, rng):
    model = tower(p=0.25)
    model.save(tmp_path / "tower.safetensors")
    again = fg.load(tmp_path / "tower.safetensors")
    x = rng.standard_normal((5, 6))
    assert bits(again.predict(x)) == bits(model.predict(x))
    assert repr(again) == repr(model)
    assert repr(model.layers[2]) == "Dropout(p=0.25)"


@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (-0.1, ValueError, r"p must lie in \[0, 1\), got -0.1"),
        (1, ValueError, r"p must lie in \[0, 1\), got 1"),
        (np.nan, ValueError, r"p must lie in \[0, 1\), got nan"),
        ("a", TypeError, "p must be a number, got 'a'"),
        (True, TypeError, "p must be a number, got True"),
    ],
)
def test_bad_input(p, error, message):
    with pytest.raises(error, match=message):
        fg.Dropout(p)
