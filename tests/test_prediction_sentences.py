"""What `fastgrad.health.predict` says of networks that cannot learn, or that Adam trains."""

import numpy as np
import pytest

import fastgrad as fg

predict = fg.health.predict
I = fg.initializers  # noqa: E741
Dense = fg.Dense


def chain(activation, *inits):
    """Dense layers, 30 to 16 to 16 to 2, of these weights."""
    shapes = (30, 16), (16, 16), (16, 2)
    functions = activation, activation, "identity"
    layers = [
        Dense(*shape, each, weight_init=init)
        for shape, each, init in zip(shapes, functions, inits, strict=True)
    ]
    return fg.Sequential(*layers, rng=0)


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((50, 30)).astype(np.float32)


def learns(model, x, steps=20):
    """Which weights change in some steps."""
    before = {n: v.copy() for n, v in model.params.items() if n.endswith("weight")}
    y = (x[:, 0] > 0).astype(int)
    trainer = fg.Trainer(model, "cross_entropy", fg.SGD(0.1), rng=0)
    for _ in range(steps):
        trainer.step(x, y)
    return [not np.array_equal(model.params[name], old) for name, old in before.items()]


HE = I.he_normal()
NOTHING = {
    "first 0": ((I.zeros(), HE, HE), "0.weight is all 0"),
    "second 0": ((HE, I.zeros(), HE), "1.weight is all 0"),
    "all 0": ((I.zeros(), I.zeros(), I.zeros()), "0.weight and 1.weight are all 0"),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_weights_of_0_that_nothing_moves(kind, x):
    inits, said = NOTHING[kind]
    for told in (predict(chain("relu", *inits)), predict(chain("relu", *inits), x)):
        assert not told.trainable
        assert "nothing can be learnt" in told.sentence
        assert said in told.sentence
    assert not any(learns(chain("relu", *inits), x))


def test_weights_of_0_that_move(x):
    # tanh has a slope at 0, and what is above the last weight moves it
    for model in (chain("tanh", I.zeros(), HE, HE), chain("relu", HE, HE, I.zeros())):
        assert predict(model, x).trainable
        assert all(learns(model, x))
    assert "2.weight is all 0" in predict(chain("relu", HE, HE, I.zeros())).sentence


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_constant_weights_keep_units_alike(activation, x):
    model = chain(activation, *[I.constant(0.1)] * 3)
    told = predict(model, x)
    assert not told.trainable
    assert "all units of layer 0" in told.sentence
    assert "stay the same" in told.sentence
    learns(model, x)
    assert np.ptp(model.params["0.weight"], axis=0).max() < 1e-6
    # one layer of them is no symmetry of the whole
    assert predict(chain(activation, I.constant(0.1), HE, HE), x).trainable


def test_inputs_of_0(x):
    told = predict(chain("relu", HE, HE, HE), 0 * x)
    assert not told.trainable
    assert "inputs that are all 0" in told.sentence


def test_depth_that_adam_copes_with():
    def said(depth):
        layers = [Dense(64, 64, "sigmoid") for _ in range(depth)]
        return predict(fg.Sequential(*layers, Dense(64, 2), rng=0))

    told = said(5)
    assert not told.trainable
    assert told.sentence.startswith("Not trainable by plain gradient descent")
    weights = [norm for name, norm in told.gradient_norms.items() if "weight" in name]
    assert f"between {min(weights):.2g} and {max(weights):.2g}" in told.sentence
    assert "Adam" in told.sentence
    # six decades are more than that
    far = said(25)
    assert far.sentence.startswith("Not trainable at its depth")
    assert "Adam" not in far.sentence


def test_large_outputs_of_residual_networks():
    blocks = [fg.Residual(Dense(64, 64, "relu"), Dense(64, 64)) for _ in range(20)]
    told = predict(fg.Sequential(*blocks, Dense(64, 2), rng=0))
    assert f"outputs have a mean square of {told.q['20']:.3g}" in told.sentence
    assert "Adam" in told.sentence


def test_words_of_nothing_and_of_one():
    one = predict(fg.Sequential(fg.LSTM(3, 8), Dense(8, 2), rng=0), steps=1)
    assert "remembers all of 1 step" in one.sentence
    zero = predict(chain("tanh", HE, I.zeros(), HE))
    assert "inf" not in zero.sentence
    assert "no gradient reaches" in zero.sentence


def test_gradients_that_are_0_by_construction_are_held(x):
    layers = [Dense(30, 16), fg.BatchNorm(16), fg.Activation("relu"), Dense(16, 2)]
    assert not predict(fg.Sequential(*layers, rng=0), x).notes
    assert not predict(chain("relu", HE, HE, HE), 0 * x).notes
