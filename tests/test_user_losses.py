"""Losses that users write: as good as the package's own, on every backend."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import own_functions as own
import pytest
from harness import exact
from rounding import H, assert_within, central_difference, rounding

import fastgrad as fg

pytest.importorskip("numba")
twins = pytest.mark.parametrize("function", own.LOSSES, ids=lambda f: f.__name__)
SIZES = [
    (0, 3),
    (1, 1),
    (7, 1),
    (600, 1),
    (33, 7),
    (5, 511),
    (5, 512),
    (3, 513),
    (2, 1100),
    (65, 8),
]


def example(function, rng, dtype, shape):
    """Targets differ from outputs by some tenths or by more than one, never by 0 or delta."""
    z = rng.normal(0, 3, shape)
    distance = rng.choice([-1.5, -0.3, 0.3, 1.5], shape) * rng.uniform(0.8, 1.2, shape)
    target = z + distance
    if function is own.binary_cross_entropy:
        target = rng.uniform(size=shape)
    return {"z": z.astype(dtype), "target": target.astype(dtype)}


def twin(function):
    """The package's own loss: the name of its kernel, and its options."""
    options = {"huber": {"delta": 0.7}, "binary_cross_entropy": {"smoothing": 0.0}}
    return function.__name__, options.get(function.__name__, {})


@twins
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_same_as_the_packages_own(run, function, weighted, dtype, rng):
    kernel, options = twin(function)
    for shape in SIZES:
        given = example(function, rng, dtype, shape)
        weight = np.ones(len(given["z"]))
        if weighted:
            weight = rng.uniform(0.1, 3, len(weight))
            weight[: len(weight) // 7] = 0
            given["sample_weight"] = weight.astype(dtype)
        out = run("elementwise_loss", formula=own.loss(function).formula, **given)
        true = exact(kernel, **given, **options)
        share = weight / (weight.sum() or 1)
        z, distance = given["z"].astype(np.float64), np.abs(given["z"] - given["target"])
        terms = 1 + np.abs(z) + distance**2  # what the formulas add up
        rows = rounding(terms.mean(axis=1), dtype) if z.size else np.zeros(len(z))
        assert_within(out.rows, true.rows, rows, f"rows, {shape}")
        assert_within(out.loss, true.loss, share @ rows + rounding(1, np.float64), f"{shape}")
        slopes = share[:, None] * (1 + 2 * distance) / shape[1]
        assert_within(out.dz, true.dz, rounding(slopes, dtype), f"dz, {shape}")
        assert out.status[0] == 0


@twins
def test_gradient(run, function, rng):
    given = example(function, rng, np.float64, (9, 4))
    weight = rng.uniform(0.5, 2, 9)
    formula = own.loss(function).formula

    def loss(z):
        return run(
            "elementwise_loss", z=z, target=given["target"], sample_weight=weight, formula=formula
        )

    direction = rng.normal(size=(9, 4))
    numeric = central_difference(lambda z: loss(z).loss[0], given["z"], direction)
    analytic = float((loss(given["z"]).dz * direction).sum())
    # third derivatives are below 1, values and directions are of the order of some units
    size = float(np.abs(direction).sum())
    assert analytic == pytest.approx(numeric, abs=1e-9 * size + size**3 * H**2)


def test_what_is_not_finite_raises_the_flag(run, dtype):
    z, target = np.ones((3, 2), dtype), np.zeros((3, 2), dtype)
    z[1, 1] = np.nan
    out = run("elementwise_loss", z=z, target=target, formula=own.loss(own.mse).formula)
    assert out.status[0] == 1
    assert np.isfinite(out.rows[[0, 2]]).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, on the reference
def test_failures_name_it(backend):
    exp = fg.loss(of_exp)
    model = fg.Sequential(fg.Dense(3, 1), rng=0)
    model.params["0.bias"][0] = 200
    with pytest.raises(fg.GradientError, match=r"the loss of_exp makes inf of finite numbers"):
        fg.Trainer(model, exp).step(np.ones((5, 3)), np.ones((5, 1)))


def of_exp(z, target):
    return math.exp(z - target)


@pytest.mark.parametrize("sequences", [False, True], ids=["rows", "sequences"])
def test_training_is_that_with_the_packages_own(level, sequences):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(24, 5, 4)) if sequences else rng.normal(size=(24, 4))
    y = rng.normal(size=(24, 5, 2)) if sequences else rng.normal(size=(24, 2))
    more = {"sample_weight": rng.uniform(0.5, 2, 24)}
    if sequences:
        more["lengths"] = rng.integers(1, 6, 24)
    params = []
    for loss in ("mse", own.loss(own.mse)):
        first = fg.RNN(4, 6, return_sequences=True) if sequences else fg.Dense(4, 6, "tanh")
        model = fg.Sequential(first, fg.Dense(6, 2), rng=0, dtype="float64")
        run = fg.fit(model, x, y, loss=loss, epochs=4, rng=0, progress=False, batch_size=8, **more)
        params.append((model.flat_params.copy(), run.history["loss"]))
    np.testing.assert_allclose(params[1][0], params[0][0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(params[1][1], params[0][1], rtol=1e-12)


def test_validation_and_evaluation_use_it():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)  # a column may leave out its axis
    model = fg.Sequential(fg.Dense(4, 1), rng=0)
    trainer = fg.Trainer(model, own.loss(own.mae))
    expected = float(np.abs(model.forward(x.astype(np.float32))[:, 0] - y).mean())
    assert trainer.evaluate(x, y) == pytest.approx(expected, rel=1e-5)


def test_a_derivative_that_is_given():
    @fg.loss(derivative=lambda z, target: 2 * (z - target))
    def square(z, target):
        return (z - target) ** 2

    x = np.ones((3, 2))
    assert fg.gradcheck(
        fg.Sequential(fg.Dense(2, 1), rng=0, dtype="float64"), x, loss=square, y=x[:, :1]
    )
    assert square(3, 1) == 4
    assert repr(square) == "<loss square>"


def bad_at_one(z, target):
    return z * math.log(1 - target)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (bad_at_one, ValueError, r"loss bad_at_one \(.*\.py:\d+\): bad_at_one must be finite .* is "
         r"inf at z = -12, target = 1"),
        (lambda z: z, TypeError, "must take z, target, and constants that have a default"),
        (lambda z, target: None, TypeError, "must return a number, got NoneType None at z = -12"),
    ],
)  # fmt: skip
def test_bad_functions(function, error, message):
    with pytest.raises(error, match=message):
        fg.loss(function)


def test_a_function_that_is_not_decorated():
    with pytest.raises(
        ValueError, match=r"got <function mse.*\(fastgrad\.loss makes one of a func"
    ):
        fg.Trainer(fg.Sequential(fg.Dense(2, 1), rng=0), own.mse)


def test_a_loss_is_no_activation():
    with pytest.raises(ValueError, match="activation: expected one of"):
        fg.Dense(2, 2, own.loss(own.mse))


def test_it_can_be_pickled():
    assert pickle.loads(pickle.dumps(pickled)) is pickled
    assert copy.deepcopy(pickled) is pickled


@fg.loss
def pickled(z, target):
    return (z - target) ** 2
