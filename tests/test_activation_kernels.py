"""Activations on their own: values, slopes, what NaN and zeros become, gradients."""

from __future__ import annotations

import numpy as np
import pytest
from harness import exact, golden
from rounding import (
    ACTIVATIONS,
    MOST_CURVED,
    STEEPEST,
    STORED,
    H,
    assert_within,
    central_difference,
    output_bound,
    rounding,
    slope_bound,
    stored_slope_bound,
)

activations = pytest.mark.parametrize(("name", "alpha"), ACTIVATIONS)
SIZES = [0, 1, 7, 15, 16, 17, 33, 70]


def forward(run, name, alpha, z):
    """y and, where the forward pass stores it, f'(z)."""
    slope = {} if name in STORED else {"slope": None}
    out = run("activation_forward", x=z, activation=name, alpha=alpha, **slope)
    return out.y, getattr(out, "slope", None)


def backward(run, name, alpha, y, slope, dy):
    return run("activation_backward", y=y, slope=slope, dy=dy, activation=name, alpha=alpha).dx


@activations
def test_forward(run, name, alpha, dtype, rng):
    for size in SIZES:
        z = rng.normal(0, 4, size).astype(dtype)
        y, slope = forward(run, name, alpha, z)
        true_y, true_slope = forward(exact, name, alpha, z)
        assert_within(y, true_y, output_bound(name, z, true_y, dtype), f"y, {size=}")
        if name in STORED:
            assert_within(slope, true_slope, stored_slope_bound(name, z, dtype), f"slope, {size=}")
            alone = run("activation_forward", x=z, activation=name, alpha=alpha, slope=None)
            assert_within(alone.y, true_y, output_bound(name, z, true_y, dtype), f"y, {size=}")


@activations
def test_backward(run, name, alpha, dtype, rng):
    for size in SIZES:
        z, dy = rng.normal(0, 4, size).astype(dtype), rng.normal(0, 4, size).astype(dtype)
        y, slope = forward(run, name, alpha, z)
        dx = backward(run, name, alpha, y, slope, dy)
        true_dx = backward(exact, name, alpha, y, slope, dy)
        true_slope = backward(exact, name, alpha, y, slope, np.ones_like(dy))
        assert_within(dx, true_dx, np.abs(dy) * slope_bound(name, y, true_slope, dtype), f"{size=}")


@activations
def test_golden(run, name, alpha, dtype):
    case = f"{name}_{alpha}" if alpha else name
    values = golden("activations")
    z, true_y, true_slope = values["z"], values[f"{case}.y"], values[f"{case}.dydz"]
    y, slope = forward(run, name, alpha, z.astype(dtype))
    dx = backward(run, name, alpha, y, slope, np.ones_like(y))
    assert_within(y, true_y, output_bound(name, z, true_y, dtype), "y")
    if name in STORED:
        bound = stored_slope_bound(name, z, dtype)
    else:  # a rounded y moves it by at most twice as much, and not at all where y is large
        bound = slope_bound(name, true_y, true_slope, dtype)
        bound = bound + rounding(2 * np.minimum(np.abs(true_y), 1), dtype)
    assert_within(dx, true_slope, bound, "slope")


@activations
def test_gradient(run, name, alpha, rng):
    z, weight, direction = rng.normal(0, 2, (3, 200))
    z += np.copysign(0.01, z)  # kinks lie at zero
    y, slope = forward(run, name, alpha, z)
    dx = backward(run, name, alpha, y, slope, weight)
    numeric = central_difference(lambda z: weight @ forward(run, name, alpha, z)[0], z, direction)
    noise = output_bound(name, z, y, np.float64) + rounding(STEEPEST * z, np.float64, 1)
    truncation = H**2 / 6 * MOST_CURVED * np.abs(direction) ** 3
    assert_within(dx @ direction, numeric, np.abs(weight) @ (noise / H + truncation))


@activations
def test_output_may_be_the_input(ops, run, name, alpha, dtype, rng):
    z, dy = rng.normal(0, 4, (2, 33)).astype(dtype)
    y, slope = forward(run, name, alpha, z)
    dx = backward(run, name, alpha, y, slope, dy)
    ops.activation_forward(z, name, alpha, z, None if slope is None else np.empty_like(z))
    ops.activation_backward(y, slope, dy, name, alpha, dy)
    np.testing.assert_array_equal(z, y)
    np.testing.assert_array_equal(dy, dx)


@activations
def test_a_result_does_not_depend_on_its_position(run, name, alpha, dtype, rng):
    """Ends of an array that are no whole vector run through other code."""
    z, dy = rng.normal(0, 4, (2, 70)).astype(dtype)
    y, slope = forward(run, name, alpha, z)
    dx = backward(run, name, alpha, y, slope, dy)
    for size in SIZES:
        for part in (slice(size), slice(size, None)):
            own_y, own_slope = forward(run, name, alpha, z[part])
            own_dx = backward(run, name, alpha, own_y, own_slope, dy[part])
            np.testing.assert_array_equal(own_y, y[part])
            np.testing.assert_array_equal(own_dx, dx[part])


@activations
def test_nan_passes_through(run, name, alpha, dtype):
    for i in range(33):
        z = np.linspace(-1, 1, 33, dtype=dtype)
        z[i] = np.nan
        for values in forward(run, name, alpha, z):
            if values is not None:
                assert np.flatnonzero(np.isnan(values)).tolist() == [i]


@activations
def test_negative_zero(run, name, alpha, dtype):
    y, _ = forward(run, name, alpha, np.array([-0.0, 0.0], dtype))
    assert y[0] == y[1]
    if name not in ("relu", "softplus", "sigmoid"):
        assert y[1] == 0
        assert np.signbit(y).tolist() == [True, False]


@pytest.mark.parametrize("name", sorted(STORED))
def test_far_from_zero(run, name, dtype):
    """No 0 * inf, and no remains of what cancels."""
    z = np.array([-1e12, -1e4, -200, 200, 1e4, 1e12], dtype)
    y, slope = forward(run, name, 0.0, z)
    assert_within(y, np.maximum(z, 0), 1e-37, "y")
    assert_within(slope, z > 0, 1e-37, "slope")


@pytest.mark.parametrize(("name", "alpha"), [a for a in ACTIVATIONS if a[0] not in STORED])
def test_a_slope_nobody_needs_is_left_alone(run, name, alpha, dtype):
    z = np.linspace(-1, 1, 33, dtype=dtype)
    out = run("activation_forward", x=z, activation=name, alpha=alpha)
    assert np.isnan(out.slope).all()
    with_slope = backward(run, name, alpha, out.y, out.slope, z)
    np.testing.assert_array_equal(with_slope, backward(run, name, alpha, out.y, None, z))


@pytest.mark.parametrize("name", sorted(STORED))
def test_a_slope_that_is_needed_must_be_given(ops, name, dtype):
    y = np.ones(3, dtype)
    with pytest.raises(ValueError, match=f"slope is None, but {name} needs it"):
        ops.activation_backward(y, None, y, name, 0.0, np.empty_like(y))
