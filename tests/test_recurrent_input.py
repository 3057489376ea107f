"""Recurrent layers: what they refuse, how they are described, saved and loaded."""

from __future__ import annotations

import re
from typing import get_type_hints

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad.recurrent import Options

INIT = fg.initializers
KINDS = {"RNN": fg.RNN, "LSTM": fg.LSTM, "GRU": fg.GRU}
OPTIONS = [
    ({"inputs": 0}, ValueError, "inputs must be at least 1, got 0"),
    ({"inputs": 2.5}, TypeError, "inputs must be an integer, got 2.5"),
    ({"units": -1}, ValueError, "units must be at least 1, got -1"),
    ({"units": "a"}, TypeError, "units must be an integer, got 'a'"),
    ({"num_layers": 0}, ValueError, "num_layers must be at least 1, got 0"),
    ({"num_layers": 1.5}, TypeError, "num_layers must be an integer, got 1.5"),
    ({"bidirectional": "yes"}, TypeError, "bidirectional must be True or False, got 'yes'"),
    ({"reverse": None}, TypeError, "reverse must be True or False, got None"),
    ({"return_sequences": 3}, TypeError, "return_sequences must be True or False, got 3"),
    ({"stateful": 0}, TypeError, "stateful must be True or False, got 0"),
    ({"learn_initial": "h"}, TypeError, "learn_initial must be True or False, got 'h'"),
    ({"one_hot": 2}, TypeError, "one_hot must be True or False, got 2"),
    ({"bias": "no"}, TypeError, "bias must be True or False, got 'no'"),
    ({"dropout": 1.0, "num_layers": 2}, ValueError, "dropout must lie in [0, 1), got 1.0"),
    ({"dropout": -0.1, "num_layers": 2}, ValueError, "dropout must lie in [0, 1), got -0.1"),
    ({"dropout": np.nan, "num_layers": 2}, ValueError, "dropout must lie in [0, 1), got nan"),
    ({"dropout": "0.5", "num_layers": 2}, TypeError, "dropout must be a number, got '0.5'"),
    (
        {"dropout": 0.5},
        ValueError,
        "dropout acts between layers: it needs num_layers of at least 2",
    ),
    (
        {"bidirectional": True, "reverse": True},
        ValueError,
        "reverse is one of the directions of a bidirectional layer",
    ),
    (
        {"stateful": True, "learn_initial": True},
        ValueError,
        "a stateful layer starts from its last state: it cannot learn one",
    ),
    (
        {"stateful": True, "reverse": True},
        ValueError,
        "a stateful layer goes on where it stopped: it cannot run in reverse",
    ),
    (
        {"stateful": True, "bidirectional": True},
        ValueError,
        "a stateful layer goes on where it stopped: it cannot run in reverse",
    ),
    *(
        ({name: "nope"}, ValueError, f"{name} of {{}}: expected one of chrono, ")
        for name in ("weight_init", "recurrent_init", "bias_init")
    ),
    ({"recurrent_init": "nope"}, ValueError, "zeros, got 'nope'"),
    ({"weight_init": 3}, TypeError, "weight_init of {}: expected a name, an ndarray or"),
    (
        {"bias_init": np.zeros(4, complex)},
        TypeError,
        "bias_init of {}: expected an array of real numbers, got complex128",
    ),
    (
        {"bias": False, "bias_init": "ones"},
        ValueError,
        "bias_init is 'ones', but bias=False leaves no bias",
    ),
    ({"hidden": 1}, TypeError, "no option 'hidden'; there are num_layers, bidirectional, reverse,"),
]
OWN = [
    (fg.RNN, {"activation": "nope"}, ValueError, "activation: expected one of identity, relu,"),
    (fg.RNN, {"alpha": 0.2}, ValueError, "alpha is a parameter of leaky_relu and elu, not of tanh"),
    (
        fg.RNN,
        {"activation": "elu", "alpha": -1},
        ValueError,
        "alpha must be a finite number of at least 0, got -1",
    ),
    (fg.LSTM, {"forget_bias": "x"}, TypeError, "forget_bias must be a number, got 'x'"),
    (fg.LSTM, {"forget_bias": np.inf}, ValueError, "forget_bias must lie in (-inf, inf), got inf"),
    (
        fg.LSTM,
        {"bias": False, "forget_bias": 2},
        ValueError,
        "forget_bias is 2.0, but bias=False leaves no bias: leave one of them out",
    ),
    (
        fg.LSTM,
        {"bias_init": "zeros", "forget_bias": 2},
        ValueError,
        "forget_bias is 2.0, but bias_init decides: leave one of them out",
    ),
    *(
        (kind, {"bias_init": init}, ValueError, f"bias_init: {init!r} is of the gates of {cells}")
        for kind, init, cells in (
            (fg.GRU, INIT.forget_bias(2), "LSTM, got GRU"),
            (fg.RNN, INIT.forget_bias(2), "LSTM, got RNN"),
            (fg.RNN, INIT.chrono(100), "LSTM or GRU, got RNN"),
            (fg.RNN, INIT.chrono(100, "gru"), "GRU, got RNN"),
            (fg.GRU, INIT.chrono(100, "lstm"), "LSTM, got GRU"),
            (fg.LSTM, INIT.chrono(100, "gru"), "GRU, got LSTM"),
        )
    ),
    (fg.GRU, {"bias_init": "forget_bias"}, ValueError, "is of the gates of LSTM, got GRU"),
    (fg.LSTM, {"peepholes": 2}, TypeError, "peepholes must be True or False, got 2"),
    (fg.LSTM, {"layer_norm": 1}, TypeError, "layer_norm must be True or False, got 1"),
    (fg.GRU, {"layer_norm": True}, TypeError, "no option 'layer_norm'; there are num_layers"),
    (fg.GRU, {"reset_after": "no"}, TypeError, "reset_after must be True or False, got 'no'"),
]
OWN += [(kind, *case) for kind in KINDS.values() for case in OPTIONS]


@pytest.mark.parametrize(("kind", "options", "error", "message"), OWN)
def test_bad_options(kind, options, error, message):
    with pytest.raises(error, match=re.escape(message.replace("{}", kind.__name__))):
        kind(**{"inputs": 3, "units": 4, **options})


def zeros(*shape):
    return np.zeros(shape)


CALLS = [
    ({"x": zeros(5, 3)}, ValueError, "LSTM needs sequences (N, T, 3), got shape (5, 3)"),
    (
        {"x": zeros(2, 5, 6, 3)},
        ValueError,
        "LSTM needs sequences (N, T, 3), got shape (2, 5, 6, 3)",
    ),
    ({"x": zeros(5, 6, 4)}, ValueError, "x has shape (5, 6, 4), needs (N, T, 3)"),
    ({"x": zeros(5, 20)}, ValueError, "x has shape (5, 20), needs (N, T, 3)"),
    (
        {"x": np.zeros((5, 20), int)},
        ValueError,
        "x has shape (5, 20), needs (N, T, 3); integers (N, T) need one_hot=True in the first",
    ),
    ({"x": zeros(5, 0, 3)}, ValueError, "x has shape (5, 0, 3), needs no axis of length 0"),
    ({"x": zeros(0, 6, 3)}, ValueError, "x has shape (0, 6, 3), needs no axis of length 0"),
    ({"lengths": [1, 2]}, ValueError, "lengths has shape (2,), needs (5,)"),
    ({"lengths": [[1]] * 5}, ValueError, "lengths has shape (5, 1), needs (5,)"),
    ({"lengths": np.ones(5)}, TypeError, "lengths must hold integers, got dtype float64"),
    ({"lengths": [1, 2, 3, 4, 7]}, ValueError, "lengths must lie in [0, 6], got 1 to 7"),
    ({"lengths": [1, 2, 3, 4, -1]}, ValueError, "lengths must lie in [0, 6], got -1 to 4"),
    ({"lengths": "abc"}, TypeError, "lengths must hold real numbers, got dtype <U3"),
    (
        {"states": {"0.h": zeros(5, 4)}},
        ValueError,
        "there is no state '0.h', only 0.h_l0, 0.c_l0",
    ),
    (
        {"states": {"0.h_l0": zeros(5, 3)}},
        ValueError,
        "states['0.h_l0'] has shape (5, 3), needs (5, 4)",
    ),
    (
        {"states": {"0.c_l0": np.full((5, 4), np.nan)}},
        ValueError,
        "states['0.c_l0'] has 20 values that are not finite; the first is nan at row 0, column 0",
    ),
    (
        {"states": (zeros(5, 4), zeros(5, 4))},
        TypeError,
        "states must map names to arrays, {'0.h_l0': ..., '0.c_l0': ...}, got tuple",
    ),
    (
        {"states": zeros(5, 4)},
        TypeError,
        "states must map names to arrays, {'0.h_l0': ..., '0.c_l0': ...}, got ndarray",
    ),
]


@pytest.mark.parametrize(("changes", "error", "message"), CALLS)
def test_bad_sequences(changes, error, message):
    model = fg.Sequential(fg.LSTM(3, 4), fg.Dense(4, 2), rng=0)
    with pytest.raises(error, match=re.escape(message)):
        model.forward(**{"x": zeros(5, 6, 3), **changes})


INDICES = [
    (zeros(5, 6, 3).astype(int), ValueError, "x has shape (5, 6, 3), needs (N,) or (N, T)"),
    (np.full((5, 6), 3), ValueError, "x must lie in [0, 3), got 3 at index (0, 0)"),
    (np.full((5, 6), -1), ValueError, "x must lie in [0, 3), got -1 at index (0, 0)"),
    (zeros(5, 6), TypeError, "x must hold integers, got dtype float64"),
    (np.zeros(5, int), ValueError, "GRU needs sequences (N, T), got shape (5,)"),
]


@pytest.mark.parametrize(("x", "error", "message"), INDICES)
def test_bad_indices(x, error, message):
    model = fg.Sequential(fg.GRU(3, 4, one_hot=True), rng=0)
    with pytest.raises(error, match=re.escape(message)):
        model.forward(x)


def test_bad_gradients_of_states():
    model = fg.Sequential(fg.LSTM(3, 4), rng=0)
    x, dy = zeros(5, 6, 3), zeros(5, 4)
    model.forward(x)
    with pytest.raises(ValueError, match="d_states needs a forward pass with states"):
        model.backward(dy, d_states={"0.h_l0": dy})
    model.forward(x, states={})
    with pytest.raises(ValueError, match=r"there is no state '0\.z', only 0\.h_l0, 0\.c_l0"):
        model.backward(dy, d_states={"0.z": dy})
    with pytest.raises(ValueError, match=r"'0\.c_l0'\] has shape \(5, 5\), needs \(5, 4\)"):
        model.backward(dy, d_states={"0.c_l0": zeros(5, 5)})
    with pytest.raises(ValueError, match=r"'0\.c_l0'\] has 20 values that are not finite"):
        model.backward(dy, d_states={"0.c_l0": np.full((5, 4), np.inf)})
    with pytest.raises(TypeError, match=r"d_states must map names to arrays, .*, got ndarray"):
        model.backward(dy, d_states=dy)


SHAPES = {
    "weight_init": "weight_ih_l0: weight_init of LSTM: expected an array of shape (16, 3)",
    "recurrent_init": "weight_hh_l0: recurrent_init of LSTM: expected an array of shape (16, 4)",
    "bias_init": "bias_ih_l0: bias_init of LSTM: expected an array of shape (16,)",
}


@pytest.mark.parametrize("name", SHAPES)
def test_initial_values_of_another_shape(name):
    layer = fg.LSTM(3, 4, **{name: zeros(4, 16)})
    with pytest.raises(ValueError, match=re.escape(f"1.{SHAPES[name]}, got (4, 16)")):
        fg.Sequential(fg.Dense(2, 3), layer)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_help_lists_the_options(kind):
    told = kind.__doc__
    options = get_type_hints(Options)
    assert all(f"\n{name} : " in told or name.endswith("_init") for name in options)
    assert "weight_init, recurrent_init, bias_init : " in told
    assert "Options" not in told


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_neighbours_that_do_not_fit(kind):
    name = kind.__name__
    with pytest.raises(ValueError, match=f"layer 1 .{name}. takes 3 features, but layer 0 gives 5"):
        fg.Sequential(fg.Dense(3, 5), kind(3, 4))
    with pytest.raises(ValueError, match=f"layer 1 .{name}. must be the first"):
        fg.Sequential(fg.Dense(3, 3), kind(3, 4, one_hot=True))
    model = fg.Sequential(kind(3, 4), kind(4, 4), rng=0)
    with pytest.raises(
        ValueError, match=rf"{name} needs sequences \(N, T, 4\), got shape \(5, 4\)"
    ):
        model.forward(zeros(5, 6, 3))


LAYERS = [
    (fg.RNN(3, 4), "RNN(inputs=3, units=4, activation='tanh')"),
    (
        fg.RNN(3, 4, "leaky_relu", alpha=0.3, reverse=True),
        "RNN(inputs=3, units=4, reverse=True, activation='leaky_relu', alpha=0.3)",
    ),
    (fg.LSTM(3, 4, forget_bias=1), "LSTM(inputs=3, units=4)"),
    (
        fg.LSTM(3, 4, num_layers=2, dropout=0.2, peepholes=True, forget_bias=0, learn_initial=True),
        "LSTM(inputs=3, units=4, num_layers=2, dropout=0.2, learn_initial=True, forget_bias=0.0,"
        " peepholes=True)",
    ),
    (
        fg.LSTM(3, 4, one_hot=True, layer_norm=True),
        "LSTM(inputs=3, units=4, one_hot=True, layer_norm=True)",
    ),
    (
        fg.GRU(3, 4, bidirectional=True, return_sequences=True, bias=False),
        "GRU(inputs=3, units=4, bidirectional=True, return_sequences=True, bias=False)",
    ),
    (
        fg.GRU(3, 4, one_hot=True, stateful=True, reset_after=False),
        "GRU(inputs=3, units=4, stateful=True, one_hot=True, reset_after=False)",
    ),
]


@pytest.mark.parametrize(("layer", "description"), LAYERS, ids=lambda case: str(case)[:60])
def test_saved_and_loaded(tmp_path, rng, layer, description):
    """Options that are usual are not named."""
    assert repr(layer) == description
    assert repr(type(layer)(**layer.config())) == description
    model = fg.Sequential(layer, rng=0, dtype="float64")
    model.save(tmp_path / "model.safetensors", {"note": "kept"})
    again = fg.load(tmp_path / "model.safetensors")
    assert repr(again) == repr(model)
    assert again.metadata == {"note": "kept"}
    x = rng.integers(3, size=(5, 6)) if layer.one_hot else rng.standard_normal((5, 6, 3))
    assert bits(again.predict(x)) == bits(model.predict(x))


def test_parameters_are_those_of_pytorch():
    """Names and shapes, level by level and in both directions."""
    model = fg.Sequential(fg.LSTM(3, 5, num_layers=2, bidirectional=True, learn_initial=True))
    shapes = {name: view.shape for name, view in model.params.items()}
    wanted = {}
    for level, inputs in ((0, 3), (1, 10)):
        for end in (f"_l{level}", f"_l{level}_reverse"):
            wanted |= {f"0.weight_ih{end}": (20, inputs), f"0.weight_hh{end}": (20, 5)}
            wanted |= {f"0.bias_{k}{end}": (20,) for k in ("ih", "hh")}
            wanted |= {f"0.initial_{s}{end}": (5,) for s in "hc"}
    assert shapes == wanted
    model = fg.Sequential(fg.LSTM(3, 5, peepholes=True, bias=False, reverse=True))
    assert [name[2:] for name in model.params] == [
        "weight_ih_l0", "weight_hh_l0", "weight_ci_l0", "weight_cf_l0", "weight_co_l0",
    ]  # fmt: skip


def test_what_parameters_start_with():
    """Forget gates open, square blocks orthogonal, everything that is added 0."""
    params = fg.Sequential(fg.LSTM(3, 5, peepholes=True, learn_initial=True), rng=0).params
    bias = params["0.bias_ih_l0"].reshape(4, 5)
    assert np.array_equal(bias, np.array([[0], [1], [0], [0]]) * np.ones(5))
    for name, view in params.items():
        if "weight_ih" not in name and "weight_hh" not in name and "bias_ih" not in name:
            assert not view.any(), name
    for block in np.split(params["0.weight_hh_l0"].astype(np.float64), 4):
        # 5 products, each of numbers of at most 1
        assert np.abs(block @ block.T - np.eye(5)).max() <= 10 * np.finfo(np.float32).eps
    params = fg.Sequential(fg.LSTM(3, 5, forget_bias=2.5), rng=0).params
    assert (params["0.bias_ih_l0"][5:10] == 2.5).all()
    params = fg.Sequential(fg.LSTM(3, 5, bias_init="ones"), rng=0).params
    assert (params["0.bias_ih_l0"] == 1).all()
