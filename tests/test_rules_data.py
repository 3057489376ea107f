"""Rows of the inputs that lie far beyond all others."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import facts, measured

from fastgrad.health.rules import Monitor
from fastgrad.health.rules.data import InputFacts


def told(X, lengths=None):
    known = facts(inputs=InputFacts.of(X, lengths))
    monitor = Monitor(known)
    monitor.observe(measured(8, known))
    return {verdict.rule: verdict for verdict in monitor.verdicts}.get("inputs")


def test_the_row_is_named(rng):
    X = rng.standard_normal((500, 10))
    X[7] = 1e30
    found = told(X)
    assert found.cause.startswith("row 7 of the inputs is 1e+30 in size")
    assert (found.severity, found.cures[0].partition(":")[0]) == ("critical", "rows")
    X[11] = -1e30
    assert "1 more" in told(X).cause


def test_the_row_of_a_larger_set_and_of_sequences(rng):
    X = rng.standard_normal((10_000, 2))
    X[9999] = 1e6  # the last row is among those that are looked at
    assert told(X).evidence["row"] == 9999
    X = rng.standard_normal((50, 6, 2))
    X[3, 4] = 1e6
    assert told(X).evidence["row"] == 3
    lengths = np.full(50, 4)  # which leave that step out
    assert told(X, lengths) is None


@pytest.mark.parametrize(("size", "rows", "row"), [(100.0, 1, False), (1e6, 1, True),
                                                   (1e6, 100, False)])  # fmt: skip
def test_rows_that_are_not_odd(size, rows, row, rng):
    X = rng.standard_normal((500, 10))
    X[:rows] *= size
    found = told(X)
    assert (found is not None and "row" in found.evidence) == row


def test_sizes_of_rows():
    X = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(InputFacts.of(X).sizes, [np.sqrt(12.5), 0])
    padded = np.array([[[3.0, 4.0], [9.0, 9.0]], [[1.0, 1.0], [1.0, 1.0]]])
    found = InputFacts.of(padded, np.array([1, 2]))
    np.testing.assert_allclose(found.sizes, [np.sqrt(12.5), 1])
