"""Cutting minibatches out of the data, and the end of a step."""

from __future__ import annotations

import numpy as np
import pytest

SIZES = [0, 1, 7, 15, 16, 17, 33]


def orders(rng):
    """Rows of a minibatch, an order of 40 rows with repeats, and where in it the cut begins."""
    for size in SIZES:
        for cursor in (0, 1, 40 - size):
            yield size, rng.integers(40, size=40), np.array([cursor])


@pytest.mark.parametrize("features", [0, 1, 2, 3, 4, 16, 33])
def test_gather_rows(run, rng, dtype, features):
    source = rng.standard_normal((40, features)).astype(dtype)
    source[:2] = np.nan
    for size, order, cursor in orders(rng):
        out = np.empty((size, features), dtype)
        out = run("gather_rows", source=source, order=order, cursor=cursor, out=out).out
        np.testing.assert_array_equal(out, source[order[cursor[0] :][:size]])


def test_gather_labels(run, rng):
    source = rng.integers(-(2**62), 2**62, 40)
    for size, order, cursor in orders(rng):
        out = np.empty(size, np.int64)
        out = run("gather_labels", source=source, order=order, cursor=cursor, out=out).out
        np.testing.assert_array_equal(out, source[order[cursor[0] :][:size]])


def test_end_step(run):
    state = {"total": np.array([2.5]), "cursor": np.array([64]), "step": np.array([7])}
    out = run("end_step", loss=np.array([0.75]), rows=32, **state)
    assert (out.total[0], out.cursor[0], out.step[0]) == (26.5, 96, 8)
