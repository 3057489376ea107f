"""Mean fields by quadrature, and the critical points that follow from them.

Values of 6 digits come from a sum over 60,000 nodes up to 12 deviations; closed forms and SciPy's
adaptive quadrature vouch for more.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import ACTIVATIONS
from scipy import integrate, special, stats

import fastgrad as fg
from fastgrad import initializers as ini
from fastgrad.initializers import MeanField

# activation, alpha, and for q = 1: E[phi^2], E[phi], E[phi'^2], 1 / sqrt of the first and of the
# third, E[phi'^4] / E[phi'^2]^2
TABLE = [
    ("identity", None, 1, 0, 1, 1, 1, 1),
    ("tanh", None, 0.394294, 0, 0.464403, 1.59254, 1.46741, 1.5835),
    ("sigmoid", None, 0.293379, 0.5, 0.044836, 1.84623, 4.72265, 1.1370),
    ("relu", None, 0.5, 0.398942, 0.5, 1.41421, 1.41421, 2),
    ("leaky_relu", 0.01, 0.500050, 0.394953, 0.500050, 1.41414, 1.41414, 1.9996),
    ("leaky_relu", 0.2, 0.52, 0.319154, 0.52, 1.38675, 1.38675, 1.8521),
    ("elu", None, 0.644945, 0.160521, 0.668102, 1.24520, 1.22343, 1.3317),
    ("selu", None, 1.0, 0, 1.071575, 1.0, 0.96603, 1.3162),
    ("gelu", None, 0.425221, 0.282095, 0.455851, 1.53353, 1.48111, 2.0883),
    ("silu", None, 0.355776, 0.206621, 0.379482, 1.67653, 1.62332, 1.9900),
    ("softplus", None, 0.921246, 0.806059, 0.293379, 1.04187, 1.84623, 1.5289),
    ("softsign", None, 0.183014, 0, 0.227671, 2.33753, 2.09578, 2.1365),
]
ROUNDING = 1e-12  # of the quadrature: 90 intervals that may err by 1e-13, and hardly do


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1] or ''}")
@pytest.mark.parametrize("slopes", ["known", "from values"])
def test_table(row, slopes):
    name, alpha, second, mean, slope, forward, backward, fourth = row
    field = MeanField(name, alpha=alpha)
    if slopes == "from values":
        field = MeanField(field.function.phi)
    half_a_digit = 0.5e-6 + ROUNDING
    assert abs(field.second_moment() - second) <= half_a_digit
    assert abs(field.mean() - mean) <= half_a_digit
    assert abs(field.slope_moment() - slope) <= half_a_digit
    assert abs(field.second_moment() ** -0.5 - forward) <= 0.5e-5 + ROUNDING
    assert abs(field.chi(1.0, 1.0) ** -0.5 - backward) <= 0.5e-5 + ROUNDING
    kurtosis = field.slope_moment(power=4) / field.slope_moment() ** 2
    assert abs(kurtosis - fourth) <= 0.5e-4 + ROUNDING


def clipped(k, u):
    """E[clip(sqrt(u) z, 0, k)^2] in closed form."""
    a = k / math.sqrt(u)
    return u * special.gammainc(1.5, a * a / 2) / 2 + k * k * stats.norm.sf(a)


@pytest.mark.parametrize("q", [1e-4, 0.3, 1.0, 7.0, 1e4])
@pytest.mark.parametrize("k", [0.5, 1.0, 6.0])
def test_kinks_anywhere_do_no_harm(q, k):
    field = MeanField(lambda u: np.clip(u, 0, k))  # relu6 and its like; nothing says where
    assert field.second_moment(q) == pytest.approx(clipped(k, q), rel=ROUNDING, abs=1e-300)
    slope = stats.norm.cdf(k / math.sqrt(q)) - 0.5
    assert field.slope_moment(q) == pytest.approx(slope, rel=1e-11)


@pytest.mark.parametrize("q", [1e-8, 0.01, 1.0, 30.0, 1e6])
def test_closed_forms(q):
    relu = MeanField("relu")
    assert relu.second_moment(q) == pytest.approx(q / 2, rel=ROUNDING)
    assert relu.mean(q) == pytest.approx(math.sqrt(q / 2 / math.pi), rel=ROUNDING)
    assert relu.chi(q, math.sqrt(2)) == pytest.approx(1, rel=ROUNDING)
    assert relu.length_slope(q, math.sqrt(2)) == pytest.approx(1, rel=ROUNDING)
    wave = MeanField(np.sin, np.cos)
    assert wave.second_moment(q) == pytest.approx(-math.expm1(-2 * q) / 2, rel=1e-11)
    assert wave.slope_moment(q) == pytest.approx((1 + math.exp(-2 * q)) / 2, rel=1e-11)
    # d/dq of (1 - exp(-2 q)) / 2, beside terms of 1 / q that cancel
    assert wave.length_slope(q, 1.0) == pytest.approx(math.exp(-2 * q), abs=1e-11 * (1 + 1 / q))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_agrees_with_scipy(name):
    phi, dphi = ACTIVATIONS[name]
    for q in (0.2, 3.0):
        for power, f, got in (
            (2, phi, MeanField(name).second_moment(q)),
            (2, dphi, MeanField(name).slope_moment(q)),
        ):
            halves = [
                integrate.quad(
                    lambda z: float(f(np.float64(math.sqrt(q) * z))) ** power * stats.norm.pdf(z),  # noqa: B023
                    *half,
                    epsabs=1e-13,
                    epsrel=1e-13,
                )[0]
                for half in ((-12, 0), (0, 12))
            ]
            assert got == pytest.approx(sum(halves), rel=1e-10)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(q=st.floats(1e-3, 1e3), kink=st.floats(-3, 3), left=st.floats(-2, 2), right=st.floats(-2, 2))
def test_a_kink_at_any_place(q, kink, left, right):
    def phi(u):
        return np.where(u < kink, left * (u - kink), right * (u - kink))

    below = stats.norm.cdf(kink / math.sqrt(q))
    wanted = left**2 * below + right**2 * (1 - below)
    size = max(left**2, right**2)
    assert abs(MeanField(phi).slope_moment(q) - wanted) <= 1e-11 * size + 1e-300


def test_the_slope_of_the_length_map_is_one():
    for name in ACTIVATIONS:
        field = MeanField(name)
        h = 1e-4  # the difference errs by h^2, and by rounding / h
        q, sigma_w, sigma_b = 1.3, 1.7, 0.4
        difference = field.length_map(q + h, sigma_w, sigma_b)
        difference -= field.length_map(q - h, sigma_w, sigma_b)
        assert field.length_slope(q, sigma_w) == pytest.approx(difference / (2 * h), abs=1e-7)


def test_gain_of_a_function():
    assert ini.gain(np.tanh) == pytest.approx(1.592537, abs=0.5e-6)
    assert ini.gain(lambda u: np.maximum(u, 0)) == pytest.approx(math.sqrt(2), rel=ROUNDING)
    for name in ("elu", "gelu", "silu", "softplus", "softsign"):  # those that PyTorch leaves out
        own = MeanField(name).function.phi
        assert ini.gain(own) == pytest.approx(ini.gain(name), rel=ROUNDING)


@pytest.mark.parametrize(
    ("name", "alpha"),
    [(row[0], row[1]) for row in TABLE if row[0] not in ("sigmoid", "softplus")],
)
@pytest.mark.parametrize("q", [0.5, 1.0, 2.0])
def test_a_critical_point_is_one(name, alpha, q):
    field = MeanField(name, alpha=alpha)
    point = ini.critical_point(name, alpha=alpha, q=q)
    assert point.q == q
    # a sigma_b^2 within 1e-9 q of 0 is taken as 0
    assert field.length_map(q, point.sigma_w, point.sigma_b) == pytest.approx(q, rel=1e-9)
    assert field.chi(q, point.sigma_w) == pytest.approx(1, rel=ROUNDING)


def test_for_rectifiers_it_is_that_of_he():
    for name, slope in (("identity", 1.0), ("relu", 0.0), ("leaky_relu", 0.2)):
        for q in (0.1, 1.0, 10.0):
            point = ini.critical_point(name, alpha=slope if name == "leaky_relu" else None, q=q)
            assert point.sigma_b == 0.0
            assert point.sigma_w**2 == pytest.approx(2 / (1 + slope**2), rel=ROUNDING)


# sigma_b^2, sigma_w^2 and q of points of tanh's critical line, by an independent solver
@pytest.mark.parametrize(
    ("sigma_b2", "sigma_w2", "q"),
    [
        (0.01, 1.4242, 0.2733),
        (0.05, 1.76095, 0.5700),
        (0.1, 1.9861, 0.8058),
        (0.3, 2.5051, 1.4612),
    ],
)
def test_the_critical_line_of_tanh(sigma_b2, sigma_w2, q):
    from scipy.optimize import brentq

    found = brentq(lambda q: ini.critical_point("tanh", q=q).sigma_b ** 2 - sigma_b2, 0.01, 3)
    assert abs(found - q) <= 0.5e-4
    digits = 0.5e-5 if sigma_w2 == 1.76095 else 0.5e-4
    assert abs(ini.critical_point("tanh", q=found).sigma_w ** 2 - sigma_w2) <= digits


def test_which_of_them_attract():
    slopes = {name: ini.critical_point(name).length_slope for name in ("tanh", "elu", "gelu")}
    assert slopes["tanh"] < slopes["elu"] < 1 < slopes["gelu"]
    field, point = MeanField("tanh"), ini.critical_point("tanh")
    q = 3.0
    for _ in range(40):
        q = field.length_map(q, point.sigma_w, point.sigma_b)
    assert q == pytest.approx(1, rel=1e-9)


def test_where_there_is_none_the_nearest_is_named():
    with pytest.raises(ValueError, match=r"sigmoid has no critical point at q = 1.*is 45\.6") as e:
        ini.critical_point("sigmoid")
    q = float(str(e.value).rpartition(" ")[2])
    point = ini.critical_point("sigmoid", q=q * 1.001)
    assert 100 < point.sigma_w**2 < 105
    assert point.sigma_b**2 < 0.1
    with pytest.raises(ValueError, match=r"sigma_b\^2 would be -2\.14; nor at any other"):
        ini.critical_point("softplus")


def test_initializers_of_a_critical_point():
    point = ini.critical_point("tanh")
    weights, biases = ini.critical("tanh"), ini.critical_bias("tanh")
    assert weights == ini.variance_scaling(point.sigma_w**2, "fan_in", "normal")
    assert biases == ini.normal(point.sigma_b)
    assert ini.from_config({"name": "critical", "activation": "tanh"}) == weights
    assert ini.critical(np.tanh).settings[0][1] == pytest.approx(point.sigma_w**2, rel=ROUNDING)
    orthogonal = ini.critical("tanh", distribution="orthogonal")
    layer = fg.Dense(50, 40, "tanh", weight_init=orthogonal, bias_init=biases)
    w = fg.Sequential(layer, rng=0, dtype="float64").params["0.weight"]
    assert abs(w @ w.T - point.sigma_w**2 * np.eye(40)).max() < 1e-12


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MeanField("mish"), ValueError, "activation: expected one of .*got 'mish'"),
        (lambda: MeanField(3), TypeError, "activation: expected a callable of an array, got 3"),
        (lambda: MeanField(np.tanh, 1.0), TypeError, "derivative: expected a callable.*got 1.0"),
        (lambda: MeanField("tanh", np.cos), TypeError, "derivative: that of tanh is known"),
        (lambda: MeanField("tanh", alpha=0.1), ValueError, "alpha is a parameter of leaky_relu"),
        (lambda: MeanField("elu", alpha=-1), ValueError, "alpha must be .* at least 0, got -1"),
        (lambda: MeanField(np.tanh, alpha=1), TypeError, "alpha: .* a callable does not"),
        (lambda: MeanField(np.sum), ValueError, r"activation: .* shape .* \(64,\), got \(\)"),
        (lambda: MeanField(lambda u: u[:3]), ValueError, r"\(64,\), got \(3,\)"),
        (lambda: MeanField(lambda u: u * 1j), TypeError, "expected real numbers, got complex128"),
        (lambda: MeanField(lambda u: "no"), TypeError, "activation: expected real numbers, got"),
        (
            lambda: MeanField(np.log),
            ValueError,
            "activation: expected finite .*got nan at -12",
        ),
        (
            lambda: MeanField(lambda u: np.exp(u - u.max())),
            ValueError,
            "activation: expected an elementwise function",
        ),
        (lambda: MeanField(np.cumsum), ValueError, "expected an elementwise function"),
        (lambda: MeanField(np.tanh, lambda u: u[:1]), ValueError, "derivative: .* shape"),
        (lambda: MeanField(np.tanh, np.log), ValueError, "derivative: expected finite"),
        (lambda: MeanField(np.tanh, np.cos), ValueError, r"derivative: .*E\[phi'\(z\)\] = 0.6057"),
        (
            lambda: MeanField(np.tanh, lambda u: np.cosh(u) ** -2.0 + np.sin(u)),
            ValueError,
            r"derivative: .*E\[z phi'\(z\)\] = ",
        ),
        (
            lambda: MeanField(np.sign, np.zeros_like),
            ValueError,
            r"derivative: .*E\[phi'\(z\)\] = 0.7978",
        ),
        (lambda: MeanField(np.sign).chi(1, 1), ValueError, "too many jumps"),
        (lambda: MeanField(math.tanh), TypeError, "activation: expected a function of a NumPy vec"),
        (
            lambda: MeanField(np.tanh, lambda u: u if u > 0 else 0 * u),
            TypeError,
            "derivative: expected a function of a NumPy vector, which raises: The truth value",
        ),
        (lambda: MeanField(np.tanh).second_moment(0), ValueError, "q: expected more than 0, got 0"),
        (lambda: MeanField("tanh").chi("1", 1), TypeError, "q: expected a number, got '1'"),
        (lambda: MeanField("tanh").chi(1, -1), ValueError, "sigma_w: .* at least 0.0, got -1"),
        (lambda: MeanField("tanh").length_map(1, 1, math.inf), ValueError, "sigma_b: .*got inf"),
        (lambda: MeanField(np.exp).second_moment(1e4), ValueError, "finite values, got inf at"),
        (
            lambda: MeanField(lambda u: 1e200 * u).second_moment(),
            ValueError,
            "expectation is not finite for q = 1",
        ),
        (
            lambda: ini.gain(np.zeros_like),
            ValueError,
            "expected a function that is not 0",
        ),
        (lambda: ini.gain(3), ValueError, "activation: .*got 3"),
        (lambda: ini.critical(np.zeros_like), ValueError, "zeros_like has no slope at q = 1"),
        (lambda: ini.critical("tanh", q=-1), ValueError, "q: expected more than 0, got -1"),
        (lambda: ini.critical("tanh", distribution="t"), ValueError, "distribution: .*got 't'"),
        (lambda: ini.get("critical"), TypeError, "missing a required argument: 'activation'"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- measured networks -------------------------------------------------------------------------

WIDTH, DEPTH = 128, 50


def log_ratios(weights, biases, mean_square, nets=5):
    """ln of |delta|^2 in the first layer over that in the last, for one random row in each net."""
    found = []
    for seed in range(nets):
        layers = [
            fg.Dense(WIDTH, WIDTH, "tanh", weight_init=weights, bias_init=biases)
            for _ in range(DEPTH)
        ]
        model = fg.Sequential(*layers, rng=seed, dtype="float64")
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((1, WIDTH))
        x *= math.sqrt(mean_square * WIDTH) / np.linalg.norm(x)
        model.forward(x)
        model.backward(rng.standard_normal((1, WIDTH)))
        first, last = (model.grads[f"{i}.bias"] for i in (0, DEPTH - 1))
        found.append(math.log(np.square(first).sum() / np.square(last).sum()))
    return np.array(found)


def variance_of_log(field, sigma_w, q):
    """Of those ratios for random weights: of the order of depth / width.

    Each layer's back-propagated square is a sum of `WIDTH` squares of normals (2 / WIDTH), weighted
    by slopes (3 (m4 / m2^2 - 1) / WIDTH); and q errs by 2 / WIDTH in each layer, decays by
    `length_slope`, and moves chi along.
    """
    spread = field.slope_moment(q, 4) / field.slope_moment(q) ** 2 - 1
    h = 1e-3
    steepness = math.log(field.chi(q * (1 + h), 1) / field.chi(q * (1 - h), 1)) / (2 * h)
    moved = 2 * (steepness / (1 - field.length_slope(q, sigma_w))) ** 2
    return (DEPTH - 1) * (2 + 3 * spread + moved) / WIDTH


@pytest.mark.parametrize("distribution", ["normal", "orthogonal"])
def test_the_gradient_of_a_critical_network_reaches_its_first_layer(distribution):
    field, point = MeanField("tanh"), ini.critical_point("tanh")
    start = (point.q - point.sigma_b**2) / point.sigma_w**2  # at the fixed point from the outset
    logs = log_ratios(
        ini.critical("tanh", distribution=distribution), ini.critical_bias("tanh"), start
    )
    variance = variance_of_log(field, point.sigma_w, point.q)
    # the mean ratio is chi^49 = 1, so its logarithm lies below 0 by half of its variance
    bound = variance / 2 + 5 * math.sqrt(variance / len(logs))
    assert abs(logs.mean()) < bound < 10


def test_where_the_weights_are_too_small_it_vanishes_as_predicted():
    field, sigma_w = MeanField("tanh"), 0.1
    logs = log_ratios(ini.variance_scaling(sigma_w**2, "fan_avg", "uniform"), "zeros", 0.4)
    q, predicted = sigma_w**2 * 0.4, 0.0
    for _ in range(DEPTH - 1):
        predicted += math.log(field.chi(q, sigma_w))
        q = field.length_map(q, sigma_w)
    variance = 2 * (DEPTH - 1) / WIDTH  # slopes are 1 here
    bound = variance / 2 + 5 * math.sqrt(variance / len(logs))
    assert predicted < -220
    assert abs(logs.mean() - predicted) < bound


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signals_stay_at_q(dtype):
    point = ini.critical_point("tanh")
    layers = [
        fg.Dense(
            400,
            400,
            "tanh",
            weight_init=ini.critical("tanh", distribution="orthogonal"),
            bias_init=ini.critical_bias("tanh"),
        )
        for _ in range(20)
    ]
    model = fg.Sequential(*layers, rng=0, dtype=dtype)
    y = model.predict(np.random.default_rng(0).standard_normal((50, 400)))
    second = MeanField("tanh").second_moment(point.q)
    # over 400 units, one layer's deviation of q and those before, which decay by length_slope
    relative = math.sqrt(2 / 400) / (1 - point.length_slope)
    assert abs(np.square(y, dtype=np.float64).mean() / second - 1) < 5 * relative
