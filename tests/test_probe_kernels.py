"""Kernels of the probe: statistics of gradients, updates and outputs, and the notes on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import exact
from rounding import assert_within, rounding

from fastgrad import Activation
from fastgrad.health.live import LEAST, live_range
from fastgrad.initializers import functions
from fastgrad.layers import ACTIVATIONS

SIZES = [0, 1, 7, 15, 16, 17, 33, 8191, 8192]
EXTREMES = {
    np.float32: [3e38, 1e20, 1e-18, 1e-25, 1e-40],
    np.float64: [1e300, 1e200, 1e-150, 1e-200, 1e-310],
}


def cut(size):
    return np.append(np.arange(0, size, 8192), size).astype(np.int64)


def long_norm(x):
    return float(np.sqrt(np.sum(np.square(x.astype(np.longdouble)))))


@pytest.mark.parametrize("size", SIZES)
def test_gradient(run, rng, dtype, size):
    g = rng.standard_normal(size).astype(dtype)
    g[rng.random(size) < 0.3] = 0
    seen = run("see_gradient", g=g, blocks=cut(size)).seen
    assert seen[:, 2:].tolist() == [[(g == 0).sum(), 0, 0]] * (size > 0)
    norm, top = long_norm(g), np.abs(g).max(initial=0)
    # sums in the dtype's own lanes, of which there are two at least
    bound = rounding(norm, dtype, 20 + size / 4)
    assert_within(seen[:, 0], [norm] * (size > 0), bound)
    assert seen[:, 1].tolist() == [top] * (size > 0)


@pytest.mark.parametrize("scale", ["huge", "large", "small", "tiny", "denormal"])
def test_gradients_out_of_the_range_of_squares(run, rng, dtype, scale):
    value = EXTREMES[dtype.type][("huge", "large", "small", "tiny", "denormal").index(scale)]
    g = (rng.uniform(0.1, 1, 200) * value).astype(dtype)
    seen = run("see_gradient", g=g, blocks=cut(200)).seen[0]
    norm = long_norm(g)
    assert_within(seen[0], norm, rounding(norm, dtype, 220), scale)
    assert seen[1] == np.abs(g).max()
    least = np.finfo(dtype).smallest_normal
    assert seen[2:].tolist() == [0, (g < least).sum(), 0]


@pytest.mark.parametrize("size", [1, 7, 16, 33, 100])
def test_zeros_and_denormals_are_told_apart(run, rng, dtype, size):
    least = np.finfo(dtype).smallest_normal
    kinds = np.array([0.0, -0.0, np.finfo(dtype).smallest_subnormal, -least / 2, least, 1], dtype)
    for used in (kinds[:2], kinds[2:4], kinds[[0, 2]], kinds[[1, 4]], kinds):
        g = rng.choice(used, size)
        seen = run("see_gradient", g=g, blocks=cut(size)).seen[0]
        zeros, small = (g == 0).sum(), (np.abs(g) < least).sum()
        assert seen[1:].tolist() == [np.abs(g).max(), zeros, small - zeros, 0]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_gradients_that_are_not_finite(run, rng, dtype, value):
    for size in (1, 16, 33, 100):
        g = rng.standard_normal(size).astype(dtype)
        g[size // 2] = value
        g[0] = 0 if size > 1 else g[0]
        seen = run("see_gradient", g=g, blocks=cut(size)).seen[0]
        assert seen[4] == 1
        assert seen[2] == (g == 0).sum()
        assert not math.isfinite(seen[0])
        assert not math.isfinite(seen[1])


@pytest.mark.parametrize("size", SIZES)
def test_update(run, rng, dtype, size):
    before = rng.standard_normal(size).astype(dtype)
    p = (before + dtype.type(1e-3) * rng.standard_normal(size)).astype(dtype)
    moved = run("see_update", p=p, before=before, blocks=cut(size)).moved
    step = p.astype(np.longdouble) - before
    for i, x in enumerate((before, step)):
        norm = long_norm(x)
        bound = rounding(norm, dtype, 20 + size / 4)
        assert_within(moved[:, i], [norm] * (size > 0), bound)


@pytest.mark.parametrize("change", [0.0, "tiny", "small"])
def test_updates_that_change_little(run, dtype, change):
    change = 0.0 if change == 0 else EXTREMES[dtype.type][3 if change == "tiny" else 2]
    before = np.zeros(100, dtype)
    before[::3] = change
    p = before * dtype.type(0.5)
    moved = run("see_update", p=p, before=before, blocks=cut(100)).moved[0]
    expected = [long_norm(before), long_norm(before - p)]
    assert_within(moved, expected, rounding(np.array(expected), dtype, 120))


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 33])
@pytest.mark.parametrize("columns", [1, 7, 15, 16, 17, 33])
@pytest.mark.parametrize("kind", ["above", "between", "slope", "plain"])
def test_outputs(run, rng, dtype, rows, columns, kind):
    y = rng.standard_normal((rows, columns)).astype(dtype)
    y[:, rng.random(columns) < 0.3] = -2  # which none of the ranges below has in it
    slope = y**2 + dtype.type(0.1) if kind == "slope" else None
    if slope is not None:
        slope[y == -2] = 0
    low, high = {"between": (-0.5, 0.7), "slope": (0.04, math.inf)}.get(kind, (0.0, math.inf))
    alive = None if kind == "plain" else np.zeros(columns, dtype)
    parts = np.zeros((-(-rows // 8), 3))
    given = {"y": y, "slope": slope, "low": low, "high": high, "alive": alive, "parts": parts}
    out, true = run("see_output", **given), exact("see_output", **given)
    sizes = np.abs(y).sum(axis=1), np.square(y).sum(axis=1)
    for i, size in enumerate(sizes):
        total = np.add.reduceat(size.astype(float), np.arange(0, rows, 8))
        bound = rounding(total, dtype, 8 * columns)
        assert_within(out.parts[:, i], true.parts[:, i], bound, kind)
    if alive is None:
        assert not out.parts[:, 2].any()
        return
    looked_at = y if slope is None else slope**2
    living = (looked_at > low) & (looked_at < high)
    assert out.parts[:, 2].sum() == living.sum()
    assert out.alive.tolist() == living.any(axis=0).tolist()


@pytest.mark.parametrize(("middle", "scale"), [(1e4, 0.2), (1, 1e-4), (0, 1e-22), (0, 1e19)])
@pytest.mark.parametrize("kind", ["above", "plain"])
def test_outputs_beside_a_large_mean_and_out_of_range(run, rng, dtype, middle, scale, kind):
    y = (middle + scale * rng.standard_normal((20, 33))).astype(dtype)
    alive = None if kind == "plain" else np.zeros(33, dtype)
    out = run("see_output", y=y, low=0.0, high=math.inf, alive=alive, parts=np.zeros((3, 3)))
    exact = y.astype(np.longdouble)
    for i, true in enumerate((exact, exact**2)):
        size = np.add.reduceat(np.abs(true).sum(axis=1), np.arange(0, 20, 8)).astype(float)
        total = np.add.reduceat(true.sum(axis=1), np.arange(0, 20, 8)).astype(float)
        assert_within(out.parts[:, i], total, rounding(size, np.float64, 8 * 33), str(i))


def test_alive_is_only_ever_raised(run, dtype):
    alive = np.array([1, 0, 0], dtype)
    y = np.array([[-1, -1, 1]], dtype)
    parts = np.zeros((1, 3))
    out = run("see_output", y=y, low=0.0, high=math.inf, alive=alive, parts=parts)
    assert out.alive.tolist() == [1, 0, 1]


@pytest.mark.parametrize("rows", [1, 8, 9, 33])
def test_delta(run, rng, dtype, rows):
    dy = rng.standard_normal((rows, 17)).astype(dtype)
    out = run("see_delta", dy=dy, sums=np.zeros(-(-rows // 8)))
    squares = np.square(dy.astype(float)).sum(axis=1)
    true = np.add.reduceat(squares, np.arange(0, rows, 8))
    assert_within(out.sums, true, rounding(true, dtype, 8 * 17))


def test_delta_out_of_the_range_of_squares(run):
    for value in (1e-25, 1e30):
        dy = np.full((8, 5), value, np.float32)
        sums = run("see_delta", dy=dy, sums=np.zeros(1)).sums
        true = 40 * float(np.float32(value)) ** 2
        assert_within(sums, [true], rounding(true, np.float64, 60))


def test_note_of_outputs(run, dtype):
    parts = np.array([[6.0, 20.0, 2.0], [2.0, 4.0, 1.0], [2.0, 4.0, 0.0]])
    alive, lived = np.array([7, 1, 0], dtype), np.array([7, 0, 1], dtype)
    ring = np.full((3, 2, 5), -1.0)
    out = run(
        "note_outputs",
        parts=parts,
        sums=np.array([9.0, 16.0, np.nan]),
        rows=np.array([[0, 2], [2, 3]]),
        units=np.array([[1, 3], [0, 0]]),
        elements=np.array([8.0, 2.0]),
        places=np.array([1, 0]),
        step=np.array([4]),
        alive=alive,
        lived=lived,
        ring=ring,
    )
    expected = ring.copy()
    expected[1] = [1, 1, np.nan, np.nan, np.nan], [1, math.sqrt(2), 5 / 8, 0.5, 5]
    assert_within(out.ring, expected, rounding(np.nan_to_num(expected), np.float64))
    assert out.alive.tolist() == [7, 0, 0]
    assert out.lived.tolist() == [7, 1, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": [[2, 1]]}, "rows must be pieces of \\[0, 4\\]"),
        ({"rows": [[0, 5]]}, "rows must be pieces"),
        ({"units": [[-1, 1]]}, "units must be pieces of \\[0, 3\\]"),
        ({"places": [2]}, "places must lie in \\[0, 2\\), got 2..2"),
    ],
)
def test_notes_stay_within_their_arrays(ops, changes, words):
    given = {"rows": [[0, 1]], "units": [[0, 1]], "elements": [1.0], "places": [0]} | changes
    arrays = [np.array(values) for values in given.values()]
    rings = np.zeros(3), np.zeros(3), np.zeros((1, 2, 5))
    with pytest.raises(ValueError, match=words):
        ops.note_outputs(np.zeros((4, 3)), np.zeros(4), *arrays, np.zeros(1, np.int64), *rings)


def test_note_of_an_update(run):
    seen = np.array([[3, 2, 5, 0, 0], [4, 3, 1, 1, 0], [1e200, 1, 0, 0, 2]], float)
    moved = np.array([[6, 0.3], [8, 0.4], [5, 0]], float)
    step, loss, rate = np.array([7], np.int64), np.array([0.25]), np.array([1e-3])
    out = run(
        "note_update", seen=seen, moved=moved, groups=np.array([0, 2, 3]), spare=np.array([4, 0]),
        loss=loss, rate=rate, step=step, tensors=np.zeros((5, 2, 7)), losses=np.zeros((5, 2)),
    )  # fmt: skip
    first, second = [5, 3, 2, 1, 0, 10, 0.5], [1e200, np.inf, 0, 0, 2, 5, 0]
    bound = rounding(np.array([first, second]), np.float64)
    with np.errstate(invalid="ignore"):
        assert_within(out.tensors[2], [first, second], np.nan_to_num(bound, posinf=0))
    assert out.losses[2].tolist() == [0.25, 1e-3]
    assert not out.tensors[[0, 1, 3, 4]].any()


def test_note_of_a_flow(run):
    flow = np.arange(6.0).reshape(2, 3)
    ring, stamps = np.zeros((3, 2, 3)), np.full(3, -1)
    out = run("note_flow", flow=flow, step=np.array([5], np.int64), ring=ring, stamps=stamps)
    assert out.ring[2].tolist() == flow.tolist()
    assert out.stamps.tolist() == [-1, -1, 5]


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("alpha", [None, 0.5])
def test_live_ranges_are_those_of_the_slopes(name, alpha):
    if alpha is not None and name not in ("elu", "leaky_relu"):
        alpha = None
    layer = Activation(name, alpha=alpha)
    function = functions.of_layer(layer)
    u = np.linspace(-12, 12, 100_001)
    y, slope = function.value(u), np.asarray(function.dphi(u))
    steepest = max(slope.max(), layer.alpha if name == "elu" else 0)
    known = live_range(name, layer.alpha)
    if known is None:
        assert (np.abs(slope) >= LEAST * steepest).all()
        return
    low, high = known
    q = slope**2 if name in ("gelu", "gelu_tanh", "silu") else y
    living = (q > low) & (q < high)
    # the grid does not meet the very edge
    assert np.mean(living != (np.abs(slope) >= LEAST * steepest)) <= 2e-5
