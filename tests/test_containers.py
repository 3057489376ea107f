"""Models of layers within layers: residual blocks, and chains in chains."""

from __future__ import annotations

import numpy as np
import pytest
from nets import assert_close, bits, chain

import fastgrad as fg


def tower(*, dtype="float64", rng=0, **options):
    """Every way of putting one into another, at both ends and in the middle."""
    return fg.Sequential(
        fg.Residual(fg.Dense(6, 6, "tanh"), scale=0.5, learn_scale=True),
        fg.Sequential(fg.Dense(6, 9, "gelu"), fg.Sequential(fg.Dense(9, 8, "tanh")), rng=rng),
        fg.Residual(
            fg.Dense(8, 12, "silu"),
            fg.Residual(fg.Activation("tanh"), scale=-0.3),
            fg.Dense(12, 8),
            **options,
        ),
        fg.Residual(fg.Dense(8, 8, "sigmoid"), fg.Activation("tanh")),
        rng=rng,
        dtype=dtype,
    )


def by_hand(model, x):
    """The same in NumPy."""
    p = model.params

    def dense(name, x):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    from scipy.special import erf

    x = x + p["0.scale"][0] * np.tanh(dense("0.0", x))
    z = dense("1.0", x)
    x = np.tanh(dense("1.1.0", z * (1 + erf(z / np.sqrt(2))) / 2))
    z = dense("2.0", x)
    z = z * sigmoid(z)
    x = x + dense("2.2", z - 0.3 * np.tanh(z))
    return x + np.tanh(sigmoid(dense("3.0", x)))


def test_outputs(engine, rng):
    model = tower()
    x = rng.standard_normal((20, 6))
    wanted = by_hand(model, x)
    for got in (model.forward(x), model.predict(x, 7)):
        assert_close(got, wanted, np.float64, 100)


def test_names_are_paths():
    names = list(tower().params)
    assert names[:5] == ["0.scale", "0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]
    assert names[5:7] == ["1.1.0.weight", "1.1.0.bias"]
    assert names[7:] == [f"{n}.{k}" for n in ("2.0", "2.2", "3.0") for k in ("weight", "bias")]


@pytest.mark.parametrize("options", [{}, {"scale": 0.0, "learn_scale": True}])
def test_gradients(engine, rng, options):
    model = tower(**options)
    for view in model.params.values():
        view += 0.1 * rng.standard_normal(view.shape)
    assert fg.gradcheck(model, rng.standard_normal((9, 6)), rng=0)
    assert fg.gradcheck(model, rng.standard_normal((3, 4, 6)), rng=0)


def test_gradients_without_that_of_the_input(engine, rng):
    model = tower()
    x, dy = rng.standard_normal((9, 6)), rng.standard_normal((9, 8))
    model.forward(x)
    model.backward(dy)
    wanted = model.flat_grads.copy()
    model.flat_grads[...] = 0
    model.forward(x)
    assert model.backward(dy, input_grad=False) is None
    assert_close(model.flat_grads, wanted, np.float64, 4)


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 40))
    y = rng.integers(3, size=600)
    results = set()
    for count in (1, 2, 3, 5):
        threads(count)
        model = fg.Sequential(
            fg.Dense(40, 64, "relu"),
            *(
                fg.Residual(fg.Dense(64, 50, "relu"), fg.Dense(50, 64), learn_scale=True)
                for _ in range(4)
            ),
            fg.Residual(fg.Dense(64, 64, "tanh"), scale=0.5),
            fg.Dense(64, 3),
            rng=0,
            dtype=dtype,
        )
        trainer = fg.Trainer(model, "cross_entropy", clip=fg.ClipPerLayer(0.1), rng=0)
        losses = [trainer.epoch(x, y, 250) for _ in range(4)]
        assert losses[-1] < losses[0]
        results.add(bits(model.flat_params, model.flat_grads, losses))
    assert len(results) == 1


def test_a_sequential_in_another_brings_its_parameters_along():
    inner = chain(4, 6, 5, dtype="float32", rng=3)
    outer = fg.Sequential(fg.Dense(3, 4), inner, rng=0, dtype="float64")
    for name, view in inner.params.items():
        assert np.array_equal(outer.params[f"1.{name}"], view)
    outer.params["1.0.weight"][...] = 0
    assert inner.params["0.weight"].any()
    assert (outer.inputs, outer.outputs) == (3, 5)


def test_a_scale_of_zero_makes_the_identity(rng):
    model = fg.Sequential(
        *(
            fg.Residual(fg.Dense(7, 7, "relu"), fg.Dense(7, 7), scale=0, learn_scale=True)
            for _ in range(30)
        ),
        rng=0,
    )
    x = rng.standard_normal((5, 7)).astype(np.float32)
    assert np.array_equal(model.forward(x), x)
    dy = rng.standard_normal((5, 7)).astype(np.float32)
    assert np.array_equal(model.backward(dy), dy)
    assert model.grads["0.scale"] != 0


def test_it_is_saved_and_loaded(tmp_path, rng):
    model = tower(scale=0.25)
    model.save(tmp_path / "tower.safetensors")
    again = fg.load(tmp_path / "tower.safetensors")
    x = rng.standard_normal((5, 6))
    assert np.array_equal(again.predict(x), model.predict(x))
    assert repr(again) == repr(model)
    assert list(again.params) == list(model.params)


def test_every_level_is_a_layer_to_clip(rng):
    model = fg.Sequential(
        fg.Residual(fg.Dense(4, 4), fg.Dense(4, 4), learn_scale=True), fg.Dense(4, 2), rng=0
    )
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-3), clip=fg.ClipPerLayer(1e-3))
    trainer.step(rng.standard_normal((8, 4)), rng.standard_normal((8, 2)))
    own = {"0.scale", "0.0", "0.1", "1"}
    for group in own:
        parts = [v for n, v in model.grads.items() if n == group or n.rpartition(".")[0] == group]
        norm = np.sqrt(sum((part.astype(np.float64) ** 2).sum() for part in parts))
        assert norm == pytest.approx(1e-3, rel=1e-5)


def test_an_error_names_the_block():
    model = fg.Sequential(
        fg.Dense(4, 4), fg.Residual(fg.Dense(4, 4), learn_scale=True), fg.Dense(4, 2), rng=0
    )
    model.params["1.0.weight"][0, 0] = np.nan
    with pytest.raises(fg.GradientError, match="layer 1 \\(Residual\\)"):
        fg.Trainer(model, "mse").step(np.ones((3, 4)), np.ones((3, 2)))


def gain(residual, layers=40, width=32):
    """Norm of the gradient that comes out of a tower of saturating layers, over that put in."""
    small = fg.initializers.normal(0.1)
    tanh = [fg.Dense(width, width, "tanh", weight_init=small) for _ in range(layers)]
    blocks = [fg.Residual(layer, scale=layers**-0.5) if residual else layer for layer in tanh]
    model = fg.Sequential(*blocks, rng=0)
    x, dy = np.random.default_rng(0).standard_normal((2, 64, width))
    model.forward(x)
    return np.linalg.norm(model.backward(dy)) / np.linalg.norm(dy)


def test_the_way_around_cures_a_gradient_that_vanishes():
    """A layer keeps 0.1 sqrt(32) of its norm, a block sqrt(1 + 0.32 / 40) at most, about."""
    assert gain(residual=False) < 0.6**40
    assert 0.8 < gain(residual=True) < 1.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.Residual(), ValueError, "at least one layer"),
        (lambda: fg.Residual(fg.Dense(3, 4)), ValueError, "3 go in, 4 come out"),
        (lambda: fg.Residual("relu"), TypeError, "layer 0 must be a fastgrad.Layer, got 'relu'"),
        (lambda: fg.Residual(fg.Dense(3, 3), scale="1"), TypeError, "scale must be a number"),
        (lambda: fg.Residual(fg.Dense(3, 3), scale=np.nan), ValueError, "scale must lie in"),
        (
            lambda: fg.Residual(fg.Dense(3, 5), fg.Dense(4, 3)), ValueError,
            "layer 1 .Dense. takes 4 features, but layer 0 gives 5",
        ),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), fg.Residual(fg.Dense(4, 4))), ValueError,
            "layer 1 .Residual. takes 4 features, but layer 0 gives 5",
        ),
        (
            lambda: fg.Sequential(fg.Dense(3, 5), chain(4, 4)), ValueError,
            "layer 1 .Chain. takes 4 features, but layer 0 gives 5",
        ),
    ],
)  # fmt: skip
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_model_without_rng_draws_from_the_one_it_becomes_part_of():
    def make(rng, inner=None):
        nested = fg.Sequential(fg.Dense(8, 8), fg.BatchNorm(8), rng=inner)
        return fg.Sequential(fg.Dense(5, 8), nested, fg.Dense(8, 2), rng=rng)

    assert bits(make(0).flat_params) == bits(make(0).flat_params)
    assert bits(make(0).flat_params) != bits(make(1).flat_params)
    own = [make(rng, inner=3).params["1.0.weight"] for rng in (0, 1)]
    assert bits(own[0]) == bits(own[1])


def test_a_model_without_rng_keeps_values_that_were_given_to_it():
    nested = fg.Sequential(fg.Dense(8, 8))
    nested.params["0.weight"] = np.eye(8)
    model = fg.Sequential(fg.Dense(5, 8), nested, rng=0)
    assert np.array_equal(model.params["1.0.weight"], np.eye(8))
