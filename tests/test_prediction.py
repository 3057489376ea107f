"""`fastgrad.health.predict` against theory: published numbers, laws and measured networks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from bench.prediction import TARGET, Case

predict = fg.health.predict
I = fg.initializers  # noqa: E741

# E[phi^2], E[phi'^2] for a standard normal variable
MOMENTS = {
    "identity": (1, 1),
    "tanh": (0.394294, 0.464403),
    "sigmoid": (0.293379, 0.044836),
    "relu": (0.5, 0.5),
    "elu": (0.644945, 0.668102),
    "selu": (1.0, 1.071575),
    "gelu": (0.425221, 0.455851),
    "silu": (0.355776, 0.379482),
    "softplus": (0.921246, 0.293379),
    "softsign": (0.183014, 0.227671),
}


def scaled(width: int, sigma_w: float) -> np.ndarray:
    """An orthogonal weight, whose mean square is exactly sigma_w^2 / width."""
    return sigma_w * I.orthogonal()((width, width), np.random.default_rng(0), np.float64)


def chain(activation: str, sigma_w: float, depth: int, width: int = 32, sigma_b: float = 0.0):
    """Dense layers with exactly that sigma_w and sigma_b, and biases of mean 0."""
    bias = sigma_b * np.resize([1.0, -1.0], width)
    weight = scaled(width, sigma_w)
    layers = [
        fg.Dense(width, width, activation, weight_init=weight, bias_init=bias) for _ in range(depth)
    ]
    return fg.Sequential(*layers, rng=0, dtype="float64")


@pytest.mark.parametrize("activation", MOMENTS)
def test_moments_of_gaussian_pre_activations(activation):
    second, slope = MOMENTS[activation]
    prediction = predict(chain(activation, 1.0, 2))
    assert prediction.q["0"] == pytest.approx(1, rel=1e-12)
    assert prediction.q["1"] == pytest.approx(second, abs=1e-6)
    # the last layer's gradient points anywhere, so that nothing is special about its direction
    last = predict(chain(activation, 1.0, 1, width=256))
    assert last.chi["0"] == pytest.approx(slope, rel=0.02)


def test_torch_default_of_relu_vanishes():
    model = fg.Sequential(
        *[fg.Dense(128, 128, "relu", weight_init=I.torch_default()) for _ in range(31)], rng=0
    )
    prediction = predict(model)
    assert np.mean([*prediction.chi.values()]) == pytest.approx(1 / 6, rel=0.02)
    assert prediction.depth_scale == pytest.approx(0.56, abs=0.01)
    assert 6 * prediction.depth_scale == pytest.approx(3.3, abs=0.1)
    # after 30 layers; the median lies below the mean of 4.5e-24 by half the variance of the log
    ratio = (prediction.delta["0"] / prediction.delta["30"]) ** 2
    assert -24.5 < math.log10(ratio) < -23.0
    assert not prediction.trainable
    assert "sigma_w 1.414" in prediction.sentence
    assert "Not trainable" in repr(prediction)


@pytest.mark.parametrize(
    ("sigma_b2", "sigma_w2"),
    [(0.01, 1.4242), (0.05, 1.76095), (0.1, 1.9861), (0.3, 2.5051)],
)
def test_tanh_on_the_critical_line(sigma_b2, sigma_w2):
    depth = 40
    model = chain("tanh", sigma_w2**0.5, depth, width=128, sigma_b=sigma_b2**0.5)
    # of one row nothing is known but its size, so that weights are any with these moments
    chi = list(predict(model, rows=1).chi.values())[10:-10]
    assert chi == pytest.approx([1.0] * len(chi), abs=2e-2)


def test_trainable_up_to_six_depth_scales():
    # chi = 0.8 of a linear network
    scale = -1 / math.log(0.8)
    limit = int(6 * scale)
    for depth, expected in ((limit - 1, True), (limit + 2, False)):
        prediction = predict(chain("identity", 0.8**0.5, depth))
        assert prediction.depth_scale == pytest.approx(scale, rel=1e-9)
        assert prediction.trainable is expected


def test_dead_at_birth():
    dead = predict(fg.Sequential(*[fg.Dense(2, 2, "relu") for _ in range(10)], rng=0)).dead
    assert dead == pytest.approx(0.9437, abs=1e-3)
    wide = predict(fg.Sequential(*[fg.Dense(8, 8, "relu") for _ in range(50)], rng=0)).dead
    assert wide == pytest.approx(0.178, abs=2e-3)
    assert predict(fg.Sequential(fg.Dense(8, 8, "leaky_relu"), rng=0)).dead == 0


@pytest.mark.parametrize(("bias", "steps"), [(0, 1.44), (1, 3.19), (2, 7.88), (3, 20.6), (5, 149)])
def test_memory_of_an_lstm_by_its_forget_bias(bias, steps):
    # no weights: gates are what their biases say
    zeros = np.zeros((32, 8))
    layer = fg.LSTM(
        8, 8, forget_bias=bias, weight_init=zeros, recurrent_init=zeros, return_sequences=False
    )
    memory = predict(fg.Sequential(layer, rng=0), steps=10).memory["0.l0"]
    assert memory.half_memory == pytest.approx(steps, rel=5e-3)
    assert memory.gain == pytest.approx(math.exp(-1 / memory.half_memory), rel=1e-6)


def test_chrono_remembers_longer():
    def horizon(**how):
        model = fg.Sequential(fg.LSTM(8, 64, **how), rng=0)
        return predict(model, steps=50).memory["0.l0"].far

    usual, kept = horizon(), horizon(bias_init=I.chrono(200))
    assert kept > 5 * usual


def test_recurrence_by_its_gain():
    # all rows of its weights have the same norm, and with that all units the same variance
    orthogonal = fg.Sequential(fg.RNN(64, 64, weight_init=I.orthogonal()), rng=0)
    memory = predict(orthogonal, steps=30).memory["0.l0"]
    q = predict(orthogonal, steps=30).q["0"]
    assert memory.gain**2 == pytest.approx(I.MeanField("tanh").chi(q, 1.0), rel=1e-3)
    assert memory.horizon == pytest.approx(-1 / math.log(memory.gain))
    exploding = fg.Sequential(fg.RNN(16, 64, "relu", recurrent_init=I.orthogonal(2.0)), rng=0)
    assert not predict(exploding, steps=30).trainable


@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0])
def test_residual_gain(scale):
    inner = fg.Dense(64, 64, weight_init=scaled(64, 1.5))
    prediction = predict(fg.Sequential(fg.Residual(inner, scale=scale), rng=0, dtype="float64"))
    assert prediction.chi["0"] == pytest.approx(1 + scale**2 * 1.5**2, rel=1e-9)
    if not scale:
        assert prediction.gradient_norms["0.0.weight"] == 0


def test_batch_norm_explodes():
    layers = []
    for _ in range(20):
        layers += [fg.Dense(128, 128), fg.BatchNorm(128), fg.Activation("relu")]
    prediction = predict(fg.Sequential(*layers, rng=0), rows=4096)
    names = list(prediction.chi)
    blocks = [math.prod(prediction.chi[n] for n in names[i : i + 3]) for i in range(15, 45, 3)]
    assert blocks == pytest.approx([math.pi / (math.pi - 1)] * len(blocks), rel=0.01)
    assert prediction.depth_scale < 0
    assert "Residual" in prediction.sentence


def test_own_activation_by_quadrature():
    class Clipped(fg.Layer):
        def forward(self, x, params, train):
            return np.clip(x, 0, None)

    def net(activation):
        layers = [each for _ in range(5) for each in (fg.Dense(64, 64), activation())]
        return fg.Sequential(*layers, rng=0, dtype="float64")

    own, known = predict(net(Clipped)), predict(net(lambda: fg.Activation("relu")))
    for name, norm in known.gradient_norms.items():
        assert own.gradient_norms[name] == pytest.approx(norm, rel=1e-3)


def test_unknown_layer_is_said():
    class Reversed(fg.Layer):
        def forward(self, x, params, train):
            return x[:, ::-1]

    prediction = predict(fg.Sequential(fg.Dense(8, 8), Reversed(), fg.Dense(8, 2), rng=0))
    assert any("1 (Reversed)" in note for note in prediction.notes)
    assert prediction.chi["1"] == 1


@settings(deadline=None, max_examples=10)
@given(st.floats(0.1, 10), st.sampled_from(["relu", "leaky_relu", "identity"]))
def test_scaled_weights_of_homogeneous_networks(factor, activation):
    def net(s):
        return fg.Sequential(
            *[fg.Dense(16, 16, activation) for _ in range(4)], rng=0, dtype="float64"
        ), s

    model, _ = net(1)
    before = predict(model)
    model.flat_params[...] *= factor
    after = predict(model)
    for name, norm in before.gradient_norms.items():
        layer, _, kind = name.partition(".")
        # a weight's gradient goes through all other weights, a bias's through those above it
        power = 3 if kind == "weight" else 3 - int(layer)
        assert after.gradient_norms[name] == pytest.approx(norm * factor**power, rel=1e-4)
        assert after.spread[name] == pytest.approx(before.spread[name], abs=1e-6)


@settings(deadline=None, max_examples=10)
@given(st.floats(0.01, 100))
def test_first_weight_is_linear_in_the_data(factor):
    model = fg.Sequential(fg.Dense(16, 16), fg.Dense(16, 2), rng=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((8, 16))
    once, scaled_up = predict(model, x), predict(model, factor * x)
    name = "0.weight"
    assert scaled_up.gradient_norms[name] == pytest.approx(factor * once.gradient_norms[name])


@pytest.mark.parametrize(
    ("activation", "initializer", "depth"),
    [("relu", "he", 20), ("tanh", "xavier", 20), ("sigmoid", "torch", 20), ("selu", "lecun", 20),
     ("gelu", "orthogonal", 20), ("relu", "torch", 5)],
)  # fmt: skip
def test_measured_networks(activation, initializer, depth):
    errors, _, _ = Case(activation, initializer, depth).errors(8)
    assert np.median(np.abs(errors)) <= TARGET


LAYERS = {
    "batch norm": lambda: (fg.Dense(64, 64), fg.BatchNorm(64), fg.Activation("relu")),
    "layer norm": lambda: (fg.Dense(64, 64), fg.LayerNorm(64), fg.Activation("tanh")),
    "rms norm": lambda: (fg.Dense(64, 64, "relu"), fg.RMSNorm(64)),
    "dropout": lambda: (fg.Dense(64, 64, "relu"), fg.Dropout(0.3)),
    "residual": lambda: (fg.Residual(fg.Dense(64, 64, "relu"), fg.Dense(64, 64), scale=0.5),),
    "parallel": lambda: (
        fg.Parallel(fg.Dense(64, 48, "tanh"), fg.Dense(64, 16, "relu")),
        fg.Parallel(fg.Dense(64, 64), fg.Dense(64, 64, "tanh"), merge="sum"),
    ),
    "sequential": lambda: (fg.Sequential(fg.Dense(64, 64, "gelu"), fg.Dense(64, 64)),),
}
RECURRENT = {
    "rnn": lambda: fg.RNN(64, 64),
    "rnn sequences": lambda: fg.RNN(64, 64, "relu", return_sequences=True),
    "rnn both ways": lambda: fg.RNN(64, 64, bidirectional=True, num_layers=2),
    "lstm": lambda: fg.LSTM(64, 64),
    "lstm normed": lambda: fg.LSTM(64, 64, layer_norm=True),
    "lstm chrono": lambda: fg.LSTM(64, 64, bias_init=I.chrono(50)),
    "gru": lambda: fg.GRU(64, 64),
}


NETS = 5


def measured_errors(make, shape):
    """Of weights: medians over networks of log10(measured / predicted), beyond what chance does.

    The median of n normal numbers has a deviation of sqrt(pi / (2 n)) of theirs; of some dozens,
    one is expected within three of them.
    """
    found, spread = {}, {}
    for seed in range(NETS):
        model = fg.Sequential(*make(), rng=seed, dtype="float64")
        rng = np.random.default_rng([seed, 1])  # not the numbers that the weights are
        x = rng.standard_normal(shape)
        prediction = predict(model, x)
        dy = rng.standard_normal(model.forward(x).shape)
        model.backward(dy / np.linalg.norm(dy))
        for name, norm in prediction.gradient_norms.items():
            if "weight" in name and not math.isnan(norm):
                error = math.log10(np.linalg.norm(model.grads[name]) / norm)
                found.setdefault(name, []).append(error)
                spread[name] = prediction.spread[name]
    chance = 3 * math.sqrt(math.pi / (2 * NETS))
    return {
        name: max(abs(float(np.median(errors))) - chance * spread[name], 0.0)
        for name, errors in found.items()
    }


@pytest.mark.parametrize("kind", LAYERS)
def test_measured_layers(kind):
    def make():
        return [layer for _ in range(4) for layer in LAYERS[kind]()] + [fg.Dense(64, 10)]

    errors = measured_errors(make, (48, 64))
    assert max(errors.values()) <= TARGET / 2, errors


@pytest.mark.parametrize("kind", RECURRENT)
def test_measured_recurrent_layers(kind):
    def make():
        layer = RECURRENT[kind]()
        return layer, fg.Dense(layer.output_features(None), 10)

    errors = measured_errors(make, (32, 15, 64))
    # the products of gates over time are taken to decay as the memory alone does
    assert max(errors.values()) <= TARGET, errors


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU])
def test_one_hot_indices(cell):
    found = []
    for seed in range(10):
        model = fg.Sequential(
            cell(20, 16, one_hot=True), fg.Dense(16, 2), rng=seed, dtype="float64"
        )
        x = np.random.default_rng(seed).integers(20, size=(64, 7))
        predictions = predict(model, x), predict(model, rows=64, steps=7)
        gradient = np.random.default_rng(seed).standard_normal(model.forward(x).shape)
        model.backward(gradient / np.linalg.norm(gradient), input_grad=False)
        measured = np.linalg.norm(model.grads["0.weight_ih_l0"])
        found.append([np.log10(measured / p.gradient_norms["0.weight_ih_l0"]) for p in predictions])
    assert np.abs(np.median(found, axis=0)).max() < 0.15  # decades, the goal of all predictions
