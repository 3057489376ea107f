"""The gradient budget, and gradients of single samples, against passes by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad import losses, samples
from fastgrad.health.budget import FACTORS, budget
from fastgrad.health.per_sample import per_sample
from fastgrad.health.walk import walk


def given(model, X, y, loss="cross_entropy", lengths=None):
    own = losses.get(loss)
    rows = model.checked("x", X)
    return samples.checked(own, rows, model.output_shape(rows.shape), model.dtype, y, None, lengths)


def data(rows=30, inputs=6, classes=4):
    rng = np.random.default_rng(1)
    return rng.standard_normal((rows, inputs)), rng.integers(classes, size=rows)


MODELS = {
    "dense": lambda: [fg.Dense(6, 8, "tanh"), fg.Dense(8, 8, "relu"), fg.Dense(8, 4)],
    "activation": lambda: [fg.Dense(6, 8), fg.Activation("sigmoid"), fg.Dense(8, 4)],
    "norms": lambda: [
        fg.Dense(6, 8), fg.BatchNorm(8), fg.Activation("relu"), fg.Dense(8, 8), fg.LayerNorm(8),
        fg.Dropout(0.3), fg.Dense(8, 4),
    ],
    "residual": lambda: [
        fg.Dense(6, 8, "relu"),
        fg.Residual(fg.Dense(8, 8, "tanh"), fg.Dense(8, 8), scale=0.5),
        fg.Residual(fg.Dense(8, 8, "tanh"), scale=0, learn_scale=True),
        fg.Dense(8, 4),
    ],
    "residual first": lambda: [fg.Residual(fg.Dense(6, 6, "tanh")), fg.Dense(6, 4)],
    "nested": lambda: [
        fg.Sequential(fg.Dense(6, 8, "tanh"), fg.Dense(8, 8, "elu"), rng=1), fg.Dense(8, 4)
    ],
    "parallel": lambda: [
        fg.Dense(6, 8, "tanh"),
        fg.Parallel(
            fg.Dense(8, 3, "tanh"),
            fg.Sequential(fg.Dense(8, 8, "elu"), fg.Dense(8, 3), rng=1),
            fg.Residual(fg.Dense(8, 8, "tanh")),
        ),
        fg.Dense(14, 4),
    ],
    "parallel first": lambda: [
        fg.Parallel(
            fg.Dense(6, 4, "tanh"),
            fg.Parallel(fg.Dense(6, 4), fg.Dense(6, 4, "relu"), merge="sum"),
            merge="sum",
        )
    ],
    "standardize": lambda: [fg.Standardize(6), fg.Dense(6, 8, "relu"), fg.Dense(8, 4)],
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contributions_add_up(name, dtype):
    model = fg.Sequential(*MODELS[name](), rng=0, dtype=dtype)
    X, y = data()
    model.fit_input(X)
    before = model.flat_params.tobytes(), model.flat_buffers.tobytes(), model.flat_grads.tobytes()
    found = budget(model, given(model, X, y))
    after = model.flat_params.tobytes(), model.flat_buffers.tobytes(), model.flat_grads.tobytes()
    assert before == after
    total = math.fsum(row.total for row in found.rows)
    assert abs(total - found.total) < 1e-6
    assert abs(sum(found.by_factor().values()) - found.total) < 1e-6


def test_budget_of_two_layers_by_hand():
    model = fg.Sequential(fg.Dense(6, 8, "tanh"), fg.Dense(8, 4), rng=0, dtype="float64")
    X, y = data()
    z = np.tanh(X @ model.params["0.weight"].T + model.params["0.bias"])
    out = z @ model.params["1.weight"].T + model.params["1.bias"]
    p = np.exp(out - out.max(axis=1, keepdims=True))
    d_out = (p / p.sum(axis=1, keepdims=True) - np.eye(4)[y]) / len(y)
    dy = d_out @ model.params["1.weight"]
    dz = dy * (1 - z**2)
    norms = [math.log10(np.linalg.norm(d)) for d in (d_out, dy, dz)]
    first, second = budget(model, given(model, X, y)).rows
    assert second.weights == pytest.approx(norms[1] - norms[0], abs=1e-12)
    assert second.activation == pytest.approx(0, abs=1e-12)
    assert first.activation == pytest.approx(norms[2] - norms[1], abs=1e-12)
    assert first.weights == 0


def test_budget_names_who_is_to_blame():
    layers = [fg.Dense(32, 32, "relu") for _ in range(8)]
    model = fg.Sequential(*layers, fg.Dense(32, 4), rng=0)
    X, y = data(inputs=32)
    model.params["5.weight"][...] *= 1e-3
    assert budget(model, given(model, X, y)).blame()[:2] == ("5", "weights")
    model.params["5.weight"][...] *= 1e6
    layer, factor, decades = budget(model, given(model, X, y)).blame()
    assert (layer, factor) == ("5", "weights")
    assert decades > 2
    model = fg.Sequential(*(fg.Dense(32, 32, "tanh") for _ in range(4)), fg.Dense(32, 4), rng=0)
    model.params["2.bias"][...] = 4
    assert budget(model, given(model, X, y)).blame()[:2] == ("2", "activation")


def test_the_way_around_is_what_keeps_a_gradient():
    blocks = [fg.Residual(fg.Dense(8, 8, "tanh"), scale=1e-3) for _ in range(3)]
    model = fg.Sequential(fg.Dense(6, 8), *blocks, fg.Dense(8, 4), rng=0)
    X, y = data()
    found = budget(model, given(model, X, y))
    assert abs(found.total) < 0.5
    assert found.by_factor()["bypass"] > 8
    assert {f.split("=")[0] for f in FACTORS} == {
        "weights",
        "activation",
        "normalization",
        "bypass",
    }


def test_walk_gives_the_gradients_of_a_step():
    model = fg.Sequential(*MODELS["residual"](), rng=0)
    X, y = data()
    _, grads = walk(model, given(model, X, y), np.linalg.norm)
    fg.Trainer(model, "cross_entropy", fg.SGD(1e-9)).step(X, y)
    for name, gradient in grads.items():
        assert_within(gradient, model.grads[name], 0, name)


@pytest.mark.parametrize(
    "name", ["dense", "nested", "residual first", "parallel", "parallel first"]
)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gradients_of_single_samples(name, loss):
    model = fg.Sequential(*MODELS[name](), rng=0, dtype="float64")
    X, y = data(rows=7)
    target = y if loss == "cross_entropy" else np.random.default_rng(2).standard_normal((7, 4))
    found = per_sample(model, X, target, loss)
    each = []
    for i in range(7):
        _, grads = walk(model, given(model, X[i : i + 1], target[i : i + 1], loss), np.copy)
        each.append(np.concatenate([g.ravel() for g in grads.values()]))
    g = np.array(each)
    mean = g.mean(axis=0)
    norms, square = np.linalg.norm(g, axis=1), mean @ mean
    trace = g.var(axis=0, ddof=1).sum()
    along = g @ mean
    bound = rounding(norms, np.float64, 2000)
    assert_within(found.norms, norms, bound)
    assert found.norm == pytest.approx(math.sqrt(square), rel=1e-12)
    signal = square - trace / 7
    expected = trace / signal if signal > 0 else math.inf
    assert found.noise_scale == pytest.approx(expected, rel=1e-9)
    assert found.norm_test == pytest.approx(math.sqrt(trace / 7 / square), rel=1e-9)
    inner = along.var(ddof=1) / 7 / square**2
    assert found.inner_test == pytest.approx(math.sqrt(inner), rel=1e-9)
    across = (g - np.outer(along / square, mean)) ** 2
    assert found.ortho_test == pytest.approx(math.sqrt(across.sum() / 6 / 7 / square), rel=1e-9)


def test_samples_that_agree_have_no_noise():
    model = fg.Sequential(fg.Dense(6, 4, "tanh"), fg.Dense(4, 2), rng=0, dtype="float64")
    X = np.tile(np.arange(6.0), (5, 1))
    found = per_sample(model, X, np.zeros((5, 2)), "mse")
    assert found.noise_scale < 1e-12
    assert found.norm_test < 1e-6


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([fg.LSTM(3, 4), fg.Dense(4, 2)], (5, 6, 3), "layer 0 \\(LSTM\\) has parameters"),
        ([fg.Dense(3, 4), fg.BatchNorm(4), fg.Dense(4, 2)], (5, 3), "layer 1 \\(BatchNorm\\)"),
        ([fg.Dense(3, 2)], (1, 3), "B of at least 2, got \\(1, 3\\)"),
    ],
)
def test_bad_input(layers, shape, words):
    model = fg.Sequential(*layers, rng=0)
    with pytest.raises(ValueError, match=words):
        per_sample(model, np.zeros(shape), np.zeros((shape[0], 2)), "mse")
