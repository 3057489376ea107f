"""Initializers: moments, bounds, orthogonality, determinism, configs and refusals.

Tolerances are derived. The mean of n draws has the standard error std / sqrt(n), and their standard
deviation the relative one sqrt((kurtosis - 1) / (4 n)); five of them are allowed, which a right
sampler exceeds once in 1.7 million draws (and never here: the seeds are fixed).
"""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import integrate, special, stats

from fastgrad import initializers as ini
from fastgrad.initializers.configs import ALIASES, FACTORIES
from fastgrad.initializers.scaling import TRUNCATED_STD

SHAPE = (300, 200)  # fan_out, fan_in
FAN_IN, FAN_OUT, FAN_AVG = 200, 300, 250
KURTOSIS = {
    "normal": 3.0,
    "uniform": 9 / 5,
    "truncated_normal": 3.0 + float(stats.truncnorm(-2, 2).stats(moments="k")),
}

ONE_OF_EACH = [
    ini.zeros(),
    ini.ones(),
    ini.constant(0.3),
    ini.uniform(-1.0, 3.0),
    ini.normal(2.0, -1.0),
    ini.truncated_normal(),
    ini.xavier_uniform(),
    ini.xavier_normal(5 / 3),
    ini.he_uniform(0.2),
    ini.he_normal(mode="fan_out"),
    ini.lecun_uniform(),
    ini.lecun_normal(),
    ini.torch_default(),
    ini.variance_scaling(2.0, "fan_avg", "truncated_normal"),
    ini.orthogonal(0.5),
    ini.identity(2.0),
    ini.sparse(0.4),
    ini.variance_scaling(2.0, "fan_in", "orthogonal"),
    ini.critical("tanh"),
    ini.critical_bias("tanh"),
]
NAMES = sorted([*FACTORIES, *ALIASES])
NEED_ARGUMENTS = {"chrono", "constant", "critical", "critical_bias", "sparse"}


def draw(init, shape=SHAPE, seed=0, dtype="float64"):
    return init(shape, np.random.default_rng(seed), dtype)


def assert_moments(w, mean, std, kurtosis):
    assert abs(w.mean() - mean) < 5 * std / math.sqrt(w.size)
    assert abs(w.std() / std - 1) < 5 * math.sqrt((kurtosis - 1) / (4 * w.size))


@pytest.mark.parametrize(
    ("init", "variance", "distribution"),
    [
        (ini.xavier_uniform(), 1 / FAN_AVG, "uniform"),
        (ini.xavier_normal(5 / 3), (5 / 3) ** 2 / FAN_AVG, "normal"),
        (ini.he_uniform(), 2 / FAN_IN, "uniform"),
        (ini.he_normal(), 2 / FAN_IN, "normal"),
        (ini.he_normal(0.2, "fan_out"), 2 / 1.04 / FAN_OUT, "normal"),
        (ini.lecun_uniform(), 1 / FAN_IN, "uniform"),
        (ini.lecun_normal(), 1 / FAN_IN, "normal"),
        (ini.torch_default(), 1 / 3 / FAN_IN, "uniform"),
        (ini.variance_scaling(3.0, "fan_avg", "truncated_normal"), 3 / FAN_AVG, "truncated_normal"),
    ],
    ids=str,
)
def test_variance_scaling_has_its_variance_law_and_support(init, variance, distribution):
    w, std = draw(init), math.sqrt(variance)
    assert_moments(w, 0.0, std, KURTOSIS[distribution])
    law = {
        "normal": stats.norm(),
        "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
        # Cut at two deviations of the parent, whose deviation is larger by 1 / 0.8796.
        "truncated_normal": stats.truncnorm(-2, 2, scale=1 / 0.87962566103423978),
    }[distribution]
    assert stats.kstest(w.ravel() / std, law.cdf).pvalue > 1e-6
    low, high = law.support()
    assert (low * std <= w).all()
    assert (w <= high * std * (1 + 1e-15)).all()


def test_truncation_constant_is_the_deviation_after_the_cut():
    assert pytest.approx(stats.truncnorm(-2, 2).std(), rel=1e-14) == TRUNCATED_STD


def test_uniform_and_normal_have_their_moments_and_bounds():
    w = draw(ini.uniform(-1.0, 3.0))
    assert_moments(w, 1.0, 4 / math.sqrt(12), KURTOSIS["uniform"])
    assert w.min() >= -1.0
    assert w.max() <= 3.0
    assert_moments(draw(ini.normal(2.0, -1.0)), -1.0, 2.0, KURTOSIS["normal"])


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-2.0, 2.0), (-0.5, 1.5), (-1e-3, 6.0), (-1.0, 1.0), (-40.0, 40.0), (-0.01, 0.02)],
)
def test_truncated_normal_is_that_law_between_its_bounds(lower, upper):
    std, mean = 3.0, 1.0
    w = draw(ini.truncated_normal(std, mean, lower, upper))
    law = stats.truncnorm(lower, upper, mean, std)
    assert mean + std * lower <= w.min()
    assert w.max() <= mean + std * upper
    assert stats.kstest(w.ravel(), law.cdf).pvalue > 1e-6
    assert_moments(w, law.mean(), law.std(), 3.0 + float(law.stats(moments="k")))


def test_float32_bounds_are_those_of_float64_rounded():
    for seed in range(20):
        w = draw(ini.torch_default(), (40, 7), seed, "float32")
        assert abs(w).max() <= np.float32(1 / math.sqrt(7))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 9), (9, 1), (16, 16), (33, 17), (17, 33), (100, 100), (8, 3, 5), (20, 3, 2)],
)
def test_orthogonal_has_orthonormal_rows_or_columns(shape, dtype, tolerance):
    q = draw(ini.orthogonal(2.0), shape, dtype=dtype).reshape(shape[0], -1) / 2
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    assert abs(gram - np.eye(len(gram))).max() < tolerance


def test_orthogonal_is_the_qr_factor_with_positive_diagonal():
    a = np.random.default_rng(3).standard_normal((20, 20))
    q, r = np.linalg.qr(a.T)
    expected = (q * np.sign(np.diag(r))).T
    assert abs(draw(ini.orthogonal(), (20, 20), seed=3) - expected).max() < 1e-12


def test_orthogonal_is_haar():
    # For Haar matrices of size n, E[trace] = 0 and E[trace^2] = 1 (Diaconis and Shahshahani 1994);
    # a QR with LAPACK's signs has a trace far below 0. trace is close to N(0, 1): its square has
    # the variance 2.
    rng, count = np.random.default_rng(0), 2000
    traces = np.array([np.trace(ini.orthogonal()((6, 6), rng, "float64")) for _ in range(count)])
    assert abs(traces.mean()) < 5 / math.sqrt(count)
    assert abs((traces**2).mean() - 1) < 5 * math.sqrt(2 / count)


def test_identity_is_rectangular_too():
    assert_array_equal(draw(ini.identity(2.0), (2, 3)), [[2, 0, 0], [0, 2, 0]])
    assert_array_equal(draw(ini.identity(), (3, 2)), [[1, 0], [0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("init", "value"), [(ini.zeros(), 0), (ini.ones(), 1), (ini.constant(2.5), 2.5)]
)
def test_constants(init, value):
    assert_array_equal(draw(init, (5,)), np.full(5, value))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 5), (5, 3)), ((7,), (7, 7)), ((4, 3, 2, 2), (12, 16)), ((3, 0), (0, 3))],
)
def test_fans(shape, expected):
    assert ini.fans(shape) == expected


@pytest.mark.parametrize("init", ONE_OF_EACH, ids=str)
def test_drawing(init):
    w64 = draw(init, (6, 4))
    assert w64.flags.c_contiguous
    assert w64.flags.writeable
    assert w64.dtype == np.float64
    assert_array_equal(w64, draw(init, (6, 4)))
    assert_array_equal(w64.astype(np.float32), draw(init, (6, 4), dtype=np.float32))
    for shape in [(0, 4), (4, 0), (0, 0)]:
        assert draw(init, shape).shape == shape


def test_both_dtypes_leave_the_generator_in_the_same_state():
    for init in ONE_OF_EACH:
        after = []
        for dtype in ("float32", "float64"):
            rng = np.random.default_rng(1)
            init((6, 4), rng, dtype)
            after.append(rng.random())
        assert after[0] == after[1]


@pytest.mark.parametrize("init", ONE_OF_EACH, ids=str)
def test_config_pickle_and_repr_round_trips(init):
    config = json.loads(json.dumps(ini.to_config(init), allow_nan=False))
    for twin in (
        ini.from_config(config),
        pickle.loads(pickle.dumps(init)),
        copy.deepcopy(init),
        eval(repr(init), vars(ini)),
    ):
        assert twin == init
        assert hash(twin) == hash(init)
        assert_array_equal(draw(twin, (6, 4)), draw(init, (6, 4)))


def test_different_settings_are_different_initializers():
    assert ini.normal(0.1) != ini.normal(0.2)
    assert ini.he_normal() == ini.variance_scaling(2.0, "fan_in", "normal")


@pytest.mark.parametrize("name", sorted(set(FACTORIES) - NEED_ARGUMENTS))
def test_get_by_name_uses_defaults(name):
    assert ini.get(name) == getattr(ini, name)()


def test_get_returns_callables_and_copies_arrays():
    values = np.arange(6.0).reshape(2, 3)
    given = ini.get(values)
    values[:] = -1.0
    w = draw(given, (2, 3), dtype="float32")
    assert_array_equal(w, np.arange(6.0).reshape(2, 3))
    w[:] = 9.0
    assert_array_equal(draw(given, (2, 3)), np.arange(6.0).reshape(2, 3))
    assert draw(ini.get(np.asfortranarray(np.ones((2, 3)))), (2, 3)).flags.c_contiguous
    assert ini.get(print) is print
    assert ini.to_config(print) is None
    assert ini.to_config(given) is None


# The gain is 1 / sqrt(E[phi(z)^2]) for standard normal z, except where it is PyTorch's own value.
PHI = {
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "elu": lambda z: z if z > 0 else math.expm1(z),
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "softsign": lambda z: z / (1 + abs(z)),
}


@pytest.mark.parametrize("activation", PHI)
def test_gain_preserves_the_second_moment(activation):
    phi = PHI[activation]
    halves = [
        integrate.quad(lambda z: phi(z) ** 2 * stats.norm.pdf(z), *half)[0]
        for half in ((-12, 0), (0, 12))
    ]
    assert ini.gain(activation) == pytest.approx(1 / math.sqrt(sum(halves)), rel=1e-9)


def test_gain_has_the_values_of_pytorch():
    expected = {"identity": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    assert {name: ini.gain(name) for name in expected} == expected
    assert ini.gain("leaky_relu", negative_slope=0.2) == math.sqrt(2 / 1.04)


def test_for_activation():
    for name in ("relu", "elu", "gelu", "silu", "softplus"):
        assert ini.for_activation(name) == ini.he_normal()
    for name in ("identity", "tanh", "sigmoid", "softsign"):
        assert ini.for_activation(name) == ini.xavier_uniform()
    assert ini.for_activation("leaky_relu") == ini.he_normal(0.01)
    assert ini.for_activation("leaky_relu", 0.2) == ini.he_normal(0.2)
    assert ini.for_activation("selu") == ini.lecun_normal()


RNG = np.random.default_rng(0)  # never drawn from: every call below is refused
NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ini.normal(std=-1),
            ValueError,
            "std: expected a finite number of at least 0.0, got -1",
        ),
        (lambda: ini.normal(mean=NAN), ValueError, "mean: expected a finite number, got nan"),
        (lambda: ini.constant("1"), TypeError, "value: expected a number, got '1'"),
        (lambda: ini.constant(True), TypeError, "value: expected a number, got True"),
        (lambda: ini.uniform(1, 1), ValueError, "high: expected more than low = 1.0, got 1.0"),
        (
            lambda: ini.truncated_normal(lower=0),
            ValueError,
            "expected lower < 0 < upper, got 0.0, 2.0",
        ),
        (
            lambda: ini.xavier_uniform(-1),
            ValueError,
            "gain: expected a finite number of at least 0.0",
        ),
        (lambda: ini.xavier_normal(1e200), ValueError, "scale: expected a finite number"),
        (
            lambda: ini.variance_scaling(1, "fan", "normal"),
            ValueError,
            "mode: .*fan_avg.*got 'fan'",
        ),
        (
            lambda: ini.variance_scaling(1, "fan_in", "t"),
            ValueError,
            "distribution: .*uniform, got 't'",
        ),
        (lambda: ini.he_normal("relu"), TypeError, "negative_slope: expected a number, got 'relu'"),
        (
            lambda: ini.zeros()((2, -3), RNG, "float32"),
            ValueError,
            r"no negative length, got \(2, -3\)",
        ),
        (lambda: ini.zeros()(3, RNG, "float32"), TypeError, "shape: expected a sequence.*got 3"),
        (
            lambda: ini.zeros()((2.0,), RNG, "float32"),
            TypeError,
            r"sequence of integers, got \(2.0,\)",
        ),
        (lambda: ini.zeros()((2,), 0, "float32"), TypeError, "rng: expected .*Generator, got int"),
        (lambda: ini.zeros()((2,), RNG, "int64"), TypeError, "float32 or float64, got int64"),
        (lambda: ini.constant(1e39)((2,), RNG, "float32"), ValueError, "finite as float32"),
        (lambda: ini.he_normal()((), RNG, "float32"), ValueError, "at least 1 dimension"),
        (lambda: ini.orthogonal()((3,), RNG, "float32"), ValueError, r"2 dimensions, got \(3,\)"),
        (
            lambda: ini.identity()((3, 3, 1), RNG, "float32"),
            ValueError,
            "identity needs 2 dimensions",
        ),
        (lambda: ini.get("he"), ValueError, f"expected one of {', '.join(NAMES)}, got 'he'"),
        (lambda: ini.get("constant"), TypeError, "constant.*missing a required argument: 'value'"),
        (lambda: ini.get(3), TypeError, "expected a name, an ndarray or a callable.*got 3"),
        (
            lambda: ini.get(ini.he_normal),
            TypeError,
            r"such as he_normal\(\), got <function he_normal",
        ),
        (lambda: ini.get(np.ones(2) * 1j), TypeError, "real numbers, got complex128"),
        (lambda: ini.get(np.ones(2))((3,), RNG, "float32"), ValueError, r"\(3,\), got \(2,\)"),
        (lambda: ini.get(np.array([NAN]))((1,), RNG, "float32"), ValueError, "finite as float32"),
        (lambda: ini.gain("mish"), ValueError, "activation: .*leaky_relu.*got 'mish'"),
        (lambda: ini.for_activation("mish"), ValueError, "activation: .*leaky_relu.*got 'mish'"),
        (lambda: ini.from_config({"std": 1}), ValueError, 'mapping with a "name", got'),
        (lambda: ini.from_config({"name": "cauchy"}), ValueError, "initializer: .*got 'cauchy'"),
        (lambda: ini.from_config({"name": "ones", "std": 1}), TypeError, "unexpected.*'std'"),
        (lambda: ini.from_config({"name": "normal", "std": -1}), ValueError, "std: .*got -1"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
