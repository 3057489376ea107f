"""The elementary functions of src/fg_math.h: 4 ulp everywhere, and exact special values."""

from functools import cache

import numpy as np
import pytest
from harness import golden
from scipy.special import erf, expit

MAX_ULPS = 4
EXACT = {
    "exp": np.exp,
    "expm1": np.expm1,
    "tanh": np.tanh,
    "sigmoid": expit,
    "erf": erf,
    "log1p": np.log1p,
    "log": np.log,
}

functions = pytest.mark.parametrize("name", EXACT)


def evaluate(ops, name, x):
    out = np.empty_like(x)
    with np.errstate(all="ignore"):
        ops.elementwise(name, x, out)
    return out


@cache
def float32_cases(name):
    """Bit patterns at a stride, which cover all magnitudes, and what matters to most functions."""
    rng = np.random.default_rng(0)
    patterns = np.arange(0, 2**32, 4093).astype(np.uint32).view(np.float32)
    spans = [(-1, 1), (-10, 10), (-105, 90)]
    x = np.concatenate([patterns, *(rng.uniform(*s, 200_000).astype(np.float32) for s in spans)])
    with np.errstate(all="ignore"):
        return x, EXACT[name](x.astype(np.float64))


def assert_close(got, exact, x):
    """The error counts in spacings of the exact result, rounded to the type under test."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        error = np.abs(got.astype(np.float64) - exact) / np.spacing(np.abs(rounded))
    correct = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    # An infinity or a NaN on one side only has an error of NaN or infinity.
    error = np.where(correct, 0, np.nan_to_num(error, nan=np.inf))
    worst = np.argmax(error)
    assert error[worst] <= MAX_ULPS, f"{error[worst]} ulp at {x[worst]!r}: {got[worst]!r}"


@functions
def test_float32_is_within_the_bound(ops, name):
    x, exact = float32_cases(name)
    assert_close(evaluate(ops, name, x), exact, x)


@functions
def test_float64_is_within_the_bound(ops, name):
    x, exact = (golden("math")[f"{name}_{axis}"] for axis in "xy")
    assert_close(evaluate(ops, name, x), exact, x)


INF, NAN, MAX = np.inf, np.nan, np.finfo(np.float32).max
ODD_ZEROS = [(0.0, 0.0), (-0.0, -0.0)]
TO_ONE = [(INF, 1), (MAX, 1), (-INF, -1), (-MAX, -1)]
OVERFLOW = [(INF, INF), (MAX, INF)]
SPECIAL = {
    "exp": [*OVERFLOW, (-INF, 0.0), (-MAX, 0.0), (0.0, 1), (-0.0, 1)],
    "expm1": [*OVERFLOW, (-INF, -1), (-MAX, -1), *ODD_ZEROS],
    "tanh": [*TO_ONE, *ODD_ZEROS],
    "sigmoid": [(INF, 1), (MAX, 1), (-INF, 0.0), (-MAX, 0.0), (0.0, 0.5), (-0.0, 0.5)],
    "erf": [*TO_ONE, *ODD_ZEROS],
    "log1p": [(INF, INF), (-1, -INF), (-1.5, NAN), (-MAX, NAN), (-INF, NAN), *ODD_ZEROS],
    "log": [(INF, INF), (1, 0.0), (0.0, -INF), (-0.0, -INF), (-1, NAN), (-MAX, NAN), (-INF, NAN)],
}


@functions
def test_special_values(ops, name, dtype):
    x, expected = np.array([*SPECIAL[name], (NAN, NAN)], dtype).T.copy()
    got = evaluate(ops, name, x)
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("name", ["expm1", "tanh", "log1p"])
def test_denormals_are_their_own_results(ops, name, dtype):
    denormal = np.finfo(dtype).smallest_subnormal
    x = denormal * np.array([1, -1, 2, -3, 1000, -1001], dtype)
    np.testing.assert_array_equal(evaluate(ops, name, x), x)


@functions
@pytest.mark.parametrize("size", [0, 1, 3, 17])
def test_a_result_does_not_depend_on_its_position(ops, name, dtype, size):
    """Lengths that are no multiple of a vector's leave a remainder, computed by other code."""
    x = np.linspace(0.01, 3, 64, dtype=dtype)
    np.testing.assert_array_equal(evaluate(ops, name, x[:size]), evaluate(ops, name, x)[:size])
