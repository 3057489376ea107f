"""Dropout, y = x / (1 - p) where an element is kept, else 0: both passes, which draw the same mask.

design: as src/dropout.pxi. 32 bits are hashed from the seed, the count, the layer and the element's
place; an element is kept where they are at least p 2^32.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import address, number, part
from fastgrad.backends.numba.team import Team, share

GOLDEN, FIRST, SECOND = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
LOWER = np.uint64(2**32 - 1)
SHIFT_27, SHIFT_30, SHIFT_31, SHIFT_32 = (np.uint64(bits) for bits in (27, 30, 31, 32))
UINT32_FIRST, UINT32_SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
SHIFT_15, SHIFT_16 = np.uint32(15), np.uint32(16)


@inline
def splitmix64(state: np.uint64) -> np.uint64:
    z = state + GOLDEN
    z = (z ^ (z >> SHIFT_30)) * FIRST
    z = (z ^ (z >> SHIFT_27)) * SECOND
    return z ^ (z >> SHIFT_31)


@inline
def lowbias32(h: np.uint32) -> np.uint32:
    # Numba makes 64 bits of any operation on 32, which LLVM takes back
    h = np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT_16)) * UINT32_FIRST)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT_15)) * UINT32_SECOND)
    return np.uint32(h ^ np.uint32(h >> SHIFT_16))


@inline
def _drop(
    x: Array, y: Array, place: int, first: np.uint32, second: np.uint32, threshold: np.uint32,
    scale: float,
) -> None:  # fmt: skip
    """`place` is that of the first element, in its lower 32 bits."""
    zero, grow = number(y, 0.0), number(y, scale)
    start = np.uint32(place)
    for i in range(len(y)):
        h = lowbias32(np.uint32(np.uint32(start + np.uint32(i)) ^ first))
        h = lowbias32(np.uint32(h ^ second))
        grown = grow * x[i]
        y[i] = grown if h >= threshold else zero


@kernel(work="20 * N * F")
def dropout(team: Team, x: Array, p: float, seed: int, layer: int, count: Array, y: Array) -> None:
    threshold = np.uint32(min(round(p * 4294967296.0), 4294967295))
    key = splitmix64(np.int64(seed).view(np.uint64))
    key = splitmix64(key + np.int64(count[0]).view(np.uint64))
    key = splitmix64(key + np.int64(layer).view(np.uint64))
    first, upper = np.uint32(key & LOWER), key >> SHIFT_32
    r0, r1 = share(team, len(x), 1)
    columns = x.shape[1]
    low, high = r0 * columns, r1 * columns
    while low < high:
        stop = min(high, ((low >> 32) + 1) << 32)
        second = np.uint32(upper ^ np.uint64(low >> 32))
        place = low & 4294967295
        own = part(y, low, stop - low)
        if address(x) == address(y):  # as one array, or else LLVM makes no vectors
            _drop(own, own, place, first, second, threshold, 1 / (1 - p))
        else:
            source = part(x, low, stop - low)
            _drop(source, own, place, first, second, threshold, 1 / (1 - p))
        low = stop
