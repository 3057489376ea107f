"""Dividing rows into training and held-out parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgrad.data.split import split_rows


@given(st.integers(2, 200), st.floats(0.001, 0.999), st.integers(0, 2**32))
def test_each_row_is_on_one_side_and_neither_side_is_empty(count, fraction, seed):
    training, held_out = split_rows(count, fraction, seed)
    assert sorted([*training, *held_out]) == list(range(count))
    assert len(training) > 0
    assert len(held_out) > 0
    assert abs(len(held_out) - count * fraction) <= 1


def test_the_seed_decides():
    first = split_rows(50, 0.2, 1)
    assert first[0].tolist() == split_rows(50, 0.2, 1)[0].tolist()
    assert first[0].tolist() != split_rows(50, 0.2, 2)[0].tolist()


@pytest.mark.parametrize(
    ("count", "fraction", "message"),
    [(1, 0.5, "at least 2 rows .* got 1"), (9, 0.0, "got 0.0"), (9, 1.0, "got 1.0")],
)
def test_what_cannot_be_divided_is_refused(count, fraction, message):
    with pytest.raises(ValueError, match=message):
        split_rows(count, fraction, 0)
