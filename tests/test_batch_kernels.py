"""Cutting minibatches out of the data, their weights, their end and a step's, scheduled values."""

from __future__ import annotations

import numpy as np
import pytest

from fastgrad import backends

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


@pytest.mark.parametrize("times", SIZES)
def test_sequence_weights(run, rng, dtype, times):
    for size in SIZES:
        lengths = rng.integers(-1, times + 2, size)  # none of which points to anything
        weight = rng.uniform(size=size).astype(dtype)
        counts = np.arange(times) < lengths[:, None]
        ones = np.ones((size, 1), dtype)
        for given, length in ((weight, lengths), (None, lengths), (weight, None), (None, None)):
            own = ones if given is None else given[:, None]
            wanted = own * (counts if length is not None else np.ones_like(counts))
            out = np.empty((size, times), dtype)
            call = {"lengths": length, "sample_weight": given, "weight": out}
            np.testing.assert_array_equal(run("sequence_weights", **call).weight, wanted)


def test_weights_of_steps_that_do_not_count_may_be_anything(run):
    given = {"lengths": np.array([1, 0]), "sample_weight": np.array([np.inf, np.nan])}
    out = run("sequence_weights", **given, weight=np.empty((2, 2)))
    assert out.weight.tolist() == [[np.inf, 0], [0, 0]]


@pytest.mark.parametrize("level", ["base", "v3", "v4"])
def test_sequence_weights_do_not_depend_on_threads(level, rng, threads):
    try:
        ops = backends.load(f"cython:{level}")
    except ImportError as error:
        pytest.skip(str(error))
    lengths, weight = rng.integers(1001, size=401), rng.uniform(size=401)
    found = []
    for count in (1, 2):
        threads(count)
        found.append(np.empty((401, 1000)))
        ops.sequence_weights(lengths, weight, found[-1])
    assert found[0].tobytes() == found[1].tobytes()


END = {"total": np.array([2.5, 64]), "cursor": np.array([64]), "batches": np.array([7])}


def test_end_batch(run):
    out = run("end_batch", loss=np.array([0.75]), rows=32, lengths=None, **END)
    assert (*out.total, out.cursor[0], out.batches[0]) == (26.5, 96, 96, 8)


@pytest.mark.parametrize("lengths", [[], [0, 0], [5, 0, 7]])
def test_end_batch_of_sequences(run, lengths):
    given = np.array(lengths, np.int64)
    out = run("end_batch", loss=np.array([0.75]), rows=len(lengths), lengths=given, **END)
    count = sum(lengths)
    assert out.total.tolist() == [2.5 + 0.75 * count, 64 + count]
    assert (out.cursor[0], out.batches[0]) == (64 + len(lengths), 8)


def test_end_step(run):
    assert run("end_step", step=np.array([7])).step[0] == 8


@pytest.mark.parametrize(("step", "row"), [(9, 0), (10, 0), (11, 1), (12, 2), (13, 2)])
def test_schedule(run, step, row):
    """A row of the table for each step; before and beyond it the nearest one."""
    table = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    given = {"table": table, "places": np.array([4, 0]), "first": np.array([10])}
    out = run("schedule", **given, step=np.array([step]), values=np.zeros(5))
    assert out.values.tolist() == [table[row, 1], 0, 0, 0, table[row, 0]]
