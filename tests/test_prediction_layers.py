"""Layers of all kinds as the bench measures them, and what is said of networks of them."""

import numpy as np
import pytest

import fastgrad as fg
from bench.prediction import TARGET
from bench.prediction_layers import errors

predict = fg.health.predict
Dense = fg.Dense


@pytest.mark.parametrize(
    "kind",
    ["30 BatchNorm relu", "30 LayerNorm relu", "30 Residual relu", "30 Residual relu dense",
     "LSTM, 2 levels", "LSTM, forget bias 3", "GRU, 3 levels", "Embedding LSTM"],
)  # fmt: skip
def test_first_weights_of_deep_and_stacked_layers(kind):
    found = errors(kind, 5)
    assert abs(next(each for name, each in found.items() if "weight" in name).median) <= TARGET


def dense(activation, weight_init, depth):
    return [Dense(64, 64, activation, weight_init=weight_init) for _ in range(depth)]


def normed(activation, depth):
    return [
        layer
        for _ in range(depth)
        for layer in (Dense(64, 64), fg.BatchNorm(64), fg.Activation(activation))
    ]


def residual(scale):
    return [fg.Residual(Dense(64, 64, "relu"), Dense(64, 64), scale=scale) for _ in range(100)]


SAID = {
    "deep sigmoid": (dense("sigmoid", "xavier_uniform", 50), False, "fastgrad.BatchNorm before"),
    "its cure": (normed("sigmoid", 50), True, "keeps|grows|shrinks"),
    "relu, Xavier": (dense("relu", "xavier_uniform", 30), False, "sigma_w 1.414"),
    "relu, He": (dense("relu", "he_normal", 30), True, "keeps|grows|shrinks"),
    "tanh, PyTorch": (
        dense("tanh", fg.initializers.torch_default(), 20), False, "critical('tanh')",
    ),
    "deep BatchNorm": (normed("relu", 40), False, "fastgrad.Residual"),
    "residual": (residual(1.0), False, "100 fastgrad.Residual blocks a scale of 0.1"),
    "residual, scaled": (residual(0.1), True, "keeps|grows|shrinks"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_sentences(name):
    layers, trainable, said = SAID[name]
    told = predict(fg.Sequential(*layers, rng=0))
    assert told.trainable is trainable
    assert told.sentence.startswith("Trainable" if trainable else "Not trainable")
    assert any(words in told.sentence for words in said.split("|"))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda: fg.RNN(8, 32), "take an LSTM"),
        (lambda: fg.LSTM(8, 32), "chrono(200)"),
        (lambda: fg.LSTM(8, 32, bias_init=fg.initializers.chrono(200)), None),
    ],
)
def test_memory_is_told_beside_the_length_of_sequences(layer, said):
    sentence = predict(fg.Sequential(layer(), Dense(32, 4), rng=0), steps=200).sentence
    assert "of 200 steps" in sentence
    assert ("next to nothing is learnt" in sentence) is (said is not None)
    assert said is None or said in sentence


def test_sizes_that_small_differences_decide_are_noted():
    def notes(activation):
        layers = dense(activation, "he_normal", 40)
        return predict(fg.Sequential(*layers, rng=0)).notes

    assert any("small differences" in note for note in notes("gelu"))
    assert not any("small differences" in note for note in notes("relu"))


def test_rows_beside_data():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 8)), rng.integers(3, size=200)
    model = fg.Sequential(Dense(8, 16, "relu"), Dense(16, 3), rng=0)
    whole = predict(model, X, y=y, loss="cross_entropy")
    part = predict(model, X, y=y, loss="cross_entropy", rows=8)
    # each row's share of the mean is larger
    assert part.loss_gradient == pytest.approx(whole.loss_gradient * 5, rel=1e-9)
    assert part.spread["0.weight"] > whole.spread["0.weight"]
    with pytest.raises(ValueError, match="y needs x and a loss"):
        predict(model, X, y=y)
    with pytest.raises(ValueError, match="y has 199 rows, x has 200"):
        predict(model, X, y=y[1:], loss="cross_entropy")
