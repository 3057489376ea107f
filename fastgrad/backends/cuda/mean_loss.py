"""The mean of the rows' losses, in which rows and classes may have weights.

design: every block adds all weights up by itself, in one order, while it makes gradients: that
takes no meeting of all blocks, and so costs less, unless rows are very many. Sums are in float64.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_sum, device, finite
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Word
from fastgrad.backends.cuda.phase import rows as row_phase
from fastgrad.backends.cuda.target import cuda


@device
def row_weight(m: Memory, r: int, sample: int, classes: int, labels: int) -> float:
    """That of row r, times that of its class; 1 of what is not given."""
    weight = 1.0
    if sample != 0:
        weight = np.float64(m.reals[sample + r])
    if classes != 0:
        weight *= np.float64(m.reals[classes + m.ints[labels + r]])
    return weight


@device
def total_weight(m: Memory, n: int, sample: int, classes: int, labels: int) -> float:
    """The sum over rows; infinite where that is 0, so that there is no loss and no gradient."""
    total = np.float64(n)
    if sample != 0 or classes != 0:
        found = 0.0
        for r in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            found += row_weight(m, r, sample, classes, labels)
        total = block_sum(m, found)
    return total if total != 0 else math.inf


@device
def _mean(m: Memory, w: int, k: int) -> None:
    n, sample, classes, labels = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    counted, losses, loss, status = m.ints[w + 4], m.ints[w + 5], m.ints[w + 6], m.ints[w + 7]
    if cuda.blockIdx.x == 0:
        total = total_weight(m, n, sample, classes, labels)
        found = 0.0
        for r in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            found += row_weight(m, r, sample, counted, labels) * m.doubles[losses + r]
        found = block_sum(m, found)
        if cuda.threadIdx.x == 0:
            m.doubles[loss] = found / total
            if status != 0 and not finite(m.doubles[loss]):
                m.ints[status] = 1


def mean_loss(
    rows: Array, sample_weight: Array | None, loss: Array, status: Array | None,
    class_weight: Array | None = None, labels: Word = None, counted: Array | None = None,
) -> Phase:  # fmt: skip
    """A phase that makes the loss of what the rows' are.

    `counted` is class_weight, unless the rows' losses have these in them already.
    """
    n = len(rows)
    weights = sample_weight, class_weight, labels, counted
    return row_phase(_mean, 1, n, n, *weights, rows, loss, status)
