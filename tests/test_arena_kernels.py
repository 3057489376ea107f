"""Passes over flat arenas: the check for what is not finite, clipping."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from harness import golden
from rounding import assert_within, rounding

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]

FINITE = [0.0, -0.0, 1.0, "max", "min", "tiny", "smallest_subnormal"]
NOT_FINITE = [np.nan, np.inf, -np.inf]


def surrounded(size, dtype):
    """Ones between NaN, so that a look past either end is noticed."""
    buffer = np.full(size + 200, np.nan, dtype)
    buffer[101 : 101 + size] = 1
    return buffer[101 : 101 + size]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_check_finite_finds_every_position(ops, dtype, value):
    status = np.zeros(1, np.int64)
    few = [(size, range(size)) for size in range(1, 71)]
    many = [(n, (0, 1, n // 2, 4094, n - 2, n - 1)) for n in (4095, 4096, 4097, 10_000)]
    for size, positions in few + many:
        g = surrounded(size, dtype)
        ops.check_finite(g, status)
        assert status[0] == 0, f"false alarm, {size=}"
        for i in positions:
            g[i] = value
            ops.check_finite(g, status)
            assert status[0] == 1, f"missed {i} of {size}"
            g[i], status[0] = 1, 0


@pytest.mark.parametrize("value", FINITE)
@pytest.mark.parametrize("size", [0, 1, 70, 5000])
def test_check_finite_lets_all_others_pass(run, dtype, value, size):
    value = getattr(np.finfo(dtype), value) if isinstance(value, str) else value
    g = np.full(size, value, dtype)
    assert run("check_finite", g=g).status[0] == 0
    assert run("check_finite", g=g, status=np.ones(1, np.int64)).status[0] == 1, "lowered the flag"


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_value_golden(run, dtype, limit):
    values = golden("clipping")
    for k in range(3):
        g = values[f"g{k}"].ravel()
        out = run("clip_value", limit=limit, g=g.astype(dtype), report=np.zeros(4))
        np.testing.assert_array_equal(out.g, values[f"value_{limit}.g{k}"].ravel())
        outside = np.count_nonzero(np.abs(g) > limit)
        assert out.report.tolist() == [1, outside > 0, outside, g.size]


def test_clip_value_sizes_and_values(run, rng, dtype):
    values = np.array([0.25, -0.5, 0.5, 2, -3, np.inf, -np.inf, np.nan, -0.0], dtype)
    for size in SIZES:
        g = rng.choice(values, size)
        out = run("clip_value", limit=0.5, g=g, report=np.array([7.0, 3.0, 99.0, 99.0]))
        np.testing.assert_array_equal(out.g, np.clip(g, -0.5, 0.5))
        outside = np.count_nonzero(np.abs(g) > 0.5)
        assert out.report.tolist() == [8, 3 + (outside > 0), outside, size]


def clip_norm(run, g, low, high, blocks=None, groups=(0, 1)):
    blocks = np.array([0, g.size] if blocks is None else blocks, np.int64)
    given = {"low": low, "high": high, "blocks": blocks, "groups": np.array(groups, np.int64)}
    return run("clip_norm", **given, g=g, report=np.zeros(4))


def assert_clipped(out, g, low, high, spans, dtype):
    """Against norms in long double, whose exponents no square of a float64 leaves."""
    factors, norms = [], []
    for first, last in spans:
        part = g[first:last].astype(np.longdouble)
        norm = np.sqrt(np.sum(part**2))
        factor = np.clip(norm, low, high) / norm if norm > 0 else np.longdouble(1)
        expected = (part * factor).astype(np.float64)
        bound = rounding(expected, dtype, 4) + rounding(expected, np.float64, part.size)
        assert_within(out.g[first:last], expected, bound, f"g[{first}:{last}]")
        factors.append(float(factor))
        norms.append(float(norm))
    bound = rounding(1, np.float64, g.size + 4)
    assert_within(out.factors.prod(axis=1), factors, bound * np.array(factors), "factors")
    farthest = max([1.0, *factors], key=lambda factor: abs(np.log(factor)))
    report = [1, any(factor != 1 for factor in factors), max([0.0, *norms]), farthest]
    assert_within(out.report, report, bound * np.array(report), "report")


@pytest.mark.parametrize("limit", [1.0, 1000.0])
def test_clip_norm_golden(run, dtype, limit):
    values, case = golden("clipping"), f"norm_2_{limit}"
    parts = [values[f"g{k}"].ravel() for k in range(3)]
    blocks = np.cumsum([0, *(part.size for part in parts)])
    g = np.concatenate(parts).astype(dtype)
    out = clip_norm(run, g, 0.0, limit, blocks, groups=[0, 3])
    for k, (first, last) in enumerate(pairwise(blocks)):
        true = values[f"{case}.exact.g{k}"].ravel()
        assert_within(out.g[first:last], true, rounding(true, dtype), f"g{k}")
    norm = values[f"{case}.norm"]
    assert_within(out.report[2], norm, rounding(norm, np.float64, g.size), "norm")


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (30.0, np.inf), (2.0, 3.0), (0.0, np.inf)])
def test_clip_norm_groups(run, rng, dtype, low, high):
    for size in SIZES:
        g = rng.standard_normal(size).astype(dtype)
        blocks = np.sort([0, *rng.integers(size + 1, size=6), size])
        groups = [0, 1, 1, 5, 7]  # one of them without a block
        spans = list(pairwise(blocks[groups]))
        assert_clipped(clip_norm(run, g, low, high, blocks, groups), g, low, high, spans, dtype)


EXTREMES = {
    np.float32: [1e20, 3e38, 1e-25, 1e-40, 3e-45],
    np.float64: [1e200, 1.7e308, 1e-160, 1e-200, 1e-305],
}


@pytest.mark.parametrize("size", [1, 2, 33, 5000])
@pytest.mark.parametrize(
    ("dtype", "value"), [(dtype, value) for dtype in EXTREMES for value in EXTREMES[dtype]]
)
def test_clip_norm_of_extreme_gradients(run, rng, dtype, value, size):
    """Where squares leave the dtype, or even float64."""
    g = (value * rng.choice([-1, 1], size)).astype(dtype)
    g[1:2] = 0
    assert_clipped(clip_norm(run, g, 1.0, 1.0), g, 1.0, 1.0, [(0, size)], dtype)


@pytest.mark.parametrize("value", [1e-310, 1.5e-323])
def test_clip_norm_lifts_denormals(run, value):
    """Even where the factor itself is no float64."""
    g = np.array([3 * value, -4 * value, 0])
    out = clip_norm(run, g, 1.0, 1.0)
    assert_within(out.g, g / np.hypot(*g[:2]), rounding(1, np.float64))


@pytest.mark.parametrize(
    "bad", [[np.nan], [-np.inf], [1, np.nan], [np.nan, 1], [np.nan, np.inf], [np.inf, np.nan]]
)
def test_clip_norm_leaves_what_is_not_finite(run, dtype, bad):
    g = np.array([*bad, 3, 4], dtype)
    out = clip_norm(run, g, 1.0, 1.0, blocks=[0, len(bad), g.size], groups=[0, 1, 2])
    np.testing.assert_array_equal(out.g[: len(bad)], bad)
    assert_within(out.g[len(bad) :], [0.6, 0.8], rounding(1, dtype))
    assert_within(out.factors.prod(axis=1), [1, 0.2], rounding(1, np.float64))
    assert out.report[:2].tolist() == [1, 1]
