"""The way around some layers: its two passes, and the sum of two gradients."""

from __future__ import annotations

import numpy as np
import pytest
from harness import exact
from rounding import H, assert_within, rounding

SIZES = [(0, 3), (1, 1), (7, 15), (16, 16), (17, 33), (300, 5)]
learned = pytest.mark.parametrize("learned", [False, True], ids=["constant", "learned"])


def arrays(rng, count, size, dtype):
    return (rng.uniform(0.1, 1, (count, *size)) * rng.choice([-1, 1], size)).astype(dtype)


def scaling(learned, dtype):
    """The learned scale goes before the constant, which is another one here."""
    return {"scale": np.array([0.7], dtype) if learned else None, "factor": -0.4}


@learned
@pytest.mark.parametrize("size", SIZES)
def test_forward(run, rng, dtype, size, learned):
    x, f = arrays(rng, 2, size, dtype)
    given = {"x": x, "f": f, **scaling(learned, dtype)}
    y, true = run("residual_forward", **given).y, exact("residual_forward", **given).y
    assert_within(y, true, rounding(np.abs(x) + np.abs(f), dtype, 2))


@learned
@pytest.mark.parametrize("size", SIZES)
def test_backward(run, rng, dtype, size, learned):
    f, dy = arrays(rng, 2, size, dtype)
    given = {"f": f, "dy": dy, **scaling(learned, dtype)}
    if not learned:
        given["dscale"] = None
    out, true = run("residual_backward", **given), exact("residual_backward", **given)
    assert_within(out.df, true.df, rounding(true.df, dtype, 2))
    if learned:
        terms = np.abs(f * dy).sum()
        assert_within(out.rows, true.rows, rounding(np.abs(f * dy).sum(axis=1), np.float64))
        assert_within(out.dscale, true.dscale, rounding(terms, np.float64) + rounding(terms, dtype))


@learned
def test_gradient(run, rng, learned):
    x, f, dy, dx, df = rng.standard_normal((5, 17, 6))
    given = scaling(learned, np.float64)
    scale = given["scale"]

    def value(h):
        moved = {**given, "scale": None if scale is None else scale + h}
        return (dy * run("residual_forward", x=x + h * dx, f=f + h * df, **moved).y).sum()

    out = run("residual_backward", f=f, dy=dy, **given)
    slope = (dy * dx).sum() + (out.df * df).sum() + (out.dscale[0] if learned else 0)
    # of a polynomial of second degree, whose central difference is exact but for rounding
    noise = rounding(np.abs(dy) * (np.abs(x) + np.abs(f)), np.float64).sum() / H
    assert_within(slope, (value(H) - value(-H)) / (2 * H), noise)


@pytest.mark.parametrize("size", SIZES)
def test_add(run, rng, dtype, size):
    x, y = arrays(rng, 2, size, dtype)
    bound = rounding(np.abs(x) + np.abs(y), dtype, 1)
    assert_within(run("add", x=x, y=y).y, exact("add", x=x, y=y).y, bound)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_gradient_of_the_scale_that_is_not_finite_raises_the_status(run, rng, dtype, bad):
    f, dy = arrays(rng, 2, (5, 3), dtype)
    given = {"f": f, "dy": dy, **scaling(True, dtype)}
    assert run("residual_backward", **given).status[0] == 0
    dy[4, 2] = bad
    assert run("residual_backward", **given).status[0] == 1
