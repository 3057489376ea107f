"""The dense layer, forward and backward: values, gradients, the flag for what is not finite."""

from __future__ import annotations

from itertools import product

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

# Shapes are rows, inputs, outputs. 1 to 14 rows are dot products, then one or two register tiles;
# panels have been 256, 512 or 1024 deep, blocks 240, 324 or 480 high.
EVERY_WIDTH = {
    "rows": [(n, 6, 5) for n in range(71)],
    "inputs": [(8, n, 5) for n in range(71)],
    "outputs": [(8, 6, n) for n in range(71)],
}
COMBINED = list(product((0, 1, 7, 15, 16, 17, 33), (1, 7, 16, 33), (1, 15, 17, 33)))
COMBINED += [(n, 33, 34) for n in range(1, 15)]
for n, m in product((3, 8), (240, 241, 256, 257, 324, 325, 512, 513, 1024, 1025)):
    COMBINED += [(n, m, 5), (m, n, 5), (n, 5, m)]
COMBINED += [(33, 3, 300), (1000, 3, 5)]  # bias gradients are summed 4096 elements at a time
GOLDEN = ["1x1x1", "7x5x3", "16x16x16", "17x33x10", "33x15x17", "4x64x1"]


def random_layer(rng, shape, dtype, bias=True):
    """x, w and b with z of the order of one, and dy."""
    rows, inputs, outputs = shape
    layer = {
        "x": rng.standard_normal((rows, inputs)).astype(dtype),
        "w": (rng.standard_normal((outputs, inputs)) / np.sqrt(max(inputs, 1))).astype(dtype),
        "b": rng.standard_normal(outputs).astype(dtype) if bias else None,
    }
    return layer, rng.standard_normal((rows, outputs)).astype(dtype)


def forward(run, name, alpha, layer):
    """y and, where the forward pass stores it, f'(z)."""
    out = run("dense_forward", **layer, activation=name, alpha=alpha)
    return out.y, out.slope if name in STORED else None


def backward(run, name, alpha, layer, y, slope, dy, **more):
    return run(
        "dense_backward",
        **{"x": layer["x"], "w": layer["w"], "y": y, "slope": slope, "dy": dy} | more,
        activation=name,
        alpha=alpha,
    )


def forward_bounds(name, layer, y, dtype):
    """For y and f'(z): the rounding of z = x w' + b, and that of the activation."""
    x, w, b = (None if a is None else a.astype(np.float64) for a in layer.values())
    z, _ = forward(exact, "identity", 0.0, layer)
    terms = np.abs(x) @ np.abs(w.T) + (0 if b is None else np.abs(b))
    from_z = STEEPEST * rounding(terms, dtype, x.shape[1] + 1)
    of_slope = from_z + stored_slope_bound(name, z, dtype) if name in STORED else None
    return from_z + output_bound(name, z, y, dtype), of_slope


def assert_backward_within(out, true, layer, dz_bound, dtype, what):
    """Products and sums add their own rounding to that of dz."""
    x, w, dz = (np.abs(a.astype(np.float64)) for a in (layer["x"], layer["w"], true["dy"]))
    rows, outputs = dz.shape
    assert_within(out.dy, true["dy"], dz_bound, f"dz, {what}")
    bound = rounding(dz @ w, dtype, outputs) + dz_bound @ w
    assert_within(out.dx, true["dx"], bound, f"dx, {what}")
    bound = rounding(dz.T @ x, dtype, rows) + dz_bound.T @ x
    assert_within(out.dw, true["dw"], bound, f"dw, {what}")
    bound = rounding(dz.sum(0), dtype, rows) + dz_bound.sum(0)
    assert_within(out.db, true["db"], bound, f"db, {what}")


def check(run, rng, dtype, shape, name, alpha=0.0):
    """Both passes; odd numbers of rows go without a bias."""
    layer, dy = random_layer(rng, shape, dtype, bias=shape[0] % 2 == 0)
    y, slope = forward(run, name, alpha, layer)
    true_y, true_slope = forward(exact, name, alpha, layer)
    y_bound, bound = forward_bounds(name, layer, true_y, dtype)
    assert_within(y, true_y, y_bound, f"y, {shape}")
    if name in STORED:
        assert_within(slope, true_slope, bound, f"slope, {shape}")
    out = backward(run, name, alpha, layer, y, slope, dy)
    true = backward(exact, name, alpha, layer, y, slope, dy)
    derivative = backward(exact, name, alpha, layer, y, slope, np.ones_like(dy)).dy
    dz_bound = np.abs(dy) * slope_bound(name, y, derivative, dtype)
    assert_backward_within(out, vars(true), layer, dz_bound, dtype, shape)
    assert out.status[0] == 0


@pytest.mark.parametrize("axis", EVERY_WIDTH)
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_every_width(run, rng, dtype, axis, name):
    for shape in EVERY_WIDTH[axis]:
        check(run, rng, dtype, shape, name)


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_sizes_combined(run, rng, dtype, name):
    for shape in COMBINED:
        check(run, rng, dtype, shape, name)


@pytest.mark.parametrize(("name", "alpha"), ACTIVATIONS)
def test_every_activation(run, rng, dtype, name, alpha):
    check(run, rng, dtype, (17, 7, 33), name, alpha)


@pytest.mark.parametrize("shape", GOLDEN)
@pytest.mark.parametrize("name", ["identity", "relu", "tanh", "gelu"])
def test_golden(run, name, shape, dtype):
    values = {key.removeprefix(f"{shape}."): a for key, a in golden("dense").items()}
    true = {key: values[f"{name}.{key}"] for key in ("y", "dx", "dw", "db")}
    layer = {key: values[key].astype(dtype) for key in "xwb"}
    dy = values["dy"].astype(dtype)
    y, slope = forward(run, name, 0.0, layer)
    y_bound, bound = forward_bounds(name, layer, true["y"], dtype)
    assert_within(y, true["y"], y_bound, "y")
    true["dy"] = backward(exact, name, 0.0, layer, *forward(exact, name, 0.0, layer), dy).dy
    if name not in STORED:
        bound = slope_bound(name, true["y"], 1.0, dtype)
        bound = bound + (2 * y_bound if name == "tanh" else 0)  # 1 - y^2 of a rounded y
    out = backward(run, name, 0.0, layer, y, slope, dy)
    assert_backward_within(out, true, layer, np.abs(dy) * bound, dtype, shape)


@pytest.mark.parametrize("wanted", ["x", "w", "b"])
@pytest.mark.parametrize(("name", "alpha"), ACTIVATIONS)
def test_gradient(run, rng, name, alpha, wanted):
    layer, dy = random_layer(rng, (64, 6, 3), np.float64)
    z, _ = forward(exact, "identity", 0.0, layer)
    rows = np.abs(z).min(axis=1) > 0.01  # kinks lie at zero
    layer["x"], dy = layer["x"][rows].copy(), dy[rows].copy()
    direction = rng.standard_normal(layer[wanted].shape)

    def weighted(moved):
        return np.sum(dy * forward(run, name, alpha, layer | {wanted: moved})[0])

    y, slope = forward(run, name, alpha, layer)
    gradient = getattr(backward(run, name, alpha, layer, y, slope, dy), f"d{wanted}")
    dz_dh, _ = forward(exact, "identity", 0.0, layer | {"b": None, wanted: direction})
    if wanted == "b":
        dz_dh = np.broadcast_to(direction, y.shape)
    noise = 2 * forward_bounds(name, layer, y, np.float64)[0]  # of z, and of the moved argument
    truncation = H**2 / 6 * MOST_CURVED * np.abs(dz_dh) ** 3
    numeric = central_difference(weighted, layer[wanted], direction)
    bound = np.sum(np.abs(dy) * (noise / H + truncation))
    assert_within(np.sum(gradient * direction), numeric, bound)


@pytest.mark.parametrize("left_out", ["dx", "db", "status"])
def test_what_is_left_out_changes_nothing_else(run, rng, dtype, left_out):
    layer, dy = random_layer(rng, (17, 7, 33), dtype)
    y, slope = forward(run, "silu", 0.0, layer)
    whole = backward(run, "silu", 0.0, layer, y, slope, dy)
    part = backward(run, "silu", 0.0, layer, y, slope, dy, **{left_out: None})
    assert vars(part).keys() == vars(whole).keys() - {left_out}
    for name, array in vars(part).items():
        np.testing.assert_array_equal(array, getattr(whole, name), name)


# Dot products, register tiles, and sums over several groups of rows.
flag_shapes = pytest.mark.parametrize("shape", [(3, 7, 33), (8, 33, 7), (300, 18, 18)], ids=str)


@flag_shapes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_gradient_that_is_not_finite_raises_the_flag(run, rng, dtype, shape, value):
    """Wherever it lies: in dy it reaches dw and db, in x only dw, in w neither."""
    layer, dy = random_layer(rng, shape, dtype)
    arrays = {"x": layer["x"], "w": layer["w"], "y": dy, "dy": dy}
    for key, expected in (("dy", 1), ("x", 1), ("w", 0)):
        for i in range(arrays[key].shape[1]):
            bad = arrays[key].copy()
            bad[rng.integers(len(bad)), i] = value
            changed = arrays | {key: bad}
            out = run("dense_backward", **changed, activation="identity", alpha=0.0)
            assert out.status[0] == expected, f"{key}[:, {i}]"


@flag_shapes
@pytest.mark.filterwarnings("ignore:overflow")
def test_an_overflow_of_one_weight_raises_the_flag(run, rng, dtype, shape):
    layer, dy = random_layer(rng, shape, dtype)
    for position in np.ndindex(layer["w"].shape):
        x, dz, row = layer["x"].copy(), dy.copy(), rng.integers(len(dy))
        x[row, position[1]] = dz[row, position[0]] = 2 * np.sqrt(np.finfo(dtype).max)
        out = backward(run, "identity", 0.0, layer | {"x": x}, dz, None, dz)
        assert np.argwhere(~np.isfinite(out.dw)).tolist() == [[*position]]
        assert np.isfinite(out.db).all()
        assert out.status[0] == 1, f"{position}"


@flag_shapes
@pytest.mark.filterwarnings("ignore:overflow")
def test_an_overflow_of_one_bias_raises_the_flag(run, rng, dtype, shape):
    layer, dy = random_layer(rng, shape, dtype)
    for i in range(dy.shape[1]):
        dz = 0 * dy
        dz[:2, i] = 0.75 * np.finfo(dtype).max
        out = backward(run, "identity", 0.0, layer | {"x": 0 * layer["x"]}, dz, None, dz)
        assert np.flatnonzero(~np.isfinite(out.db)).tolist() == [i]
        assert np.isfinite(out.dw).all()
        assert out.status[0] == 1, f"{i}"


def test_the_flag_is_never_lowered(run, rng, dtype):
    layer, dy = random_layer(rng, (8, 3, 3), dtype)
    out = backward(run, "identity", 0.0, layer, dy, None, dy, status=np.ones(1, np.int64))
    assert out.status[0] == 1
