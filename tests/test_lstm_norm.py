"""Layer-normalized LSTMs: what they have that other recurrent layers do not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rounding import assert_within, rounding
from scipy.special import expit

import fastgrad as fg

N, T, INPUTS, H = 4, 6, 3, 12
WEIGHTS = ("0.weight_ih_l0", "0.weight_hh_l0")


@pytest.fixture
def model(level, rng):
    """No parameter has a value that would hide an error, such as 0 or 1."""
    layer = fg.LSTM(INPUTS, H, layer_norm=True, return_sequences=True)
    found = fg.Sequential(layer, rng=0, dtype="float64")
    for name, view in found.params.items():
        view[...] = ("norm" in name) + 0.5 * rng.standard_normal(view.shape)
    return found


def test_without_scales_the_steps_see_biases_alone(model, rng):
    """Where weights of norms are 0, whatever comes in: h and c are known."""
    p = {name[2:-3]: view for name, view in model.params.items()}
    for name in ("ih", "hh", "c"):
        p[f"norm_{name}_weight"][...] = 0
    z = p["bias_ih"] + p["bias_hh"] + p["norm_ih_bias"] + p["norm_hh_bias"]
    i, f, g, o = np.split(z, 4)
    y, c = model.forward(rng.standard_normal((N, T, INPUTS))), np.zeros(H)
    for t in range(T):
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(p["norm_c_bias"])
        # the sum of four biases, which is as uncertain as 4 of its roundings, and two functions
        bound = rounding(1 + np.abs(o), np.float64, 30)
        assert_within(y[:, t], np.tile(h, (N, 1)), np.tile(bound, (N, 1)))
    bound = rounding(T + np.abs(z).reshape(4, H).sum(axis=0), np.float64, 30 * T)
    assert_within(model.states["0.c_l0"], np.tile(c, (N, 1)), np.tile(bound, (N, 1)))


def test_the_scale_of_weights_does_not_matter(model, rng):
    """But for eps, which is nothing beside sums that are large: then not even one bit of a factor
    that is a power of 2, and weights have gradients along the sphere alone."""
    x, dy = rng.standard_normal((N, T, INPUTS)), rng.standard_normal((N, T, H))
    states = {name: rng.standard_normal((N, H)) for name in ("0.h_l0", "0.c_l0")}
    outputs = []
    for _ in range(2):
        for name in WEIGHTS:
            model.params[name][...] *= 2.0**60
        outputs.append(model.forward(x, states=states))
    assert np.array_equal(*outputs)
    model.backward(dy)
    for name in WEIGHTS:
        terms = model.params[name] * model.grads[name]
        # rows of 4 H gates, whose projection is rounded at each of T steps of N sequences
        assert abs(terms.sum()) <= rounding(np.abs(terms).sum(), np.float64, N * T * (4 * H + 40))


def test_parameters_and_what_they_start_with():
    model = fg.Sequential(fg.LSTM(3, 4, layer_norm=True, forget_bias=2.0), rng=0)
    shapes = {name: view.shape for name, view in model.params.items() if "norm" in name}
    blocks = {"ih": 16, "hh": 16, "c": 4}
    assert shapes == {
        f"0.norm_{name}_{what}_l0": (width,)
        for name, width in blocks.items()
        for what in ("weight", "bias")
    }
    for name in shapes:
        assert (model.params[name] == ("weight" in name)).all()
    assert np.array_equal(model.params["0.bias_ih_l0"], np.repeat([0, 2, 0, 0], 4))


def test_peepholes_are_refused():
    message = "layer_norm has no peepholes: choose one of the two"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fg.LSTM(3, 4, layer_norm=True, peepholes=True)
