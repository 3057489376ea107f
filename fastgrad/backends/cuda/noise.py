"""Random bits, hashed from seed, count, layer and place, and the noise on gradients made of them.

design: bits as src/dropout.pxi says, noise as src/noise.pxi.
 a) An element's bits are its own: nothing is stored, threads need not agree on anything, and they
    are those of every other backend.
 b) A normal number comes from 64 bits: Box & Muller 1958, of which one number is used,
    sqrt(-2 log u) sin(pi h), with u in (0, 1] and |h| <= 1/2.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number
from fastgrad.backends.cuda.elementary import log, sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, rows
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.numba.coefficients import POLYNOMIALS64

GOLDEN, FIRST, SECOND = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
SHIFT_27, SHIFT_30, SHIFT_31, SHIFT_32 = (np.uint64(bits) for bits in (27, 30, 31, 32))
UINT32_FIRST, UINT32_SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
SHIFT_1, SHIFT_15, SHIFT_16 = np.uint32(1), np.uint32(15), np.uint32(16)
TOP = 2**31
OF_U, OF_H = 0.5**31, 0.5**32
S0, S1, S2, S3, S4, S5, S6, S7, S8 = POLYNOMIALS64["sinpi"]


@device
def _splitmix64(state: np.uint64) -> np.uint64:
    z = state + GOLDEN
    z = (z ^ (z >> SHIFT_30)) * FIRST
    z = (z ^ (z >> SHIFT_27)) * SECOND
    return z ^ (z >> SHIFT_31)


@device
def _lowbias32(h: np.uint32) -> np.uint32:
    # Numba makes 64 bits of any operation on 32, which LLVM takes back
    h = np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT_16)) * UINT32_FIRST)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> SHIFT_15)) * UINT32_SECOND)
    return np.uint32(h ^ np.uint32(h >> SHIFT_16))


@device
def noise_key(seed: int, count: int, layer: int) -> np.uint64:
    """What bits are hashed from, besides the place."""
    key = _splitmix64(np.uint64(seed))
    key = _splitmix64(key + np.uint64(count))
    return _splitmix64(key + np.uint64(layer))


@device
def random_bits(key: np.uint64, place: int) -> np.uint32:
    """32 bits for an element."""
    at = np.uint64(place)
    h = _lowbias32(np.uint32(np.uint32(at) ^ np.uint32(key)))
    h = np.uint32(h ^ np.uint32(at >> SHIFT_32))
    return _lowbias32(np.uint32(h ^ np.uint32(key >> SHIFT_32)))


@device
def _sinpi(m: Memory, h: float) -> float:
    """sin(pi h); the library's sine has a way for large numbers that takes memory."""
    x = h * h
    y = number(m.reals, S7) + x * number(m.reals, S8)
    y = number(m.reals, S6) + x * y
    y = number(m.reals, S5) + x * y
    y = number(m.reals, S4) + x * y
    y = number(m.reals, S3) + x * y
    y = number(m.reals, S2) + x * y
    y = number(m.reals, S1) + x * y
    return h * (number(m.reals, S0) + x * y)


@device
def _normal(m: Memory, key: np.uint64, place: int) -> float:
    """A normal number, of the bits for two places."""
    half = number(m.reals, 0.5)
    bits = np.int64(random_bits(key, 2 * place) >> SHIFT_1)
    more = np.int64(random_bits(key, 2 * place + 1))
    signed = more - 2 * TOP if more >= TOP else more
    u = (number(m.reals, bits) + half) * number(m.reals, OF_U)
    h = (number(m.reals, signed) + half) * number(m.reals, OF_H)
    return sqrt(number(m.reals, -2.0) * log(u)) * _sinpi(m, h)


@device
def _gradient_noise(m: Memory, w: int, k: int) -> None:
    """A block of threads takes a block of elements."""
    n, eta, gamma = m.ints[w], m.doubles[w + 1], m.doubles[w + 2]
    count, g, report = m.ints[m.ints[w + 5]], m.ints[w + 8], m.ints[w + 9]
    key = noise_key(m.ints[w + 3], count, m.ints[w + 4])
    if cuda.threadIdx.x == 0:  # it takes long in float64
        m.sums[0] = sqrt(eta * (1.0 + float(count)) ** -gamma)
    cuda.syncthreads()
    deviation = m.sums[0]
    for block in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        low, high = m.ints[m.ints[w + 6] + block], m.ints[m.ints[w + 6] + block + 1]
        scale = m.doubles[m.ints[w + 7] + block]
        factor = number(m.reals, deviation * scale)
        if scale != 0:
            for i in range(low + cuda.threadIdx.x, high, cuda.blockDim.x):
                m.reals[g + i] += factor * _normal(m, key, i)
    if cuda.grid(1) == 0:
        steps = m.doubles[report] + 1.0
        m.doubles[report] = steps
        if deviation > 0:
            m.doubles[report + 1] += 1.0
        m.doubles[report + 2], m.doubles[report + 3] = np.nan, 1.0
        m.doubles[report + 4], m.doubles[report + 5] = steps, 1.0


@kernel
def gradient_noise(
    eta: float, gamma: float, seed: int, layer: int, count: Array, blocks: Array, scale: Array,
    g: Array, report: Array,
) -> list[Phase]:  # fmt: skip
    words = scale.size, float(eta), float(gamma), seed, layer, count, blocks, scale, g, report
    return [rows(_gradient_noise, scale.size, 16 * g.size // max(1, scale.size), *words)]
