"""Parts of a flat vector as blocks, whose sums are made in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastgrad.arena import Array, Part

BLOCK = 4096  # elements; the order of sums hangs on it


def blocks_of(parts: Sequence[Part], factors: Mapping[str, float]) -> tuple[Array, Array]:
    """Blocks that cover the vector from the first part that has a factor to the last one.

    Parameters
    ----------
    parts : sequence of Part
        In their order.
    factors : mapping of str to float
        By the names of parts.

    Returns
    -------
    blocks : int64 (B + 1,)
        Block i covers ``vector[blocks[i]:blocks[i + 1]]``; none has elements of two parts.
    values : float64 (B,)
        The factor of each block's part; 0 for what lies between these parts.
    """
    edges: list[int] = []
    values: list[float] = []
    for part in parts:
        if part.name in factors:
            starts = range(part.start, part.stop, BLOCK)
            edges += [*starts, part.stop]
            values += [factors[part.name]] * len(starts) + [0.0]
    if not edges:
        return np.zeros(1, np.int64), np.zeros(0)
    return np.array(edges, np.int64), np.array(values[:-1])
