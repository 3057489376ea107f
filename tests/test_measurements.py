"""Measurements of some steps: parts, and parts put together again; and those kept of a long run."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from synthetic import facts, measured

from fastgrad.health.history import MOST, History
from fastgrad.health.measurements import Measurements

STEPS = 30


@pytest.fixture
def run(rng):
    known = facts()
    flows = {"a": rng.random((STEPS, 4, 3)), "b": rng.random((10, 5, 3))}  # b's ring is shorter
    return measured(STEPS, known, gradient_norms=rng.random((STEPS, 4)), through_time=flows)


def same(a, b):
    assert a.through_time.keys() == b.through_time.keys()
    for name, flow in a.through_time.items():
        np.testing.assert_array_equal(flow, b.through_time[name])
    for field in dataclasses.fields(Measurements):
        if field.name != "through_time":
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


@pytest.mark.parametrize("cuts", [[15], [1, 2, 29], [20], [22, 25]])
def test_parts_make_the_whole(run, cuts):
    edges = [0, *cuts, STEPS]
    parts = [run[a:b] for a, b in itertools.pairwise(edges)]
    whole = parts[0].then(*parts[1:])
    same(whole, run)
    assert all(np.shares_memory(part.losses, run.losses) for part in parts)
    assert not np.shares_memory(whole.losses, run.losses)


@pytest.mark.parametrize("rows", [slice(3, 27), slice(25, 30), slice(0, 5), slice(2, 30, 7)])
def test_slices_are_those_of_numpy(run, rows):
    part = run[rows]
    same(part, run.take(np.arange(STEPS)[rows]))
    known = np.arange(STEPS)[rows] >= STEPS - 10
    assert len(part.through_time["b"]) == known.sum()
    np.testing.assert_array_equal(part.gradient_norms, run.gradient_norms[rows])


def test_flows_end_where_they_are_not_known(run):
    other = dataclasses.replace(run, through_time={"a": run.through_time["a"][:, :3]})
    both = run.then(other)
    assert both.through_time.keys() == {"a"}
    assert both.through_time["a"].shape == (STEPS, 3, 3)  # of other sequences than those before
    gap = run.then(run[:0], run)
    assert len(gap.through_time["a"]) == 2 * STEPS
    assert len(gap.through_time["b"]) == 10


@pytest.mark.parametrize("size", [1, 10, STEPS])
def test_history_keeps_evenly_spaced_steps_whatever_the_pieces(run, size):
    history = History(run[:0])
    count = 200 * STEPS
    for first in range(0, count, size):
        part = run[first % STEPS : first % STEPS + size]
        history.add(dataclasses.replace(part, steps=first + np.arange(size)))
    kept = history.measurements
    assert history.stride == 4  # the least power of two that leaves no more than `MOST`
    assert len(kept) <= MOST
    assert kept.steps.tolist() == list(range(0, count, 4))
    np.testing.assert_array_equal(kept.losses, run.losses[kept.steps % STEPS])
