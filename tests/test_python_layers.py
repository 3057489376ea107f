"""Layers written in Python between compiled ones: results, state, and what they raise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import assert_close, bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")


class Affine(fg.Layer):
    """`fg.Dense` once more."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs

    def parameters(self):
        weight = fg.initializers.for_activation("identity")
        return {"weight": ((self.outputs, self.inputs), weight), "bias": ((self.outputs,), zeros)}

    def output_features(self, inputs):
        return self.outputs

    def forward(self, x, params, train):
        if train:
            self.x = x
        return x @ params["weight"].T + params["bias"]

    def backward(self, dy, params, grads):
        grads["weight"][...] = dy.T @ self.x
        grads["bias"][...] = dy.sum(axis=0)
        return dy @ params["weight"]


class Tanh(fg.Layer):
    """`fg.Activation("tanh")` once more."""

    def forward(self, x, params, train):
        y = np.tanh(x)
        if train:
            self.slope = 1 - y**2
        return y

    def backward(self, dy, params, grads):
        return dy * self.slope


class Faulty(Tanh):
    """Raises at a given forward or backward call, counted together."""

    def __init__(self, error=None, after=0):
        self.error, self.calls_left = error, after

    def look(self):
        self.calls_left -= 1
        if self.calls_left < 0 and self.error:
            error, self.error = self.error, None
            raise error

    def forward(self, x, params, train):
        self.look()
        return super().forward(x, params, train)

    def backward(self, dy, params, grads):
        self.look()
        return super().backward(dy, params, grads)


def zeros(shape, rng, dtype):
    return np.zeros(shape, dtype)


def pair(first, middle, last, dtype, rng=0):
    """The model with the three layers, and its built-in twin, from the same parameters."""
    model = fg.Sequential(first, middle, last, rng=rng, dtype=dtype)
    twin = fg.Sequential(
        fg.Dense(5, 8), fg.Activation("tanh"), fg.Dense(8, 3), rng=rng, dtype=dtype
    )
    for mine, theirs in zip(twin.params.values(), model.params.values(), strict=True):
        mine[...] = theirs
    return model, twin


LAYERS = {
    "no parameters": lambda: (fg.Dense(5, 8), Tanh(), fg.Dense(8, 3)),
    "first": lambda: (Affine(5, 8), fg.Activation("tanh"), fg.Dense(8, 3)),
    "last": lambda: (fg.Dense(5, 8), fg.Activation("tanh"), Affine(8, 3)),
    "all": lambda: (Affine(5, 8), Tanh(), Affine(8, 3)),
}

X = np.random.default_rng(0).standard_normal((22, 5))
Y = np.random.default_rng(1).integers(3, size=22)


def passes(model):
    y = model.forward(X)
    return y, model.backward(y), model.flat_grads


def steps(model):
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1, momentum=0.9), fg.ClipNorm(0.5))
    return [trainer.step(X, Y) for _ in range(3)], model.flat_params


def epochs(model):
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0)
    return [trainer.epoch(X, Y, 5) for _ in range(3)], trainer.evaluate(X, Y), model.flat_params


def fit(model):
    options = {"optimizer": fg.SGD(0.1), "epochs": 3, "batch_size": 5, "validation": 0.25}
    run = fg.fit(model, X, Y, loss="cross_entropy", progress=False, rng=0, **options)
    return run.history["loss"], run.history["val_loss"], model.flat_params


@pytest.mark.parametrize("train", [passes, steps, epochs, fit])
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_they_do_what_built_in_ones_do(layers, train, dtype, backend):
    model, twin = pair(*layers(), dtype)
    for got, wanted in zip(train(model), train(twin), strict=True):
        # three epochs are 15 steps, each of them two passes through sums over 8 and 22 terms
        assert_close(got, wanted, dtype, 15 * 2 * (5 + 8 + 22))


def test_gradcheck_knows_them():
    model = fg.Sequential(Affine(5, 8), Tanh(), Affine(8, 3), rng=0, dtype="float64")
    assert fg.gradcheck(model, X, loss="cross_entropy", y=Y)
    assert [*model.params] == ["0.weight", "0.bias", "2.weight", "2.bias"]


SMOOTH = ["identity", "elu", "gelu", "gelu_tanh", "silu", "softplus", "tanh", "sigmoid"]
WIDTH = st.integers(1, 6)
BUILD = {
    "dense": st.builds(fg.Dense, WIDTH, WIDTH, st.sampled_from(SMOOTH), bias=st.booleans()),
    "activation": st.builds(fg.Activation, st.sampled_from(SMOOTH)),
    "tanh": st.builds(Tanh),
    "affine": st.builds(Affine, WIDTH, WIDTH),
}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(*BUILD.values()), min_size=1, max_size=9), st.integers(1, 4))
def test_any_stack_of_layers(layers, rows):
    """Their passes fit, and a training step comes to the gradient of their loss."""
    width = next((layer.inputs for layer in layers if layer.inputs), 3)
    inputs = width
    for layer in layers:
        if layer.inputs:  # in a random stack, each takes what the one before it gives
            layer.inputs, width = width, layer.outputs
    model = fg.Sequential(*layers, rng=0, dtype="float64")
    x = np.random.default_rng(rows).standard_normal((rows, inputs))
    assert fg.gradcheck(model, x)
    y = model.forward(x)
    model.backward(2 * (y - 1) / y.size)
    expected = model.flat_grads.copy()
    fg.Trainer(model, "mse", fg.SGD(1e-300)).step(x, np.ones_like(y))
    assert_close(model.flat_grads, expected, np.float64, 9 * 20)


def test_predict_does_not_disturb_their_state():
    model = fg.Sequential(Affine(5, 8), Tanh(), fg.Dense(8, 3), rng=0)
    _, dx, _ = passes(model)
    y = model.forward(X)
    model.predict(-X), model.predict(X[:3])
    assert bits(model.backward(y)) == bits(dx)


CALLS = {  # calls before the one that raises, and the steps that are done by then
    "forward": (0, lambda model: model.forward(X), 0),
    "predict": (0, lambda model: model.predict(X), 0),
    "backward": (1, lambda model: (model.forward(X), model.backward(np.ones((22, 3)))), 0),
    "step forward": (0, lambda model: trained(model).step(X, Y), 0),
    "step backward": (1, lambda model: trained(model).step(X, Y), 0),
    "epoch forward": (4, lambda model: trained(model).epoch(X, Y, 5, shuffle=False), 2),
    "epoch backward": (5, lambda model: trained(model).epoch(X, Y, 5, shuffle=False), 2),
    "last of an epoch": (9, lambda model: trained(model).epoch(X, Y, 5, shuffle=False), 4),
    "evaluate": (0, lambda model: trained(model).evaluate(X, Y), 0),
}


def trained(model):
    return fg.Trainer(model, "cross_entropy", fg.SGD(0.1))


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("case", CALLS)
def test_what_they_raise_arrives_and_does_no_harm(case, error, engine):
    after, act, done = CALLS[case]
    model, good = (  # five rows are enough work for two threads
        fg.Sequential(fg.Dense(5, 8000), layer, fg.Dense(8000, 3), rng=0)
        for layer in (Faulty(error, after), Tanh())
    )
    with pytest.raises(type(error)) as caught:
        act(model)
    assert caught.value is error
    for step in range(done):
        rows = slice(5 * step, 5 * step + 5)
        trained(good).step(X[rows], Y[rows])
    assert bits(model.flat_params) == bits(good.flat_params)
    assert bits(model.predict(X)) == bits(good.predict(X))
    assert trained(model).epoch(X, Y, 5, shuffle=False) == trained(good).epoch(
        X, Y, 5, shuffle=False
    )
    assert bits(model.flat_params) == bits(good.flat_params)


def test_backward_does_not_go_with_a_forward_that_raised():
    layer = Faulty(KeyError("mine"), after=1)
    model = fg.Sequential(fg.Dense(5, 8), layer, fg.Dense(8, 3), rng=0)
    y = model.forward(X)
    with pytest.raises(KeyError, match="mine"):
        model.forward(-X)
    with pytest.raises(RuntimeError, match="needs a forward"):
        model.backward(y)


@pytest.mark.parametrize(
    ("method", "function"),
    [("forward", lambda self, x, params, train: x[:, :-1]), ("backward", lambda *a: np.ones(3))],
)
def test_a_wrong_shape_is_named(method, function):
    layer = type("Mine", (Tanh,), {method: function})()
    model = fg.Sequential(fg.Dense(5, 8), layer, fg.Dense(8, 3), rng=0)
    with pytest.raises(ValueError, match=rf"Mine\.{method} returned .*, needs \(22, 8\)"):
        trained(model).step(X, Y)


def test_a_missing_method_is_named():
    model = fg.Sequential(fg.Dense(5, 8), type("Mine", (fg.Layer,), {})(), rng=0)
    with pytest.raises(NotImplementedError, match="Mine must define forward or record"):
        model.predict(X)


def test_training_inside_training():
    """A layer may use another model, whose kernels then run inside those of the first."""
    inner = chain(8, 8, rng=1)

    class Outer(Tanh):
        def forward(self, x, params, train):
            return super().forward(inner.predict(x), params, train)

    model = fg.Sequential(fg.Dense(5, 8), Outer(), fg.Dense(8, 3), rng=0)
    weight, bias = inner.params.values()
    hidden = np.tanh((X @ model.params["0.weight"].T) @ weight.T + bias)
    assert_close(
        model.predict(X), hidden @ model.params["2.weight"].T, np.float32, 2 * (5 + 8 + 8 + 40)
    )


def test_labels_changed_during_an_epoch_are_not_looked_at():
    """Classes index memory: those that were checked are those that are used."""
    y = np.arange(64) % 3

    class Vandal(fg.Layer):
        def forward(self, x, params, train):
            if train:
                y.fill(10**12)
            return x

        def backward(self, dy, params, grads):
            return dy

    def trained(layer):
        y[...] = np.arange(64) % 3
        model = fg.Sequential(fg.Dense(5, 8, "tanh"), layer, fg.Dense(8, 3), rng=0)
        X = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
        fg.Trainer(model, "cross_entropy", rng=0).epoch(X, y, 16)
        return model.flat_params.tobytes()

    assert trained(Vandal()) == trained(fg.Activation("identity"))
