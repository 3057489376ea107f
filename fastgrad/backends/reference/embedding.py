"""Rows of a table by their indices."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def embedding_forward(w: Array, x: Array, y: Array) -> None:
    y[...] = w[x]


def embedding_backward(
    x: Array,
    dy: Array,
    padding: int,
    dw: Array,
    place: Array,
    chains: Array,
    count: Array,
    status: Array | None,
) -> None:
    total = np.zeros(dw.shape)
    there = x >= 0  # behind the last step of sequences comes -1
    np.add.at(total, x[there], dy[there])
    total[padding : padding + 1] = 0  # none of -1, which is no row
    dw[...] = total
    check_finite(dw, status)
