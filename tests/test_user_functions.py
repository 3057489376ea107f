"""Functions that users write: their derivatives, and what is said of those that are wrong."""

from __future__ import annotations

import inspect
import math
import re

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgrad as fg
from fastgrad.custom.dual import Dual
from fastgrad.custom.rebinding import Copies

GOLDEN = (math.sqrt(5) - 1) / 2


def line_of(function, text):
    """Where in its file a line of a function's code is."""
    lines, first = inspect.getsourcelines(function)
    return f"{__file__}:{first + next(i for i, line in enumerate(lines) if text in line)}"


# Derivatives


def in_python(function):
    """Value and slope by the specification."""
    copy = Copies(lambda found: found).of(function)

    def at(z):
        found = copy(Dual(z, 1))
        return found.value, found.slope

    return at


# expressions that are smooth, and finite for |z| <= 1
LEAVES = st.sampled_from(["z", "0.7", "2", "-1.5"])
UNARY = [
    "math.exp({})", "np.expm1({})", "math.tanh({})", "math.sin({})", "np.cos({})", "math.atan({})",
    "math.erf({})", "np.arcsinh({})", "np.log1p(np.square({}))", "-({})",
    "math.sqrt(({}) ** 2 + 1)", "np.square({})", "math.cosh(np.tanh({}))", "np.sinh(math.sin({}))",
    "2 ** np.tanh({})", "np.log(2 + math.cos({}))", "np.logaddexp({}, 1)", "math.hypot({}, 1)",
    "({}) ** 3",
    "(({}) ** 2 + 1) ** -2", "(math.cos({}) + 2) ** 0.5", "np.arctanh(math.sin({}) / 2)",
]  # fmt: skip
BINARY = ["({}) + ({})", "({}) - ({})", "({}) * ({})", "({}) / (1 + ({}) ** 2)"]
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(str.format, st.sampled_from(UNARY), inner),
        st.builds(str.format, st.sampled_from(BINARY), inner, inner),
    ),
    max_leaves=5,
)


def function_of(expression):
    space = {"math": math, "np": np}
    exec(f"def f(z):\n    y = np.tanh({expression})\n    return y + 0.1 * z", space)
    return space["f"]


@given(EXPRESSIONS, st.floats(-1, 1))
@settings(max_examples=150, deadline=None)
def test_slopes_are_those_of_finite_differences(expression, z):
    """Of tanh of whatever it is, so that slopes are no larger than what is differentiated."""
    f = function_of(expression)
    at = in_python(f)
    value, slope = at(z)
    with np.errstate(all="ignore"):
        assert value == pytest.approx(float(f(z)), rel=1e-12, abs=1e-12)
        h = 1e-4
        points = np.array([at(z + k * h)[0] for k in (-2, -1, 1, 2)])
    steep = abs(points - value).max() / h
    five = points @ [1, -8, 8, -1] / (12 * h)  # which errs by h^4 f'''''/ 30
    three = (points[2] - points[1]) / (2 * h)
    bound = 1e-10 * steep + abs(five - three) + 16 * np.finfo(float).eps / h
    assert abs(slope - five) <= bound, expression


@given(EXPRESSIONS)
@settings(max_examples=8, deadline=None)
def test_compiled_code_computes_the_same(expression):
    f = fg.activation(function_of(expression))
    z = np.linspace(-1, 1, 33)
    values, slopes = f.applied(z)
    expected, expected_slopes = f.evaluated(z)
    size = np.abs(expected_slopes).max() + 1
    # contraction and other libraries: some ulp of each intermediate number
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * size, err_msg=expression)
    np.testing.assert_allclose(slopes, expected_slopes, rtol=0, atol=1e-11 * size)


def branches(z):
    if z < -2:
        return 0.0
    if z > 2 and z == z:
        y = 1
    else:
        y = z / 4
        y += 0.5
    return y


def loop(z, terms=4):
    total, term = 0.0, 1.0
    for k in range(1, terms):
        total += term
        term *= z / k
    return total * math.exp(-z * z)


def steps(z):
    return np.floor(z) + z % 1 + z // 2 - np.ceil(-z) + np.sign(z) * np.trunc(0.3 * z)


def choices(z):
    a = np.where(z > 1, z, np.maximum(z, 0.5)) + np.clip(z, -1, 1) + np.minimum(z, 2)
    return a + min(z, 1, z * z) + max(z, -1, 0.5 * z) + math.copysign(z, z - 1) + math.fabs(z)


def powers(z):
    total = z**0 + z**1 + (1 + z * z) ** -1
    for k in range(3):
        total = total + z**k / 10
    return total + (z * z + 1) ** (z / 10) + pow(2, z) + np.power(z * z + 0.5, 1.5)


def others(z):
    inner = 0.9 * math.tanh(z)
    a = math.log2(2 + inner) + math.log10(2 + inner) + math.log(2 + inner, 3) + np.exp2(inner)
    b = math.tan(inner) + math.asin(inner) + math.acos(inner) + math.acosh(2 + inner)
    c = math.erfc(z) + np.reciprocal(2 + inner) + np.multiply(z, 2) + float(z)
    return a + b + c + (0 if math.isnan(z) else 1) + (1 if math.isfinite(z) else 0)


@numba.njit
def numba_helper(z):
    return z * z


def nested(z, scale=0.5):
    def inner(x):
        return scale * x + numba_helper(x)

    return inner(z) + inner(-z)


def of_an_enclosing_function():
    import math as inner_math

    def halved(z):
        return z / 2

    def enclosed(z):
        return inner_math.tanh(halved(z))

    return enclosed


CODES = [of_an_enclosing_function(), branches, loop, steps, choices, powers, others, nested]


@pytest.mark.parametrize("function", CODES, ids=lambda f: f.__name__)
def test_code_of_many_kinds(function, dtype):
    """The compiled function, that in Python, and finite differences where there are no kinks."""
    found = fg.activation(function)
    z = np.array([12 * (2 * (k * GOLDEN % 1) - 1) for k in range(1, 60)], dtype)
    values, slopes = found.applied(z)
    expected, expected_slopes = found.evaluated(z.astype(np.float64))
    eps = float(np.finfo(dtype).eps)
    size = 1 + np.abs(expected) + np.abs(z * expected_slopes)
    # some tens of roundings, each of a number that is not much larger than value or slope times z
    assert (np.abs(values - expected) <= 40 * eps * size).all()
    assert (np.abs(slopes - expected_slopes) <= 400 * eps * size).all()
    plain = [float(function(float(x))) for x in z]
    np.testing.assert_allclose(expected, plain, rtol=1e-12, atol=1e-12)


def test_numbers_of_numpy_keep_slopes():
    found = in_python(lambda z: np.float64(2) * z + np.float32(1) - z / np.int64(4))
    assert found(2.0) == (4.5, 1.75)


def test_what_does_not_change_has_no_slope():
    """A constant that is infinite adds nothing to the slope, and not NaN."""
    found = in_python(lambda z: z * 1.0 + min(z, 1e400))
    assert found(0.5) == (1.0, 2.0)


# What is said of a function that is wrong


def no_number(z):
    return z, 1


def text(z):
    return "a"


def truth(z):
    return z > 0


def nothing_above_three(z):
    if z < 3:
        return z


def array(z):
    return np.array([z])


def negative_log(z):
    return math.log(z)


def no_attribute(z):
    y = z + 1
    return y.imaginary


def helper_that_fails(z):
    return no_attribute(z) + 1


def exceptions(z):
    try:
        y = z / 2
    except ValueError:
        y = z
    return y


def unknown_function(z):
    return np.sinc(z)


def rounds_to_integers(z):
    return z * int(z)


def overflows(z):
    return math.exp(100 * z)


def two_numbers(z, w):
    return z + w


def infinite_slope(z):
    return math.sqrt(abs(z))


def raises(z):
    if z > 20:
        raise ValueError("too large")
    return z


def asserts(z):
    assert z == z
    return z


def overflows_in_float32(z):
    return z / (1 + math.exp(-8 * z))


TABLE = np.array([0.1, 0.2])


def uses_an_array(z):
    return z * TABLE[0]


def nothing_far_out(z):
    if z < 15:
        y = z
    return y


def factorials(z):
    p = 1
    for i in range(1, 25):
        p *= i
    return z * (p / 1e24)


def takes_anything(z, **more):
    return z


NOT_FINITE = "must be finite for |z| <= 12, but is"
BAD = [
    (no_number, "def ", TypeError, "no_number must return a number, got tuple (-12.0, 1) at z = "),
    (text, "def ", TypeError, "text must return a number, got str 'a' at z = -12"),
    (truth, "def ", TypeError, "truth must return a number, got bool False at z = -12"),
    (nothing_above_three, "def ", TypeError, "must return a number, got NoneType None at z = 3"),
    (array, "np.array", TypeError, "TypeError at z = -12: array cannot be used here; what can be"),
    (negative_log, "def ", ValueError, f"negative_log {NOT_FINITE} nan at z = -12"),
    (no_attribute, "y.imag", TypeError, "AttributeError at z = -12: "),
    (exceptions, "ValueError", TypeError, "cannot be compiled: "),
    (unknown_function, "sinc", TypeError, "sinc cannot be used here; what can be are abs, "),
    (rounds_to_integers, "int(z)", TypeError, "TypeError at z = -12: "),
    (overflows, "def ", ValueError, f"overflows {NOT_FINITE} inf at z = "),
    (raises, "raise ", TypeError, "raises may raise an error, for which there is no way out of"),
    (asserts, "assert ", TypeError, "asserts may raise an error, for which there is no way out"),
    (overflows_in_float32, "def ", ValueError, f"derivative {NOT_FINITE} "),
    (uses_an_array, "def ", TypeError, "uses_an_array uses TABLE, an array, list or dict: it may"),
    (nothing_far_out, "return y", TypeError, "UnboundLocalError at z = 15: "),
    (
        factorials,
        "def ",
        TypeError,
        "but compiled it gives 9.40222e-05; whole numbers have 64 bits",
    ),
    (takes_anything, "def ", TypeError, "cannot be compiled: "),
    (two_numbers, "def ", TypeError, "must take z, and constants that have a default: missing a"),
    (infinite_slope, "def ", ValueError, f"derivative {NOT_FINITE} "),
]


@pytest.mark.parametrize(("function", "line", "error", "message"), BAD)
def test_bad_functions(function, line, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        fg.activation(function)
    assert line_of(function, line) in str(caught.value)
    assert function.__name__ in str(caught.value)


def test_constants_may_be_keywords_alone():
    @fg.activation
    def scaled(z, *, alpha=0.25):
        return alpha * z

    np.testing.assert_array_equal(scaled(np.array([4.0, -8.0])), [1, -2])


def test_the_slope_of_logaddexp_at_a_tie():
    for function in (lambda z: np.logaddexp(0, z), lambda z: np.logaddexp(z, 0)):
        assert fg.activation(function).at(0.0) == (math.log(2), 0.5)


def test_a_function_that_is_not_there_yet():
    def outer():
        @fg.activation
        def steps(z):
            return z if z < 1 else steps(z - 1)

        return steps

    with pytest.raises(TypeError, match=r":\d+: steps has no value yet, when steps is decorated"):
        outer()


def test_the_line_of_a_helper_is_named():
    with pytest.raises(TypeError, match="helper_that_fails") as caught:
        fg.activation(helper_that_fails)
    assert line_of(no_attribute, "y.imag") in str(caught.value)


@pytest.mark.parametrize(
    ("derivative", "message"),
    [
        (lambda z: 1.0, r"the derivative is 1 at z = -12, but finite .* of relu6 give 0"),
        (lambda z: float(0 < z < 6.3), r"the derivative is 1 at z = 6\.\d+, but .* give 0"),
        (lambda z: 2.0 if z == 0 else float(0 < z < 6), r"is 2 at z = 0, but .* give 0 to 1"),
        (lambda z: None, "derivative must return a number, got NoneType None at z = -12"),
        (lambda z: z / 0, "ZeroDivisionError|derivative must be finite .* is -inf at z = -12"),
    ],
)
def test_bad_derivatives(derivative, message):
    with pytest.raises((TypeError, ValueError), match=message):

        @fg.activation(derivative=derivative)
        def relu6(z):
            return min(max(z, 0), 6)


@pytest.mark.parametrize("at_zero", [0.0, 0.4, 1.0])
def test_at_a_kink_slopes_of_both_sides_count(at_zero):
    fg.activation(lambda z: max(z, 0), derivative=lambda z: at_zero if z == 0 else float(z > 0))


def test_jumps_have_the_slope_beside_them():
    assert fg.activation(lambda z: np.sign(z)).slope(0.0) == 0


@pytest.mark.parametrize("wrong", [3, "relu", np.tanh, math.tanh, type])
def test_what_is_no_function_in_python(wrong):
    message = "activation: expected a function written in Python, got"
    with pytest.raises(TypeError, match=message):
        fg.activation(wrong)
    with pytest.raises(TypeError, match="activation: derivative: expected a function written in"):
        fg.activation(lambda z: z, derivative=wrong)
