"""Layer-sequential unit variance: what layers compute on the data, seen by another forward pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nets import ACTIVATIONS, assert_close, bits, chain

import fastgrad as fg
from fastgrad import initializers as ini
from fastgrad.containers import Chain


def tower(*, bias="zeros", dtype="float64", rng=0):
    """Dense layers in every place that a layer can have."""

    def dense(inputs, outputs, activation=None):
        return fg.Dense(inputs, outputs, activation, bias_init=bias)

    return fg.Sequential(
        dense(12, 20, "relu"),
        fg.BatchNorm(20),
        fg.Sequential(dense(20, 16, "tanh"), fg.Sequential(dense(16, 16, "gelu"), rng=1), rng=1),
        fg.Residual(
            fg.RMSNorm(16),
            dense(16, 30, "silu"),
            fg.Residual(dense(30, 30, "sigmoid"), scale=0.5),
            dense(30, 16),
            scale=0.0,
            learn_scale=True,
        ),
        fg.Activation("selu"),
        dense(16, 3),
        rng=rng,
        dtype=dtype,
    )


def variances(layers, params, x, found, prefix=""):
    """The variance of what each Dense layer computes, by name, and the output, in NumPy."""
    for i, layer in enumerate(layers):
        name = f"{prefix}{i}"
        if isinstance(layer, Chain):
            x = variances(layer.layers, params, x, found, f"{name}.")
        elif isinstance(layer, fg.Residual):
            f = variances(layer.layers, params, x, found, f"{name}.")
            x = x + params.get(f"{name}.scale", layer.scale) * f
        elif isinstance(layer, fg.BatchNorm):
            x = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + layer.eps)
        elif isinstance(layer, fg.RMSNorm):
            x = x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + layer.eps)
        else:
            if isinstance(layer, fg.Dense):
                x = x @ params[f"{name}.weight"].T + params[f"{name}.bias"]
                found[name] = x.var()
            x = ACTIVATIONS[layer.activation][0](x)
    return x


NAMES = ["0", "2.0", "2.1.0", "3.1", "3.2.0", "3.3", "5"]


def rows(count=300, features=12, seed=0):
    return 3 * np.random.default_rng(seed).standard_normal((count, features)) + 1


def test_every_dense_layer_has_unit_variance(engine):
    model = tower()
    report = ini.lsuv(model, rows(), tol=1e-6, rng=0)
    assert list(report.variance) == list(report.tries) == NAMES
    found: dict[str, float] = {}
    variances(model.layers, model.params, rows(), found)
    for name in NAMES:
        assert abs(found[name] - 1) < 2e-6
        assert report.variance[name] == pytest.approx(found[name], rel=1e-12)
        assert report.tries[name] == 1  # without biases one division is exact


def test_float32_too():
    model = tower(dtype="float32")
    report = ini.lsuv(model, rows(), tol=1e-4, rng=0)
    assert max(abs(v - 1) for v in report.variance.values()) < 1e-4
    assert set(report.tries.values()) <= {0, 1}


def test_weights_are_orthonormal_but_for_a_factor():
    model = tower()
    ini.lsuv(model, rows(), rng=0)
    for name in NAMES:
        w = model.params[f"{name}.weight"]
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        assert abs(gram / gram[0, 0] - np.eye(len(gram))).max() < 1e-12


def test_biases_stay_and_take_more_tries():
    model = tower(bias=ini.normal(0.6))
    biases = {name: view.copy() for name, view in model.params.items() if name.endswith("bias")}
    report = ini.lsuv(model, rows(), tol=1e-3, max_tries=50, rng=0)
    assert max(report.tries.values()) > 1
    for name, bias in biases.items():
        assert np.array_equal(model.params[name], bias)
    found: dict[str, float] = {}
    variances(model.layers, model.params, rows(), found)
    assert max(abs(v - 1) for v in found.values()) <= 1e-3 * (1 + 1e-9)


def test_what_is_within_the_tolerance_is_left_orthonormal():
    model = fg.Sequential(fg.Dense(30, 20), rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((400, 30))
    report = ini.lsuv(model, x, tol=0.1, rng=3)
    assert report.tries == {"0": 0}
    q = ini.orthogonal()((20, 30), np.random.default_rng(3), "float64")
    assert np.array_equal(model.params["0.weight"], q)


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(threads):
    results = set()
    for count in (1, 2, 3):
        threads(count)
        model = tower(dtype="float32", rng=count)
        ini.lsuv(model, rows(700), rng=5)
        results.add(bits(*(model.params[f"{name}.weight"] for name in NAMES)))
    assert len(results) == 1


def test_buffers_and_other_parameters_stay():
    model = tower()
    model.params["1.weight"] = np.arange(20.0)
    model.params["3.scale"] = [0.25]
    before = model.flat_buffers.copy()
    ini.lsuv(model, rows(), rng=0)
    assert np.array_equal(model.flat_buffers, before)
    assert np.array_equal(model.params["1.weight"], np.arange(20.0))
    assert model.params["3.scale"] == 0.25


def test_sequences_and_layers_in_python():
    class Twice(fg.Layer):
        def forward(self, x, params, train):
            return 2 * x

    model = fg.Sequential(fg.Dense(12, 8, "tanh"), Twice(), fg.Dense(8, 3), rng=0, dtype="float64")
    report = ini.lsuv(model, rows().reshape(60, 5, 12), tol=1e-9, rng=0)
    z = 2 * np.tanh(rows() @ model.params["0.weight"].T) @ model.params["2.weight"].T
    assert z.var() == pytest.approx(1, abs=1e-9)
    assert list(report.tries) == ["0", "2"]


def test_indices_and_branches():
    model = fg.Sequential(
        fg.Embedding(20, 6),
        fg.Flatten(4, 6),
        fg.Parallel(fg.Dense(24, 5, "relu"), fg.Sequential(fg.Dense(24, 7), rng=0)),
        fg.Dense(12, 3),
        rng=0,
        dtype="float64",
    )
    x = np.random.default_rng(0).integers(20, size=(400, 4))
    assert list(ini.lsuv(model, x, tol=1e-9, rng=0).tries) == ["2.0", "2.1.0", "3"]
    p = model.params
    flat = p["0.weight"][x].reshape(400, 24)
    first, second = flat @ p["2.0.weight"].T, flat @ p["2.1.0.weight"].T
    last = np.hstack([np.maximum(first, 0), second]) @ p["3.weight"].T
    for z in (first, second, last):
        assert z.var() == pytest.approx(1, abs=1e-9)


def test_standardized_rows():
    model = fg.Sequential(fg.Standardize(12), fg.Dense(12, 5), rng=0, dtype="float64")
    with pytest.raises(RuntimeError, match="Standardize has not been fitted"):
        ini.lsuv(model, rows())
    model.fit_input(rows())
    ini.lsuv(model, rows(), tol=1e-9, rng=0)
    assert model.predict(rows()).var() == pytest.approx(1, abs=1e-9)


def test_with_dropout_it_sees_what_training_sees():
    layers = fg.Dense(12, 64, "relu"), fg.Dropout(0.5), fg.Dense(64, 64)
    model = fg.Sequential(*layers, rng=0, dtype="float64")
    ini.lsuv(model, rows(600), tol=1e-9, rng=0)
    # with other masks; 600 rows tell a variance to sqrt(2 / 600) at worst, and 1 from about 2
    assert abs(model.forward(rows(600), train=True).var() - 1) < 5 * math.sqrt(2 / 600)


def test_the_report_can_be_read():
    report = ini.lsuv(chain(12, 4, 2), rows(), rng=0)
    assert repr(report).splitlines()[0].split()[:2] == ["0", "variance"]
    assert len(repr(report).splitlines()) == 2


def deep(init):
    layers = [fg.Dense(64, 64, "tanh", weight_init=init) for _ in range(49)]
    return fg.Sequential(*layers, fg.Dense(64, 10), rng=0)


def test_a_deep_net_that_vanished_learns_after_it():
    from fastgrad.datasets import load_digits

    images, labels = load_digits()
    X, y = images[:500] / 16, labels[:500]
    small = ini.normal(0.02)  # a fifth of what 64 inputs need
    dead, cured = deep(small), deep(small)
    ini.lsuv(cured, X, rng=0)
    norms = []
    for model in (dead, cured):
        model.forward(X)
        dy = np.zeros((500, 10))
        dy[:, 0] = 1
        model.backward(dy)
        norms.append([np.linalg.norm(model.grads[f"{i}.weight"]) for i in (0, 48)])
    # weights of variance 0.02^2 multiply the gradient by 0.16 in each layer; with a variance of 1
    # before each tanh, chi = 0.464 / 0.394, and it grows a little
    assert norms[0][0] < 1e-30
    assert norms[1][0] > norms[1][1]
    losses = []
    for model in (dead, cured):
        trainer = fg.Trainer(model, "cross_entropy", fg.Adam(3e-4), rng=0)
        losses.append([trainer.epoch(X, y, 50) for _ in range(12)][-1])
    assert losses[0] > 0.9 * math.log(10)  # that of guessing
    assert losses[1] < 0.5 * math.log(10)


class Explodes(fg.Layer):
    def forward(self, x, params, train):
        return np.full_like(x, np.inf)


def broken(layer):
    return fg.Sequential(fg.Dense(12, 8, "relu"), layer, fg.Dense(8, 3), rng=0)


NEVER = ini.constant(-1e3)  # a bias below which relu is dead
X = rows()


@pytest.mark.parametrize(
    ("model", "x", "options", "error", "message"),
    [
        ("model", X, {}, TypeError, "model must be a fastgrad.Sequential, got 'model'"),
        (fg.Dense(12, 3), X, {}, TypeError, "model must be a fastgrad.Sequential, got Dense"),
        (tower(), X[:, :5], {}, ValueError, r"x has shape \(300, 5\), needs \(N, 12\)"),
        (tower(), X[:0], {}, ValueError, "x has shape .* needs no axis of length 0"),
        (tower(), X * np.nan, {}, ValueError, "x has 3600 values that are not finite"),
        (tower(), X[:1], {}, ValueError, "BatchNorm needs at least 2 rows"),
        (tower(), X, {"tol": 0}, ValueError, "tol must lie in"),
        (tower(), X, {"tol": "0.1"}, TypeError, "tol must be a number, got '0.1'"),
        (tower(), X, {"max_tries": 0}, ValueError, "max_tries must be at least 1, got 0"),
        (tower(), X, {"max_tries": 1.0}, TypeError, "max_tries must be an integer, got 1.0"),
        (tower(), X, {"rng": "seed"}, TypeError, "rng must be a seed"),
        (fg.Sequential(fg.Activation("tanh")), X, {}, ValueError, "model has no Dense layer"),
        (
            fg.Sequential(fg.Dense(12, 8, "relu", bias_init=NEVER), fg.Dense(8, 3), rng=0),
            X,
            {},
            ValueError,
            "the output of layer 1 does not vary: its input is 0, or one row alone",
        ),
        (
            fg.Sequential(
                fg.Dense(12, 8, "relu", bias_init=NEVER),
                fg.Residual(fg.Sequential(fg.Dense(8, 8, bias_init="ones"), rng=0)),
                rng=0,
            ),
            X,
            {},
            ValueError,
            r"the output of layer 1\.0\.0 does not vary",
        ),
        (fg.Sequential(fg.Dense(12, 1)), X[:1], {}, ValueError, "layer 0 does not vary"),
        (broken(Explodes()), X, {}, ValueError, "the output of layer 2 is not finite"),
        (
            fg.Sequential(fg.Dense(12, 8), Explodes(), rng=0),
            X,
            {},
            ValueError,
            "the output of layer 1 is not finite",
        ),
        (
            fg.Sequential(fg.Dense(12, 9, bias_init=ini.normal(3.0)), rng=0),
            X,
            {},
            ValueError,
            r"layer 0 has the variance [\d.]+ after 10 tries, needs 1 within 0.1; its biases",
        ),
    ],
    ids=lambda v: None,
)
def test_bad_input_leaves_the_model_as_it_was(model, x, options, error, message):
    before = bits(model.flat_params, model.flat_buffers) if hasattr(model, "flat_params") else None
    with pytest.raises(error, match=message):
        ini.lsuv(model, x, **options)
    if before is not None:
        assert bits(model.flat_params, model.flat_buffers) == before


def test_training_goes_on_as_before():
    """What was recorded before looks into the same arrays."""
    model = chain(12, 8, 3, dtype="float64")
    model.predict(rows())
    ini.lsuv(model, rows(), rng=0)
    p = model.params
    wanted = np.tanh(rows() @ p["0.weight"].T + p["0.bias"]) @ p["1.weight"].T + p["1.bias"]
    assert_close(model.predict(rows()), wanted, np.float64, 100)
