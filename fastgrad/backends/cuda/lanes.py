"""Rows that neighbouring threads share, as many for each row as its width is worth.

design: a block for each row leaves most threads idle where rows are short, a thread for each reads
what lies far apart where they are long. How many threads share a row, `lanes`, is said on the host,
by the width alone: sums over a row do not depend on anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from fastgrad.backends.cuda.device import BLOCK, device
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Word
from fastgrad.backends.cuda.target import cuda

ALONE = 8  # columns that a thread takes alone


def shared_rows(function: Callable[..., None], n: int, width: int, *words: Word) -> Phase:
    """A phase with some lanes for each of n rows; its first words are n, width and lanes."""
    lanes = 1
    while lanes < BLOCK and lanes * ALONE < width:
        lanes *= 2
    blocks = -(-n * lanes // BLOCK)
    return Phase(function, (n, width, lanes, *words), blocks, float(n) * width, 1, 8 * BLOCK)


@device
def lane_sum(m: Memory, value: float, lanes: int) -> float:
    """The sum over a row's lanes, in float64; all threads of the block must come here."""
    if lanes == 1:
        return value
    i = cuda.threadIdx.x
    lane = i % lanes
    m.sums[i] = value
    cuda.syncthreads()
    half = lanes // 2
    while half > 0:
        if lane < half:
            m.sums[i] += m.sums[i + half]
        cuda.syncthreads()
        half //= 2
    total = m.sums[i - lane]
    cuda.syncthreads()
    return total


@device
def lane_max(m: Memory, value: float, lanes: int) -> float:
    """The largest number of a row's lanes, in the call's dtype; where one is NaN, any."""
    if lanes == 1:
        return value
    i = cuda.threadIdx.x
    lane = i % lanes
    m.shared[i] = value
    cuda.syncthreads()
    half = lanes // 2
    while half > 0:
        if lane < half and m.shared[i + half] > m.shared[i]:
            m.shared[i] = m.shared[i + half]
        cuda.syncthreads()
        half //= 2
    largest = m.shared[i - lane]
    cuda.syncthreads()
    return largest
