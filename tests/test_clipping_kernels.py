"""Kernels of clipping: norms of groups, their bounds, and the rescaling into these."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from harness import golden
from rounding import assert_within, rounding

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]
EXTREMES = {
    np.float32: [1e20, 3e38, 1e-25, 1e-40, 3e-45],
    np.float64: [1e200, 1.7e308, 1e-160, 1e-200, 1e-305],
}
extremes = pytest.mark.parametrize(
    ("dtype", "value"), [(dtype, value) for dtype in EXTREMES for value in EXTREMES[dtype]]
)


def clip(run, g, low, high, blocks=None, groups=(0, 1), report=None):
    """The outputs of group_norms and of rescale, with the same bounds for every group."""
    blocks = np.array([0, g.size] if blocks is None else blocks, np.int64)
    cut = {"blocks": blocks, "groups": np.array(groups, np.int64)}
    norms = run("group_norms", x=g, **cut).norms
    bounds = np.tile([float(low), float(high)], (len(groups) - 1, 1))
    report = np.zeros(6) if report is None else report
    out = run("rescale", norms=norms, bounds=bounds, **cut, g=g, report=report)
    out.norms = norms
    return out


def away(factor):
    return max(factor, 1 / factor)


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
        factors.append(factor)
        norms.append(norm)
    norms, factors = np.array(norms, np.longdouble), np.array(factors, np.longdouble)
    count = g.size + 4
    with np.errstate(over="ignore"):
        shown = norms.astype(np.float64)
        assert_within(out.norms.prod(axis=1), shown, rounding(shown, np.float64, count), "norms")
    before, after = (np.sqrt(np.sum(sizes**2)) for sizes in (norms, norms * factors))
    farthest = max([np.longdouble(1), *factors], key=away)
    kept = after / before if before else 1
    report = [1, any(factors != 1), shown.max(initial=0), farthest, kept, farthest]
    assert_within(out.report, report, rounding(np.array(report, float), np.float64, count))


@pytest.mark.parametrize("limit", [1.0, 1000.0])
def test_golden_norm(run, dtype, limit):
    values, case = golden("clipping"), f"norm_2_{limit}"
    parts = [values[f"g{k}"].ravel() for k in range(3)]
    blocks = np.cumsum([0, *(part.size for part in parts)])
    g = np.concatenate(parts).astype(dtype)
    out = clip(run, g, 0, limit, blocks, groups=[0, 3])
    for k, (first, last) in enumerate(pairwise(blocks)):
        true = values[f"{case}.exact.g{k}"].ravel()
        assert_within(out.g[first:last], true, rounding(true, dtype), f"g{k}")
    norm = values[f"{case}.norm"]
    assert_within(out.report[2], norm, rounding(norm, np.float64, g.size), "norm")


@pytest.mark.parametrize(("low", "high"), [(0, 0.5), (30, np.inf), (2, 3), (0, np.inf)])
def test_groups(run, rng, dtype, low, high):
    for size in SIZES:
        g = rng.standard_normal(size).astype(dtype)
        blocks = np.sort([0, *rng.integers(size + 1, size=6), size])
        groups = [0, 1, 1, 5, 7]  # one of them without a block
        spans = list(pairwise(blocks[groups]))
        assert_clipped(clip(run, g, low, high, blocks, groups), g, low, high, spans, dtype)


def test_what_is_in_no_group_is_left(run, rng, dtype):
    g = rng.standard_normal(33).astype(dtype)
    out = clip(run, g, 0, 0.1, blocks=[3, 7, 15], groups=[0, 1, 2])
    np.testing.assert_array_equal(np.delete(out.g, np.r_[3:15]), np.delete(g, np.r_[3:15]))
    assert_clipped(out, g, 0, 0.1, [(3, 7), (7, 15)], dtype)


@pytest.mark.parametrize("size", [1, 2, 33, 5000])
@extremes
def test_extreme_gradients(run, rng, dtype, value, size):
    """Where squares leave the dtype, or even float64; beside blocks of other sizes, or of 0."""
    g = (value * rng.choice([-1, 1], size)).astype(dtype)
    g[1:2] = 0
    assert_clipped(clip(run, g, 1, 1), g, 1, 1, [(0, size)], dtype)
    g = np.concatenate([g, np.ones(3, dtype), np.zeros(2, dtype)])
    blocks = [0, size // 2, size, size + 3, size + 5]
    assert_clipped(clip(run, g, 1, 1, blocks, [0, 4]), g, 1, 1, [(0, g.size)], dtype)
    spans = [(0, size), (size, size + 5)]
    assert_clipped(clip(run, g, 1, 1, blocks, [0, 2, 4]), g, 1, 1, spans, dtype)


@pytest.mark.parametrize("value", [1e-310, 1.5e-323])
def test_denormals_are_lifted(run, value):
    """Even where the factor itself is no float64."""
    g = np.array([3 * value, -4 * value, 0])
    assert_within(clip(run, g, 1, 1).g, g / np.hypot(*g[:2]), rounding(1, np.float64))


@pytest.mark.parametrize(
    "bad", [[np.nan], [-np.inf], [1, np.nan], [np.nan, 1], [np.nan, np.inf], [np.inf, np.nan]]
)
@pytest.mark.parametrize("length", [0, 40])
def test_what_is_not_finite_is_left(run, dtype, bad, length):
    """No other group is touched by it, nor becomes 0 or NaN."""
    bad = np.r_[bad, np.ones(length)]
    g = np.r_[bad, 3, 4].astype(dtype)
    out = clip(run, g, 1, 1, blocks=[0, len(bad), g.size], groups=[0, 1, 2])
    np.testing.assert_array_equal(out.g[: len(bad)], bad)
    assert_within(out.g[len(bad) :], [0.6, 0.8], rounding(1, dtype))
    assert_within(out.report[[0, 1, 3, 4, 5]], [1, 1, 0.2, 0.2, 0.2], rounding(1, np.float64))
    whole = clip(run, g, 1, 1, blocks=[0, len(bad), g.size], groups=[0, 2])
    np.testing.assert_array_equal(whole.g, g)
    assert whole.report[[0, 1, 3, 4, 5]].tolist() == [1, 0, 1, 1, 1]


def test_accounts_add_up(run, dtype):
    report = np.zeros(6)
    for size, factor in ((2, 0.5), (0.5, 1), (8, 0.125), (4, 0.25)):
        report = clip(run, np.array([0, -size], dtype), 0, 1, report=report).report
        assert report[2:4].tolist() == [size, factor]
    assert report.tolist() == [4, 3, 4, 0.25, 1.875, 0.125]
    for size, extreme in ((0.25, 0.125), (2**-5, 32)):  # away from 1 in the other direction
        report = clip(run, np.array([0, -size], dtype), 1, 9, report=report).report
        assert report[5] == extreme


def clip_value(run, g, limit, report=None, step=4096):
    blocks = np.r_[0 : g.size : step, g.size]
    report = np.zeros(6) if report is None else report
    return run("clip_value", limit=limit, blocks=blocks, g=g, report=report)


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_golden_value(run, dtype, limit):
    values = golden("clipping")
    for k in range(3):
        g, clipped = values[f"g{k}"].ravel(), values[f"value_{limit}.g{k}"].ravel()
        out = clip_value(run, g.astype(dtype), limit)
        np.testing.assert_array_equal(out.g, clipped)
        before, after = np.linalg.norm(g), np.linalg.norm(clipped)
        report = [1, after < before, before, *[after / before] * 3]
        assert_within(out.report, report, rounding(np.array(report), np.float64, g.size))


def test_values_of_all_sizes(run, rng, dtype):
    values = np.array([0.25, -0.5, 0.5, 2, -3, -0.0], dtype)
    for size in SIZES:
        for step in (5, 4096):
            g = rng.choice(values, size)
            given = np.array([7, 3, 99, 99, 6, 1.0])
            out = clip_value(run, g, 0.5, given, step)
            expected = np.clip(g, -0.5, 0.5)
            np.testing.assert_array_equal(out.g, expected)
            before, after = (np.linalg.norm(a.astype(np.float64)) for a in (g, expected))
            kept = after / before if before else 1
            acted = 3 + (abs(g) > 0.5).any()
            report = [8, acted, before, kept, 6 + kept, min(1, kept)]
            assert_within(out.report, report, rounding(np.array(report), np.float64, size + 4))


def test_values_that_are_not_finite(run, dtype):
    """Infinite ones are clipped, NaN passes, and neither gets into the sums of the account."""
    for bad, clipped in ((np.inf, 0.5), (-np.inf, -0.5), (np.nan, np.nan)):
        g = np.r_[np.ones(20), bad].astype(dtype)
        out = clip_value(run, g, 0.5)
        np.testing.assert_array_equal(out.g, np.r_[np.full(20, 0.5), clipped])
        assert out.report.tolist() == [1, 1, np.inf, 1, 1, 1]


@extremes
def test_value_of_extreme_gradients(run, dtype, value):
    g = np.array([value, -value, value / 4] * 11, dtype)
    limit = float(g[0]) / 2
    out = clip_value(run, g, limit, step=5)
    expected = np.clip(g.astype(np.longdouble), -limit, limit)
    np.testing.assert_array_equal(out.g, expected.astype(dtype))
    before, after = (np.sqrt(np.sum(a.astype(np.longdouble) ** 2)) for a in (g, expected))
    with np.errstate(over="ignore"):
        report = np.array([1, 1, before, *[after / before] * 3]).astype(np.float64)
    assert_within(out.report, report, rounding(report, np.float64, 40))
