"""Laws by the names of other libraries: sparse, orthogonal of any shape, aliases, their formulas.

Bounds are five standard errors, as in test_initializers.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import stats

import fastgrad as fg
from fastgrad import initializers as ini

RNG = np.random.default_rng(0)  # never drawn from by the calls that are refused


def draw(init, shape, seed=0, dtype="float64"):
    return init(shape, np.random.default_rng(seed), dtype)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kaiming_normal", ini.he_normal()),
        ("kaiming_uniform", ini.he_uniform()),
        ("glorot_normal", ini.xavier_normal()),
        ("glorot_uniform", ini.xavier_uniform()),
        ("GlorotUniform", ini.xavier_uniform()),
        ("HeNormal", ini.he_normal()),
        ("LecunUniform", ini.lecun_uniform()),
        ("VarianceScaling", ini.variance_scaling(1.0, "fan_in", "truncated_normal")),
        ("RandomUniform", ini.uniform(-0.05, 0.05)),
        ("random_normal", ini.normal(0.05, 0.0)),
        ("TruncatedNormal", ini.truncated_normal(0.05, 0.0)),
        ("Orthogonal", ini.orthogonal(1.0)),
        ("Identity", ini.identity(1.0)),
        ("eye", ini.identity(1.0)),
        ("Zeros", ini.zeros()),
        ("Ones", ini.ones()),
    ],
)
def test_names_of_other_libraries(name, expected):
    assert ini.get(name) == expected
    assert ini.from_config({"name": name}) == expected


def test_a_layer_takes_a_name_and_a_config_its_arguments():
    model = fg.Sequential(fg.Dense(4, 3, "relu", weight_init="kaiming_uniform"), rng=0)
    same = fg.Sequential(fg.Dense(4, 3, "relu", weight_init=ini.he_uniform()), rng=0)
    assert_array_equal(model.flat_params, same.flat_params)
    assert ini.from_config({"name": "kaiming_normal", "mode": "fan_out"}) == ini.he_normal(
        mode="fan_out"
    )
    assert ini.from_config({"name": "Constant", "value": 2}) == ini.constant(2)


# What each library documents as the variance of its draws, for a weight (outputs, inputs).
OUT, IN = 300, 200
CUT = stats.truncnorm(-2, 2)
FORMULAS = [
    # torch.nn.init: gain^2 2 / (in + out), and gain^2 / fan with fan_in or fan_out
    (ini.xavier_normal(ini.gain("tanh")), (5 / 3) ** 2 * 2 / (IN + OUT), stats.norm()),
    (ini.he_normal(0.2, "fan_out"), 2 / (1 + 0.2**2) / OUT, stats.norm()),
    (ini.he_normal(), 2 / IN, stats.norm()),
    (ini.variance_scaling(ini.gain("selu") ** 2, "fan_in", "normal"), 9 / 16 / IN, stats.norm()),
    # keras.initializers and jax.nn.initializers: normals are cut, and scaled to the variance
    (ini.variance_scaling(1.0, "fan_avg"), 2 / (IN + OUT), CUT),
    (ini.variance_scaling(2.0, "fan_in"), 2 / IN, CUT),
    (ini.variance_scaling(2.0, "fan_out"), 2 / OUT, CUT),
    # RandomNormal and TruncatedNormal: the standard deviation is that before the cut
    (ini.get("RandomNormal"), 0.05**2, stats.norm()),
    (ini.get("TruncatedNormal"), (0.05 * CUT.std()) ** 2, CUT),
]


@pytest.mark.parametrize(("init", "variance", "law"), FORMULAS, ids=lambda v: str(v)[:40])
def test_variances_are_those_of_the_formulas(init, variance, law):
    w = draw(init, (OUT, IN))
    kurtosis = 3 + float(law.stats(moments="k"))
    assert abs(w.mean()) < 5 * math.sqrt(variance / w.size)
    relative = 5 * math.sqrt((kurtosis - 1) / w.size)  # of a variance
    assert abs(w.var() / variance - 1) < relative
    scaled = w.ravel() * law.std() / math.sqrt(variance)
    assert stats.kstest(scaled, law.cdf).pvalue > 1e-6


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 12),
    sparsity=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_sparse_zeroes_exactly_so_many_of_each_column(rows, columns, sparsity, seed):
    w = draw(ini.sparse(sparsity), (rows, columns), seed)
    assert ((w == 0).sum(axis=0) == math.ceil(sparsity * rows)).all()


def test_sparse_is_normal_where_it_is_not_zero_and_zero_anywhere():
    w = draw(ini.sparse(0.25, std=0.3), (200, 300))
    kept = w[w != 0]
    assert kept.size == 150 * 300
    assert stats.kstest(kept / 0.3, stats.norm.cdf).pvalue > 1e-6
    # zeros of a row: 300 independent columns, each with probability 1/4
    zeros = (w == 0).sum(axis=1)
    assert abs(zeros - 75).max() < 6 * math.sqrt(300 / 4 * 3 / 4)
    assert len({tuple(column) for column in (w == 0).T}) == 300


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 30),
    columns=st.integers(1, 30),
    scale=st.floats(0.1, 10),
    mode=st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
)
def test_orthogonal_variance_scaling_has_exactly_its_variance(rows, columns, scale, mode):
    w = draw(ini.variance_scaling(scale, mode, "orthogonal"), (rows, columns))
    fan = {"fan_in": columns, "fan_out": rows, "fan_avg": (rows + columns) / 2}[mode]
    # each of the shorter side's vectors has the square norm scale / fan * longer
    gram = w @ w.T if rows <= columns else w.T @ w
    wanted = scale / fan * max(rows, columns)
    assert abs(gram - wanted * np.eye(len(gram))).max() < 1e-12 * wanted
    assert np.square(w).mean() == pytest.approx(scale / fan, rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 4), (4, 5), (3, 3)])
@pytest.mark.parametrize("gain", [0.5, -2.0, 0.0])
def test_gains(shape, gain):
    assert_array_equal(draw(ini.identity(gain), shape), gain * np.eye(*shape))
    q = draw(ini.orthogonal(gain), shape)
    gram = q @ q.T if shape[0] <= shape[1] else q.T @ q
    assert abs(gram - gain**2 * np.eye(len(gram))).max() < 1e-14 * (1 + gain**2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ini.sparse(1.5), ValueError, "sparsity: expected at most 1, got 1.5"),
        (lambda: ini.sparse(-0.1), ValueError, "sparsity: expected .* at least 0.0, got -0.1"),
        (lambda: ini.sparse(math.nan), ValueError, "sparsity: expected a finite number"),
        (lambda: ini.sparse("half"), TypeError, "sparsity: expected a number, got 'half'"),
        (lambda: ini.sparse(0.5, std=-1), ValueError, "std: expected .* at least 0.0, got -1"),
        (lambda: ini.sparse(0.5)((4,), RNG, "float32"), ValueError, r"2 dimensions, got \(4,\)"),
        (
            lambda: ini.variance_scaling(1, "fan_in", "orthogonal")((4,), RNG, "float32"),
            ValueError,
            r"2 dimensions, got \(4,\)",
        ),
        (lambda: ini.get("sparse"), TypeError, "sparse.*missing a required argument: 'sparsity'"),
        (lambda: ini.get("Constant"), TypeError, "missing a required argument: 'value'"),
        (lambda: ini.get("Dirac"), ValueError, "initializer: .*kaiming_normal.*got 'Dirac'"),
        (lambda: ini.get(ini.sparse), TypeError, "got <function sparse"),
        (lambda: ini.from_config({"name": 3}), ValueError, "initializer: .*got 3"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
