"""Dividing rows at random into those to train on and those held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_rows"]


def split_rows(count: int, fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Divide row numbers 0 to `count` - 1 at random, the same way for the same seed.

    Parameters
    ----------
    count : int
        The number of rows, at least 2.
    fraction : float
        The part to hold out, between 0 and 1; at least one row goes to either side.
    seed : int
        The seed of the shuffle.

    Returns
    -------
    training, held_out : ndarray of int
        The row numbers of either part, in random order.

    Raises
    ------
    ValueError
        If there are fewer than 2 rows, or `fraction` is not between 0 and 1.
    """
    if count < 2:
        raise ValueError(f"count: expected at least 2 rows to divide, got {count}")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction: expected a number between 0 and 1, got {fraction}")
    order = np.random.default_rng(seed).permutation(count)
    held = min(max(round(count * fraction), 1), count - 1)
    return order[held:], order[:held]
