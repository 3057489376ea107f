"""Norms, sizes and counts of parts of gradients, parameters and outputs.

design: as src/fg_probe.h.
 a) Squares are added in the call's dtype over some thousand elements at most and go on in float64.
    Where the largest element, or the sum, shows that squares may have left the range of the dtype,
    the norm is taken once more, scaled, and with denormals.
 b) Sizes are compared as integers: NaN is the largest, and denormals count whatever the processor
    makes of them.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numba import carray, types

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import SUMS, external, inline, overload, service
from fastgrad.backends.numba.denormals import keep_denormals, set_mode
from fastgrad.backends.numba.memory import bits, number, part, pointer
from fastgrad.backends.numba.sums import dot, total

PIECE = 4096  # elements whose squares are added in the call's dtype
# of float32 and float64: squares of numbers between these, some thousands added, stay in range
LOW_32, HIGH_32, LOW_64, HIGH_64 = 1e-15, 1e15, 1e-145, 1e145
LOW_BITS_32, HIGH_BITS_32 = (int(np.float32(x).view(np.int32)) for x in (LOW_32, HIGH_32))
LOW_BITS_64, HIGH_BITS_64 = (int(np.float64(x).view(np.int64)) for x in (LOW_64, HIGH_64))
LEAST_32, LEAST_64 = 0x00800000, 0x0010000000000000  # bits of the smallest normal number
INF_32, INF_64 = 0x7F800000, 0x7FF0000000000000
SIZE_32, SIZE_64 = 0x7FFFFFFF, 0x7FFFFFFFFFFFFFFF  # all but the sign


@inline
def within(found: float, itemsize: int) -> bool:
    """Whether a sum of squares shows that none of them has left the range of its dtype."""
    low, high = (LOW_32, HIGH_32) if itemsize == 4 else (LOW_64, HIGH_64)
    return bool(found > low * low * 8192 and found < high * high)


@inline(fastmath=SUMS)
def _squares_apart(x: Array, y: Array, apart: int, scale: float) -> float:
    found = 0.0
    if apart:
        for i in range(len(x)):
            d = (np.float64(x[i]) - np.float64(y[i])) * scale
            found += d * d
    else:
        for i in range(len(x)):
            d = np.float64(x[i]) * scale
            found += d * d
    return found


@inline
def _norm(x: Array, y: Array, apart: int) -> float:
    found = _squares_apart(x, y, apart, 1.0)
    if found > 1e-280 and found < 1e280:
        return float(np.sqrt(found))
    top = 0.0
    for i in range(len(x)):
        d = abs(np.float64(x[i]) - np.float64(y[i])) if apart else abs(np.float64(x[i]))
        top = d if d > top or d != d else top
    if not (top > 0 and top < inf):
        return top
    # by a power of two, whose inverse is a number, too
    exponent = min(1000, max(-1000, int(np.floor(np.log2(top)))))
    scale = 2.0**-exponent
    return float(np.sqrt(_squares_apart(x, y, apart, scale)) / scale)


@service(
    lambda real: types.float64(types.CPointer(real), types.CPointer(real), types.int64, types.int64)
)
def any_norm(x: Any, y: Any, apart: int, n: int) -> float:
    return float(_norm(carray(x, n), carray(y, n), apart))


def safe_norm(x: Array, y: Array, apart: int) -> float:
    """The norm of x - y, or of x unless `apart`, whatever the sizes of its elements."""
    return float(_norm(x, y, apart))


@overload(safe_norm)
def _overload_safe_norm(x: Any, y: Any, apart: Any) -> Any:
    # called by address: LLVM moves nothing of it out of the mode
    norm = external("any_norm", x.dtype)

    def call(x: Array, y: Array, apart: int) -> float:
        mode = keep_denormals()
        found = norm(pointer(x), pointer(y), apart, len(x))
        set_mode(mode)
        return found

    return call


def size_of(x: Array, size: Any) -> float:
    """In float64 the size whose bits these are, of the dtype of x."""
    return float(size.view(x.dtype))


@overload(size_of)
def _overload_size_of(x: Any, size: Any) -> Any:
    if x.dtype == types.float64:
        return lambda x, size: np.int64(size).view(np.float64)

    def call(x: Array, size: Any) -> float:
        if size < LEAST_32:
            return np.float64(size) * 2.0**-149
        return np.float64(np.int32(size).view(np.float32))

    return call


@inline(fastmath=SUMS)
def _sum_squares(x: Array) -> Any:
    """In the dtype of x."""
    found = number(x, 0.0)
    for i in range(len(x)):
        found += x[i] * x[i]
    return found


@inline(fastmath=SUMS)
def _sum_step_squares(x: Array, y: Array) -> Any:
    found = number(x, 0.0)
    for i in range(len(x)):
        d = x[i] - y[i]
        found += d * d
    return found


@inline
def _sum_all_squares(x: Array) -> float:
    found = 0.0
    for i in range(0, len(x), PIECE):
        found += _sum_squares(part(x, i, min(PIECE, len(x) - i)))
    return found


@inline
def sum_squares(x: Array) -> float:
    """The sum of squares, whatever their sizes."""
    found = _sum_all_squares(x)
    if not within(found, x.itemsize):
        norm = safe_norm(x, x, 0)
        found = norm * norm
    return float(found)


@inline(fastmath=SUMS)
def _sizes(x: Array) -> Any:
    """Sum of squares, bits of the largest size, numbers of zeros, and of these and denormals.

    Numbers are added as what x is made of: sums of integers become no vectors.
    """
    words = bits(x)
    zero, one, nothing = number(x, 0.0), number(x, 1.0), number(words, 0)
    least = number(words, LEAST_32 if x.itemsize == 4 else LEAST_64)
    size = number(words, SIZE_32 if x.itemsize == 4 else SIZE_64)
    found, zeros, small, top = zero, zero, zero, nothing
    for i in range(len(x)):
        found += x[i] * x[i]
        b = number(words, words[i] & size)
        top = max(top, b)
        zeros += one if b == nothing else zero
        small += one if b < least else zero
    return found, top, zeros, small


@inline
def _count_bad(x: Array) -> int:
    words = bits(x)
    infinite = INF_32 if x.itemsize == 4 else INF_64
    size = SIZE_32 if x.itemsize == 4 else SIZE_64
    bad = 0
    for i in range(len(x)):
        bad += 1 if (words[i] & size) >= infinite else 0
    return bad


@inline
def look_at_gradient(x: Array, seen: Array) -> None:
    """seen: norm, largest size, and how many are 0, denormal, and not finite."""
    n, narrow = len(x), x.itemsize == 4
    found, zeros, small = 0.0, 0.0, 0.0
    top = number(bits(x), 0)
    for i in range(0, n, PIECE):
        a, b, c, d = _sizes(part(x, i, min(PIECE, n - i)))
        found += a
        top = max(top, b)
        zeros += c
        small += d
    if top == 0:
        seen[0] = 0.0
    elif (
        (LOW_BITS_32 if narrow else LOW_BITS_64) < top < (HIGH_BITS_32 if narrow else HIGH_BITS_64)
    ):
        seen[0] = np.sqrt(found)
    else:
        seen[0] = safe_norm(x, x, 0)
    seen[1] = size_of(x, top)
    seen[2] = zeros
    seen[3] = small - zeros
    seen[4] = _count_bad(x) if top >= (INF_32 if narrow else INF_64) else 0


@inline
def _same(x: Array, y: Array) -> bool:
    a, b = bits(x), bits(y)
    found = a[0] & 0
    for i in range(len(a)):
        found |= a[i] ^ b[i]
    return bool(found == 0)


@inline
def look_at_update(x: Array, before: Array, moved: Array) -> None:
    """moved: the norm of `before`, and that of x - before."""
    found = _sum_all_squares(before)
    if within(found, before.itemsize):
        moved[0] = np.sqrt(found)
    else:
        moved[0] = safe_norm(before, before, 0)
    step = 0.0
    for i in range(0, len(x), PIECE):
        n = min(PIECE, len(x) - i)
        step += _sum_step_squares(part(x, i, n), part(before, i, n))
    if within(step, x.itemsize):
        moved[1] = np.sqrt(step)
    elif len(x) == 0 or _same(x, before):  # often: what has vanished changes nothing
        moved[1] = 0.0
    else:
        moved[1] = safe_norm(x, before, 1)


@inline
def sum_exactly(x: Array) -> tuple[float, float]:
    """Sum and sum of squares, in float64."""
    return total(x), dot(x, x)
