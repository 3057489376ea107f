"""Medians of few numbers, against NumPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastgrad.health.rules.middle import median, medians


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 16])
def test_medians_are_those_of_numpy(count, rng):
    values = rng.standard_normal((count, 5))
    assert median(values[:, 0]) == np.median(values[:, 0])
    np.testing.assert_array_equal(medians(values), np.median(values, axis=0))


def test_what_is_no_number_is_left_out():
    columns = np.array([[1, np.nan, np.inf], [3, np.nan, 5], [-np.inf, np.nan, 2], [8, np.nan, 1]])
    found = medians(columns)
    assert (found[0], found[2]) == (3, 2)
    assert math.isnan(found[1])


def test_of_nothing_there_is_none():
    assert math.isnan(median(np.zeros(0)))
    assert np.isnan(medians(np.zeros((0, 3)))).all()
