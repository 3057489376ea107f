"""Rescale: outputs in the units of the targets."""

from __future__ import annotations

import numpy as np
import pytest

import fastgrad as fg

MEAN, SCALE = [52.0, -3.0], [44.0, 0.5]


@pytest.mark.parametrize("shape", [(1, 2), (17, 2), (3, 5, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_multiplies_and_adds(shape, dtype):
    model = fg.Sequential(fg.Rescale(MEAN, SCALE), dtype=dtype)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    dy = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    eps = np.finfo(dtype).eps
    wanted = np.array(MEAN) + np.array(SCALE) * x.astype(np.float64)
    # a quotient by 1 / scale, and a difference from mean / scale, each rounded a few times
    size = np.abs(MEAN) + np.array(SCALE) * np.abs(x)
    assert (np.abs(model.forward(x) - wanted) <= 4 * eps * size).all()
    dx = model.backward(dy)
    assert (np.abs(dx - np.array(SCALE) * dy) <= 4 * eps * np.abs(np.array(SCALE) * dy)).all()


def test_gradients_before_it_are_right():
    model = fg.Sequential(
        fg.Dense(3, 4, "tanh"), fg.Dense(4, 2), fg.Rescale(MEAN, SCALE), rng=0, dtype="float64"
    )
    assert fg.gradcheck(model, np.random.default_rng(0).standard_normal((5, 3)))


def test_it_learns_as_if_targets_were_standardized():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, 3))
    y = X @ rng.standard_normal((3, 2))
    plain = fg.Sequential(fg.Dense(3, 8, "tanh"), fg.Dense(8, 2), rng=0, dtype="float64")
    units = fg.Sequential(
        fg.Dense(3, 8, "tanh"), fg.Dense(8, 2), fg.Rescale([9.0, 9.0], [4.0, 4.0]),
        rng=0, dtype="float64",
    )  # fmt: skip
    for model, target, lr in ((plain, y, 0.16), (units, 9 + 4 * y, 0.01)):
        trainer = fg.Trainer(model, "mse", fg.SGD(lr))
        for _ in range(5):
            trainer.step(X, target)
    np.testing.assert_allclose(units.predict(X), 9 + 4 * plain.predict(X), rtol=1e-12)


def test_it_is_saved_and_loaded(tmp_path):
    model = fg.Sequential(fg.Dense(3, 2), fg.Rescale(MEAN, SCALE), rng=0)
    x = np.random.default_rng(0).standard_normal((4, 3))
    model.save(tmp_path / "model.safetensors")
    again = fg.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert repr(again.layers[-1]) == repr(model.layers[-1])


@pytest.mark.parametrize(
    ("mean", "scale", "message"),
    [
        ([1.0], [1.0, 2.0], "as long as each other, got 1 and 2"),
        ([1.0], [0.0], "scale must be above 0, got 0.0"),
        ([np.nan], [1.0], "mean must be finite numbers"),
        (1.0, [1.0], "mean must be finite numbers"),
        ([], [], "features must be"),
    ],
)
def test_bad_arguments(mean, scale, message):
    with pytest.raises(ValueError, match=message):
        fg.Rescale(mean, scale)
