"""Initializers of recurrent layers: blocks of gates, exact spectral radii, memories of a length.

Orthogonality and radii are held to rounding, with counts of roundings that follow from the sums;
distributions to a Kolmogorov-Smirnov test with fixed seeds.
"""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import linalg, special, stats

import fastgrad as fg
from fastgrad import initializers as ini

RNG = np.random.default_rng(0)  # never drawn from: every call below is refused
ONE_OF_EACH = [
    (ini.per_gate(), (12, 3)),
    (ini.per_gate(ini.he_normal(mode="fan_out")), (12, 3)),
    (ini.per_gate(ini.per_gate("identity")), (3, 3)),
    (ini.per_gate(ini.spectral(1.1, 2)), (12, 3)),
    (ini.irnn(0.01), (3, 3)),
    (ini.spectral(), (20, 20)),
    (ini.forget_bias(2.0), (8,)),
    (ini.chrono(100, "lstm"), (8,)),
    (ini.chrono(100, "gru"), (9,)),
]
each = pytest.mark.parametrize(("init", "shape"), ONE_OF_EACH, ids=str)


def draw(init, shape, seed=0, dtype="float64"):
    return init(shape, np.random.default_rng(seed), dtype)


@each
def test_drawing(init, shape):
    values = draw(init, shape)
    assert values.flags.c_contiguous
    assert values.dtype == np.float64
    assert_array_equal(values, draw(init, shape))
    assert_array_equal(values.astype(np.float32), draw(init, shape, dtype="float32"))
    assert draw(init, (0,) * len(shape)).shape == (0,) * len(shape)


@each
def test_config_pickle_and_repr_round_trips(init, shape):
    config = json.loads(json.dumps(ini.to_config(init), allow_nan=False))
    for twin in (
        ini.from_config(config),
        pickle.loads(pickle.dumps(init)),
        eval(repr(init), vars(ini)),
    ):
        assert twin == init
        assert hash(twin) == hash(init)
        assert_array_equal(draw(twin, shape), draw(init, shape))


def test_an_initializer_within_another_is_in_its_config():
    inner = {"name": "orthogonal", "gain": 0.5}
    init = ini.per_gate(ini.orthogonal(0.5))
    assert ini.to_config(init) == {"name": "per_gate", "init": inner}
    assert ini.from_config({"name": "PerGate", "init": "zeros"}) == ini.per_gate(ini.zeros())


@pytest.mark.parametrize("gates", [1, 3, 4])
@pytest.mark.parametrize("units", [1, 2, 17, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal_blocks(gates, units, dtype):
    w = draw(ini.get("per_gate"), (gates * units, units), 3, dtype).astype(np.float64)
    # a product of rows is `units` products of rounded entries, whose moduli sum to 1 at most
    bound = (units + 4) * np.finfo(dtype).eps
    blocks = w.reshape(gates, units, units)
    for block in blocks:
        assert abs(block @ block.T - np.eye(units)).max() <= bound
    assert units == 1 or len(np.unique(blocks, axis=0)) == gates


def test_blocks_are_drawn_one_after_the_other():
    blocks = draw(ini.per_gate("normal"), (12, 4)).reshape(3, 4, 4)
    rng = np.random.default_rng(0)
    for block in blocks:
        assert_array_equal(block, ini.normal()((4, 4), rng, "float64"))


def test_fans_are_those_of_one_block():
    w = draw(ini.per_gate("xavier_normal"), (400, 100))
    relative = 5 * math.sqrt(2 / w.size)  # five standard errors of a variance
    assert abs(w.var() * 100 - 1) < relative


def test_irnn_is_the_identity_of_each_block():
    assert_array_equal(draw(ini.irnn(), (5, 5)), np.eye(5))
    assert_array_equal(draw(ini.irnn(0.01), (15, 5)), 0.01 * np.tile(np.eye(5), (3, 1)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    units=st.integers(1, 60),
    connections=st.integers(1, 20),
    radius=st.floats(0.1, 3),
    seed=st.integers(0, 99),
)
def test_spectral_has_its_radius_and_its_connections(units, connections, radius, seed):
    w = draw(ini.spectral(radius, connections), (units, units), seed)
    assert ((w != 0).sum(axis=1) == min(connections, units)).all()
    values, left, right = linalg.eig(w, left=True, right=True)
    i = abs(values).argmax()
    # An eigenvalue moves by its condition number times a change of the matrix: here by what both
    # ways of finding it round.
    condition = 1 / abs(left[:, i].conj() @ right[:, i])
    bound = 4 * units * np.finfo(float).eps * condition * np.linalg.norm(w)
    assert abs(abs(values[i]) - radius) <= bound


@pytest.mark.parametrize(("units", "connections"), [(150, 15), (300, 1), (300, 299)])
def test_spectral_of_many_units(units, connections):
    w = draw(ini.spectral(0.95, connections), (units, units))
    assert abs(np.linalg.eigvals(w)).max() == pytest.approx(0.95, rel=1e-12)
    kept = w[w != 0]
    assert kept.size == units * connections
    assert stats.kstest(kept / kept.std(), stats.norm.cdf).pvalue > 1e-6
    # a column has as many entries as there are rows that chose it
    share = connections / units
    into = (w != 0).sum(axis=0)
    assert abs(into - connections).max() < 6 * math.sqrt(units * share * (1 - share)) + 1


def test_spectral_does_not_depend_on_threads(threads):
    found = []
    for count in (1, 2):
        threads(count)
        found.append(draw(ini.spectral(), (300, 300)))
    assert_array_equal(*found)


def test_a_radius_of_0_and_one_unit():
    assert not draw(ini.spectral(0), (9, 9)).any()
    alone = np.array([draw(ini.spectral(0.5), (1, 1), seed).item() for seed in range(20)])
    assert abs(abs(alone) - 0.5).max() <= np.finfo(float).eps
    assert {-1, 1} == set(np.sign(alone))


def test_forget_bias_is_the_second_gate():
    assert_array_equal(draw(ini.get("forget_bias"), (12,)), [0] * 3 + [1] * 3 + [0] * 6)
    assert_array_equal(draw(ini.forget_bias(-2), (4,)), [0, -2, 0, 0])


@pytest.mark.parametrize("longest", [3, 100, 784.5])
@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3)])
def test_chrono_remembers_for_uniform_times(longest, cell, gates):
    bias = draw(ini.chrono(longest, cell), (gates * 20000,)).reshape(gates, -1)
    kept = special.expit(bias[1])
    steps = 1 / (1 - kept)
    law = stats.uniform(2, longest - 2)
    assert stats.kstest(steps, law.cdf).pvalue > 1e-6
    assert bias[1].min() >= 0
    assert bias[1].max() <= math.log(longest - 1)
    assert_array_equal(bias[0], -bias[1] if cell == "lstm" else 0 * bias[1])
    assert not bias[2:].any()


@pytest.mark.parametrize(("layer", "cell"), [(fg.LSTM, "lstm"), (fg.GRU, "gru")])
def test_a_layer_tells_chrono_its_cell(layer, cell):
    model, same = (
        fg.Sequential(layer(3, 8, bias_init=init), rng=0)
        for init in (ini.chrono(100), ini.chrono(100, cell))
    )
    bias = model.params["0.bias_ih_l0"]
    assert_array_equal(bias, same.params["0.bias_ih_l0"])
    gates = bias.reshape(-1, 8)
    assert (gates[1] > 0).all()
    assert_array_equal(gates[0], -gates[1] if cell == "lstm" else 0 * gates[1])
    assert not gates[2:].any()


def test_chrono_without_a_cell_is_described():
    init = ini.chrono(100)
    assert ini.from_config(json.loads(json.dumps(ini.to_config(init)))) == init
    assert pickle.loads(pickle.dumps(init)) == init
    assert eval(repr(init), vars(ini)) == init


def test_chrono_of_two_steps_is_even_odds():
    assert not draw(ini.chrono(2, "lstm"), (8,)).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ini.per_gate("he"), ValueError, "initializer: expected one of .*, got 'he'"),
        (lambda: ini.per_gate(print), TypeError, "init: expected a name or an Initializer, got <b"),
        (lambda: ini.per_gate(np.eye(3)), TypeError, "init: expected a name or an Initializer"),
        (lambda: ini.per_gate(3), TypeError, "initializer: expected a name, .* got 3"),
        (lambda: ini.per_gate(ini.orthogonal), TypeError, "got <function orthogonal"),
        (
            lambda: ini.per_gate()((7, 3), RNG, "float32"),
            ValueError,
            r"shape: per_gate needs \(gates \* H, H\), got \(7, 3\)",
        ),
        (lambda: ini.per_gate()((2, 4), RNG, "float32"), ValueError, r"got \(2, 4\)"),
        (lambda: ini.per_gate()((4,), RNG, "float32"), ValueError, r"got \(4,\)"),
        (lambda: ini.per_gate()((4, 2, 2), RNG, "float32"), ValueError, r"got \(4, 2, 2\)"),
        (lambda: ini.irnn("1"), TypeError, "scale: expected a number, got '1'"),
        (lambda: ini.irnn(math.inf), ValueError, "scale: expected a finite number, got inf"),
        (lambda: ini.irnn()((3, 4), RNG, "float32"), ValueError, r"got \(3, 4\)"),
        (lambda: ini.spectral(-1), ValueError, "radius: expected .* at least 0.0, got -1"),
        (lambda: ini.spectral(math.nan), ValueError, "radius: expected a finite number"),
        (lambda: ini.spectral(1, 0), ValueError, "connections must be at least 1, got 0"),
        (lambda: ini.spectral(1, 2.0), TypeError, "connections must be an integer, got 2.0"),
        (
            lambda: ini.spectral()((8, 4), RNG, "float32"),
            ValueError,
            r"shape: spectral needs a square matrix, per_gate\(spectral\(\)\) .*, got \(8, 4\)",
        ),
        (lambda: ini.spectral()((8,), RNG, "float32"), ValueError, r"got \(8,\)"),
        (lambda: ini.forget_bias(True), TypeError, "value: expected a number, got True"),
        (
            lambda: ini.forget_bias()((6,), RNG, "float32"),
            ValueError,
            r"shape: forget_bias needs \(4 \* H,\), got \(6,\)",
        ),
        (lambda: ini.forget_bias()((4, 4), RNG, "float32"), ValueError, r"got \(4, 4\)"),
        (lambda: ini.chrono(1.5), ValueError, "longest: expected .* at least 2.0, got 1.5"),
        (lambda: ini.chrono("long"), TypeError, "longest: expected a number, got 'long'"),
        (lambda: ini.chrono(9, "rnn"), ValueError, "cell: expected one of gru, lstm, got 'rnn'"),
        (
            lambda: ini.chrono(9, "gru")((8,), RNG, "float32"),
            ValueError,
            r"shape: chrono of cell 'gru' needs \(3 \* H,\), got \(8,\)",
        ),
        (
            lambda: ini.chrono(9, "lstm")((6,), RNG, "float32"),
            ValueError,
            r"shape: chrono of cell 'lstm' needs \(4 \* H,\), got \(6,\)",
        ),
        (
            lambda: ini.chrono(9)((8,), RNG, "float32"),
            ValueError,
            "cell: chrono outside of a layer needs 'lstm' or 'gru', got None",
        ),
        (lambda: ini.get("chrono"), TypeError, "chrono.*missing a required argument: 'longest'"),
        (lambda: ini.from_config({"name": "per_gate", "init": {}}), ValueError, 'with a "name"'),
        (lambda: ini.from_config({"name": "irnn", "gain": 1}), TypeError, "unexpected.*'gain'"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
