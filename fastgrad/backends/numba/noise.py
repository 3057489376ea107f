"""Gradient noise, g += N(0, eta / (1 + t)^gamma): Neelakantan et al. 2015.

design: as src/noise.pxi.
 a) Each element's normal number comes from 64 bits of its own, hashed as in dropout from seed,
    count, layer and place: nothing is stored, and threads need not agree on anything.
 b) Box & Muller 1958, of which one number is used: sqrt(-2 log u) sin(pi h), with u in (0, 1] and
    |h| <= 1/2. This is straight-line code, so that loops over it vectorize.
 c) u has 31 bits, for signed integers become reals in one instruction everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.compiling import inline, overload
from fastgrad.backends.numba.dropout import LOWER, SHIFT_32, lowbias32, splitmix64
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import number, part
from fastgrad.backends.numba.team import Team, share

ONE = np.uint32(1)


def unsigned(value: Any) -> Any:
    """The 64 bits of an integer."""
    return np.uint64(int(value) % 2**64)


@overload(unsigned)
def _overload_unsigned(value: Any) -> Any:
    return lambda value: np.uint64(value)


def signed(bits: Any) -> Any:
    """The number of 32 bits as a signed integer has them."""
    return bits.view(np.int32)


@overload(signed)
def _overload_signed(bits: Any) -> Any:
    return lambda bits: np.int32(bits)


@inline
def _add_noise(g: Array, place: int, first: Any, second: Any, deviation: float) -> None:
    """Element i has the bits of the places 2 i and 2 i + 1; `place` is that of the first one."""
    half, minus_two = number(g, 0.5), number(g, -2.0)
    of_u, of_h = number(g, 0.5**31), number(g, 0.5**32)
    factor, start = number(g, deviation), np.uint32(place)
    for i in range(len(g)):
        own = np.uint32(start + np.uint32(np.uint32(i) << ONE))
        bits = lowbias32(np.uint32(own ^ first))
        bits = lowbias32(np.uint32(bits ^ second))
        more = lowbias32(np.uint32(np.uint32(own | ONE) ^ first))
        more = lowbias32(np.uint32(more ^ second))
        u = (number(g, signed(np.uint32(bits >> ONE))) + half) * of_u
        h = (number(g, signed(more)) + half) * of_h
        g[i] += factor * (np.sqrt(minus_two * math.log(u)) * math.sinpi(h))


@kernel(work="60 * P")
def gradient_noise(
    team: Team,
    eta: float,
    gamma: float,
    seed: int,
    layer: int,
    count: Array,
    blocks: Array,
    scale: Array,
    g: Array,
    report: Array,
) -> None:
    deviation = np.sqrt(eta * (1.0 + count[0]) ** -gamma)
    key = splitmix64(unsigned(seed))
    key = splitmix64(key + unsigned(count[0]))
    key = splitmix64(key + unsigned(layer))
    first, upper = np.uint32(key & LOWER), key >> SHIFT_32
    b0, b1 = share(team, len(scale), 1)
    for block in range(b0, b1):
        low, high = blocks[block], blocks[block + 1]
        while scale[block] != 0 and low < high:
            stop = min(high, ((low >> 31) + 1) << 31)
            second = np.uint32(upper ^ unsigned(low >> 31))
            place = (low & 2147483647) << 1
            _add_noise(part(g, low, stop - low), place, first, second, deviation * scale[block])
            low = stop
    if team.rank == 0:
        report[0] += 1
        report[1] += 1 if deviation > 0 else 0
        report[2], report[3], report[4], report[5] = np.nan, 1, report[0], 1
