"""Gradients at each time step, and the step at which they or the outputs stop being finite."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from nets import assert_close, bits

import fastgrad as fg

pytestmark = [
    pytest.mark.usefixtures("recurrent"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # NumPy says where numbers overflow
]

N, T, F, H = 4, 7, 3, 5
LENGTHS = np.array([3, 7, 0, 5])
KINDS = {"rnn": fg.RNN, "lstm": fg.LSTM, "gru": fg.GRU}


def make(kind, **how):
    layer = KINDS[kind](F, H, **how)
    return fg.Sequential(layer, fg.Dense(layer.output_features(F), 2), rng=0, dtype="float64")


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_norms_are_those_of_states(kind, lengths, rng):
    """dL/dh_t is the gradient of the initial state of what comes after step t."""
    x = rng.standard_normal((N, T, F))
    model = make(kind)
    own = np.full(N, T) if lengths is None else lengths
    y = model.forward(x, lengths=lengths)
    dy = rng.standard_normal(y.shape)
    model.backward(dy)
    found = model.time_gradients["0.l0"]
    for t in range(T):
        # a sequence that ends with step t or before gets the gradient of its last state there
        model.forward(x[:, : t + 1], lengths=np.minimum(own, t + 1))
        states = model.states
        if t + 1 == T:
            d = {"0.h_l0": dy @ model.params["1.weight"]}
            d |= {name: np.zeros((N, H)) for name in states if name != "0.h_l0"}
        else:
            model.forward(x[:, t + 1 :], lengths=np.maximum(own - t - 1, 0), states=states)
            model.backward(dy)
            d = model.state_grads
        here = (own > t)[:, None]
        wanted = np.linalg.norm(d["0.h_l0"] * here)
        assert found.h[t] == pytest.approx(wanted, rel=1e-12), t
    assert (found.c is None) == (kind != "lstm")
    assert np.isnan(found.gain[0])
    assert found.gain[1:-1].shape == (T - 2,)


def test_the_gain_of_a_linear_layer_is_that_of_its_matrix(rng):
    """With w = a I each step multiplies gradients by a."""
    for a in (0.5, 1.25):
        model = fg.Sequential(fg.RNN(F, H, "identity", recurrent_init=a * np.eye(H)), rng=0)
        model.forward(rng.standard_normal((N, T, F)))
        model.backward(np.ones((N, H)))
        found = model.time_gradients["0.l0"]
        assert found.gain[1:] == pytest.approx(np.full(T - 1, a), rel=1e-6)
        assert found.h == pytest.approx((N * H) ** 0.5 * a ** np.arange(T)[::-1], rel=1e-6)


def test_every_level_and_direction_has_its_own(rng):
    model = fg.Sequential(
        fg.Dense(2, F),
        fg.Sequential(fg.LSTM(F, 4, num_layers=2, bidirectional=True, return_sequences=True)),
        fg.Parallel(fg.GRU(8, 3), fg.RNN(8, 3)),
        rng=0,
    )
    assert model.time_gradients == {}
    assert fg.Sequential(fg.Dense(2, 1)).time_gradients == {}
    model.forward(rng.standard_normal((N, T, 2)))
    assert model.time_gradients == {}
    model.backward(np.ones((N, 6)))
    found = model.time_gradients
    levels = {f"1.0.l{i}{end}" for i in range(2) for end in ("", "_reverse")}
    assert found.keys() == levels | {"2.0.l0", "2.1.l0"}
    assert {name for name, one in found.items() if one.c is not None} == levels
    assert len(model.states) == 2 * 4 + 2  # and branches have states of their own
    found["2.0.l0"].h[:] = -1
    assert (model.time_gradients["2.0.l0"].h >= 0).all()


def test_they_are_those_of_the_last_pass(rng):
    x, y = rng.standard_normal((N, T, F)), rng.standard_normal((N, 2))
    model, twin = make("lstm"), make("lstm")
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-30))

    def same():
        (a,), (b,) = model.time_gradients.values(), twin.time_gradients.values()
        return bits(a.h, a.c, a.gain) == bits(b.h, b.c, b.gain)

    def by_hand(x, y):
        z = twin.forward(x)
        twin.backward(2 * (z - y) / z.size)
        one, other = model.time_gradients["0.l0"], twin.time_gradients["0.l0"]
        assert_close(one.h, other.h, "float64", 1000)
        assert_close(one.c, other.c, "float64", 1000)

    trainer.step(x, y)
    by_hand(x, y)
    trainer.step(x[:2, :4], y[:2])
    by_hand(x[:2, :4], y[:2])
    trainer.epoch(x, y, 3, shuffle=False)
    by_hand(x[3:], y[3:])
    trainer.epoch(x, y, 2, shuffle=False)
    by_hand(x[2:], y[2:])
    trainer.epoch(x, y, 4, bptt=3)
    assert model.time_gradients["0.l0"].h.shape == (3,)
    model.predict(x)
    assert model.time_gradients["0.l0"].h.shape == (3,)
    twin.forward(x)
    twin.backward(np.ones((N, 2)), input_grad=False)
    assert not same()


# Large inputs from some step on make outputs, or through a steep linear layer gradients, infinite.


def error_of(model, x, y, **how):
    trainer = fg.Trainer(model, "mse", fg.SGD(1e-30))
    before = bits(model.flat_params)
    with pytest.raises(fg.GradientError) as caught:
        (trainer.epoch if "bptt" in how or "batch_size" in how else trainer.step)(x, y, **how)
    if "bptt" not in how:
        assert bits(model.flat_params) == before
    return caught.value


def linear(**how):
    return fg.RNN(F, H, "identity", **how)


SHAPES = {
    "a vector": lambda: [linear()],
    "sequences": lambda: [linear(return_sequences=True), fg.GRU(H, H)],
    "the second level": lambda: [fg.RNN(F, H, "identity", num_layers=2)],
    "reverse": lambda: [linear(reverse=True)],
    "both ways": lambda: [fg.RNN(F, H, "identity", bidirectional=True)],
    "within": lambda: [fg.Sequential(fg.Dense(F, F), linear())],
    "a branch": lambda: [fg.Parallel(fg.GRU(F, H), linear())],
}


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_output_that_is_not_finite_has_a_time(shape, lengths, rng):
    found = SHAPES[shape]()
    model = fg.Sequential(*found, rng=0)
    x = rng.standard_normal((N, T, F))
    x[1, 4] = 3e38 * np.sign(rng.standard_normal(F))
    for name, view in model.params.items():
        if "weight_ih" in name:
            view[...] = np.where(view < 0, -100, 100)  # so that one such input is enough
    error = error_of(model, x, np.zeros((N, model.outputs)), lengths=lengths)
    assert (error.step, error.layer, error.tensor, error.time_step) == (0, 0, None, 4)
    assert "the output of layer 0" in str(error)
    assert "is not finite, first at time step 4; the param" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.time_step, again.layer, str(again)) == (4, 0, str(error))


def test_a_time_is_that_in_the_whole_sequence(rng):
    """In windows, and where the last steps of each sequence are trained on."""
    x = rng.standard_normal((N, T, F))
    x[1, 5] = np.array([3e38, -3e38, 3e38])
    for sequences in (True, False):
        model = fg.Sequential(linear(return_sequences=sequences), rng=0)
        model.params["0.weight_ih_l0"] *= 1e4
        y = np.zeros((N, T, H) if sequences else (N, H))
        for lengths in (None, [3, 6, 0, 5]):
            assert error_of(model, x, y, bptt=2, lengths=lengths).time_step == 5
    model = fg.Sequential(fg.Dense(F, 2), rng=0)
    model.params["0.bias"][...] = np.inf
    assert error_of(model, x, np.zeros((N, T, 2))).time_step is None


@pytest.mark.parametrize("reverse", [False, True])
def test_a_gradient_that_is_not_finite_has_a_time(reverse, rng):
    """w = 1e20 I, but the state stays 0: the gradient overflows two steps before the end."""
    layer = fg.RNN(F, H, "identity", recurrent_init=1e20 * np.eye(H), reverse=reverse)
    model = fg.Sequential(layer, rng=0)
    zeros = np.zeros((N, T, F))
    error = error_of(model, zeros, np.ones((N, H)))
    assert error.tensor == "0.weight_hh_l0"
    assert error.time_step == (2 if reverse else 4)
    assert (
        f"the gradient of 0.weight_hh_l0 is not finite, first at time step {error.time_step}"
        in (str(error))
    )
    assert not np.isfinite(model.time_gradients["0.l0"].h).all()
    with_lengths = error_of(model, zeros, np.ones((N, H)), lengths=LENGTHS)
    assert with_lengths.time_step == (None if reverse else 4)
    windows = error_of(model, zeros, np.ones((N, H)), bptt=4) if not reverse else None
    assert windows is None or windows.time_step == 4


def test_a_gradient_of_another_layer_has_none():
    class Poison(fg.Layer):
        def parameters(self):
            return {"scale": ((1,), fg.initializers.ones())}

        def forward(self, x, params, train):
            return x

        def backward(self, dy, params, grads):
            grads["scale"][...] = np.nan
            return dy

    model = fg.Sequential(fg.GRU(F, H), Poison(), rng=0)
    error = error_of(model, np.ones((N, T, F)), np.ones((N, H)), batch_size=2)
    assert (error.layer, error.tensor, error.time_step) == (1, "1.scale", None)
