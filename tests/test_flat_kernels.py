"""Sums and means of whole flat vectors."""

from __future__ import annotations

import numpy as np
import pytest
from harness import exact
from rounding import assert_within, rounding

SIZES = [0, 1, 7, 15, 16, 17, 33, 4095, 4096, 4097]


@pytest.mark.parametrize("size", SIZES)
def test_blend(run, rng, dtype, size):
    x, y = rng.uniform(-1, 1, (2, size)).astype(dtype)
    given = {"x": x, "keep": 0.75, "add": 0.3, "y": y}
    out, true = run("blend", **given), exact("blend", **given)
    terms = 0.75 * np.abs(y) + 0.3 * np.abs(x)
    assert_within(out.y, true.y, rounding(terms, dtype), f"{size=}")


def test_blend_does_not_read_what_it_does_not_keep(run, rng, dtype):
    x = rng.standard_normal(33).astype(dtype)
    out = run("blend", x=x, keep=0.0, add=1.0, y=np.full(33, np.nan, dtype))
    assert np.array_equal(out.y, x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", [1e-3, 0.9, 0.9999])
def test_average_is_the_weighted_mean_of_all_steps(run, rng, dtype, size, decay):
    steps = 12
    p = rng.uniform(0.5, 1, (steps, size)).astype(dtype)
    mean = np.full(size, np.nan, dtype)
    for step in range(steps):
        mean = run("average", p=p[step], decay=decay, step=np.array([step]), mean=mean).mean
    weights = decay ** np.arange(steps)[::-1].astype(float)
    true = weights @ p.astype(float) / weights.sum()
    # each step rounds its share, the difference, their product and the sum
    assert_within(mean, true, steps * rounding(np.ones(size), dtype), f"{size=}")


def test_an_average_of_equal_parameters_is_exact(run, rng, dtype):
    p = rng.standard_normal(33).astype(dtype)
    out = run("average", p=p, decay=0.999, step=np.array([1000]), mean=p.copy())
    assert np.array_equal(out.mean, p)
