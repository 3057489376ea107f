"""Losses of a whole run, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from fastgrad.health.rules.window import Losses


def in_pieces(losses, size):
    found = Losses()
    for start in range(0, len(losses), size):
        found.add(losses[start : start + size])
    return found


@pytest.mark.parametrize("steps", [0, 1, 255, 256, 257, 1000, 5000])
def test_stretches_are_means_whatever_the_pieces(steps, rng):
    losses = rng.standard_normal(steps)
    whole = in_pieces(losses, max(steps, 1))
    for size in (1, 7, 300):
        part = in_pieces(losses, size)
        assert part.length == whole.length
        assert part.means.tobytes() == whole.means.tobytes()
    count = steps // whole.length
    true = losses[: count * whole.length].reshape(count, whole.length).mean(axis=1)
    # of sums of at most `steps` normal numbers, in one order or another
    bound = steps * np.finfo(float).eps * np.abs(losses).max(initial=0)
    np.testing.assert_allclose(whole.means, true, rtol=0, atol=bound)
    assert count < 256
    assert steps < 256 or count >= 128


def test_what_is_not_finite_is_left_out():
    found = in_pieces(np.array([1.0, np.nan, 2.0, np.inf]), 4)
    assert found.means.tolist() == [1, 2]
