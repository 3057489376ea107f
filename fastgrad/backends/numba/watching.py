"""A look at gradients and updates while an optimizer has them in a cache.

design: as src/fg_update.h. Where the loop waits for memory, or for roots and quotients, a look at
each element on the way costs little: `watch`. It does nothing with None in place of what has been
seen, so that one loop with it is compiled for either case. After other loops, and where the last
step says that squares may leave the range of the dtype, the block is read once more, beside a copy
of what it was: `look`. Sums that leave their range show it to the next step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline, overload
from fastgrad.backends.numba.memory import given, number, part
from fastgrad.backends.numba.seen import (
    HIGH_BITS_32,
    HIGH_BITS_64,
    LEAST_32,
    LEAST_64,
    LOW_BITS_32,
    LOW_BITS_64,
    look_at_gradient,
    look_at_update,
    size_of,
    within,
)

INTEGERS = {types.float32: types.int32, types.float64: types.int64}
# bits of the least normal number, those between which squares stay in range, place of the sign
RANGE_32 = LEAST_32, LOW_BITS_32, HIGH_BITS_32, 31
RANGE_64 = LEAST_64, LOW_BITS_64, HIGH_BITS_64, 63
# Squares; the largest size; minus the least one that is not 0, which is the largest number without
# a sign; minus the number of those that are not 0; squares of parameters, and of their steps
Watched = Any


def _type_of(x: Any) -> Any:
    return getattr(x, "dtype", x)


def size_bits(x: Any) -> Any:
    """The bits of |x|, a signed integer of its size."""
    return abs(x).view(np.int32 if x.dtype == np.float32 else np.int64)


@intrinsic
def _size_bits(typingctx: Any, x: Any) -> Any:
    found = INTEGERS[x]
    kind = ir.IntType(found.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(builder.bitcast(arguments[0], kind), kind(found.maxval))

    return found(x), generate


@overload(size_bits)
def _overload_size_bits(x: Any) -> Any:
    return lambda x: _size_bits(x)


def bits_like(x: Any, value: int) -> Any:
    """An integer of the size that x has: Numba makes 64 bits of any sum of 32."""
    return (np.int32 if x.dtype == np.float32 else np.int64)(value)


@overload(bits_like)
def _overload_bits_like(x: Any, value: Any) -> Any:
    found = INTEGERS[_type_of(x)]
    return lambda x, value: found(value)


def unsigned(bits: Any) -> Any:
    """The same bits, of an integer without a sign."""
    return bits.view(np.uint32 if bits.dtype == np.int32 else np.uint64)


@overload(unsigned)
def _overload_unsigned(bits: Any) -> Any:
    found = types.uint32 if bits == types.int32 else types.uint64
    return lambda bits: found(bits)


def range_of(x: Any) -> tuple[int, int, int, int]:
    """What its dtype says about the bits of x."""
    return RANGE_32 if x.dtype == np.float32 else RANGE_64


@overload(range_of)
def _overload_range_of(x: Any) -> Any:
    found = RANGE_32 if _type_of(x) == types.float32 else RANGE_64
    return lambda x: found


def add(total: Any, x: Any) -> Any:
    """A sum whose order does not matter, so that lanes may share it."""
    return total + x


@intrinsic
def _add(typingctx: Any, total: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=("reassoc", "contract"))

    return x(x, x), generate


@overload(add)
def _overload_add(total: Any, x: Any) -> Any:
    return lambda total, x: _add(total, x)


def nothing_seen(like: Array) -> Watched:
    """What `watch` starts with."""
    none, count = number(like, 0.0), bits_like(like, 0)
    return none, count, unsigned(count), count, none, none


@overload(nothing_seen)
def _overload_nothing_seen(like: Any) -> Any:
    return nothing_seen


def watch(watched: Watched, x: Any, before: Any, after: Any) -> Watched:
    """Add an element of the gradient, and of the parameters before and after the update."""
    if watched is None:
        return None
    squares, top, least, others, weights, steps = watched
    size, step = size_bits(x), after - before
    minus, sign = bits_like(x, -size), range_of(x)[3]
    low = unsigned(minus)
    return (
        add(squares, x * x),
        size if size > top else top,
        low if low > least else least,
        bits_like(x, others + bits_like(x, minus >> sign)),
        add(weights, before * before),
        add(steps, step * step),
    )


@overload(watch)
def _overload_watch(watched: Any, x: Any, before: Any, after: Any) -> Any:
    if isinstance(watched, types.NoneType):
        return lambda watched, x, before, after: None
    return watch


@inline
def usual(moved: Array | None, k: int) -> bool:
    """Whether the norms of the last step say that squares will stay in range in this one, too."""
    if not given(moved) or moved is None:
        return False
    return bool(1e-12 < moved[k, 0] < 1e15 and 1e-12 < moved[k, 1] < 1e15)


@inline
def say(watched: Watched, g: Array, k: int, seen: Array | None, moved: Array | None) -> None:
    """Row k of what see_gradient and see_update find, where it is asked for."""
    squares, top, least, others, weights, steps = watched
    normal, low, high, _ = range_of(g)
    if given(seen):
        row = part(seen, 5 * k, 5)
        if low < top < high and least <= unsigned(bits_like(g, -normal)):
            row[0], row[1] = np.sqrt(np.float64(squares)), size_of(g, top)
            row[2], row[3], row[4] = len(g) + others, 0.0, 0.0
        else:
            look_at_gradient(g, row)
    if given(moved):
        row = part(moved, 2 * k, 2)
        row[0], row[1] = np.sqrt(np.float64(weights)), np.sqrt(np.float64(steps))


@inline
def look(
    g: Array, before: Array, p: Array, k: int, seen: Array | None, moved: Array | None
) -> None:
    """The same, of an update that is done."""
    watched = nothing_seen(g)
    for i in range(len(g)):
        watched = watch(watched, g[i], before[i], p[i])
    say(watched, g, k, seen, moved)
    _, _, _, _, weights, steps = watched
    if given(moved) and not (within(weights, g.itemsize) and within(steps, g.itemsize)):
        look_at_update(p, before, part(moved, 2 * k, 2))
