"""Cutting minibatches out of the data, the end of a minibatch and of a step, scheduled values."""

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


def test_end_batch(run):
    state = {"total": np.array([2.5, 64]), "cursor": np.array([64]), "batches": np.array([7])}
    out = run("end_batch", loss=np.array([0.75]), rows=32, **state)
    assert (*out.total, out.cursor[0], out.batches[0]) == (26.5, 96, 96, 8)


def test_end_step(run):
    assert run("end_step", step=np.array([7])).step[0] == 8


@pytest.mark.parametrize(("step", "row"), [(9, 0), (10, 0), (11, 1), (12, 2), (13, 2)])
def test_schedule(run, step, row):
    """A row of the table for each step; before and beyond it the nearest one."""
    table = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    given = {"table": table, "places": np.array([4, 0]), "first": np.array([10])}
    out = run("schedule", **given, step=np.array([step]), values=np.zeros(5))
    assert out.values.tolist() == [table[row, 1], 0, 0, 0, table[row, 0]]
