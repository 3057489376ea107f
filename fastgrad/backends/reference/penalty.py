"""Penalties on the size of parameters."""

from __future__ import annotations

import itertools

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def penalty(
    w: Array,
    blocks: Array,
    l1: Array,
    l2: Array,
    g: Array,
    sums: Array,
    loss: Array,
    status: Array | None,
) -> None:
    for block, (first, last) in enumerate(itertools.pairwise(blocks)):
        part = w[first:last].astype(np.float64)
        sums[block] = 0
        for factor, size, slope in (
            (l1[block], np.abs(part), np.sign(part)),
            (l2[block], part**2, 2 * part),
        ):
            if factor:
                sums[block] += factor * size.sum()
                g[first:last] += factor * slope
                check_finite(g[first:last], status)
    loss[0] += sums.sum()
    check_finite(loss, status)
