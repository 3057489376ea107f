"""Tasks that are drawn at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = tuple[NDArray[np.int64], NDArray[np.int64]]


def temporal_order(rng: np.random.Generator, count: int, steps: int) -> Indices:
    """Which of two symbols came first and which second, long before the end?

    Task 6a of Hochreiter & Schmidhuber (1997) as Pascanu, Mikolov & Bengio, "On the difficulty of
    training recurrent neural networks", 2013, have it: one of the symbols 0 and 1 stands in the
    second tenth of the sequence, another one in its fifth, and the rest are 2 to 5 at random.

    Returns
    -------
    x : ndarray of int64, (count, steps)
    y : ndarray of int64, (count,)
        One class for each of the four pairs.
    """
    x = rng.integers(2, 6, size=(count, steps))
    rows = np.arange(count)
    first, second = rng.integers(2, size=(2, count))
    x[rows, rng.integers(steps // 10, 2 * steps // 10, size=count)] = first
    x[rows, rng.integers(4 * steps // 10, 5 * steps // 10, size=count)] = second
    return x, 2 * first + second


def first_symbol(
    rng: np.random.Generator, count: int, steps: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Which of four symbols did the sequence begin with?

    Returns
    -------
    x : ndarray of float32, (count, steps, 5)
        The symbol, one-hot, at the first step, and noise in the fifth feature at all others.
    y : ndarray of int64, (count,)
    """
    y = rng.integers(4, size=count)
    x = np.zeros((count, steps, 5), np.float32)
    x[np.arange(count), 0, y] = 1
    x[:, 1:, 4] = rng.standard_normal((count, steps - 1))
    return x, y
