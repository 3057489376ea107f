"""Padding: what lies behind the ends of sequences, and may be anything."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array


def mask(times: int, lengths: Array) -> Array:
    """Which of so many steps are padding, (N, times)."""
    return np.arange(times) >= lengths[:, None]


def cleared(values: Array, lengths: Array | None) -> Array:
    """Values (N, T, ...) with zeros in the padding; the array itself where these are there already.

    Values of another shape are left to those who say so.
    """
    if lengths is None or values.ndim < 2 or len(values) != len(lengths):
        return values
    padding = mask(values.shape[1], lengths)
    if not values[padding].any():  # NaN counts as something
        return values
    found = values.copy()
    found[padding] = 0
    return found
