"""One pass over the flat arenas: what the optimizers that treat every element alike share.

design: an optimizer is two device functions.
 a) `numbers(m, w)` computes in float64 what is the same for all elements, from what hyper and step
    hold when the call runs, and leaves it in shared memory. One thread of each block goes through
    it: powers in float64 are slow on most GPUs.
 b) `update(numbers, x, p, state)` makes of a gradient, a parameter and up to three numbers of state
    the new parameter and state. It touches no memory, so that a watched pass and one that is not
    share every bit of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, device, number, part, place
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.watching import Watched, nothing_seen, say, watch

AHEAD = 4  # elements of a thread that are on their way from memory at once
NUMBERS = 10
SHARED = 8 * max(BLOCK, NUMBERS)  # bytes that `constants_of` needs

# the words of a pass; of its size P, and of its blocks B
P, B, G, HYPER, STEP, BLOCKS, PARAMETERS, SEEN, MOVED, STATE = range(10)

Numbers = tuple[Any, ...]
State = tuple[Any, Any, Any]


class Pass(NamedTuple):
    """Functions of phases: of all elements, and of blocks that are looked at."""

    plain: Callable[..., None]
    watched: Callable[..., None]


def constants_of(numbers: Callable[..., None]) -> Callable[..., Numbers]:
    """Device function that has a block's first thread compute its numbers, and gives them to all.

    Parameters
    ----------
    numbers : device function
        See a). Of Memory and the place of the words.
    """

    @device
    def constants(m: Memory, w: int) -> Numbers:
        if cuda.threadIdx.x == 0:
            numbers(m, w)
        cuda.syncthreads()
        c = m.shared
        found = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]
        cuda.syncthreads()
        return found

    return constants


def one_pass(
    numbers: Callable[..., None], update: Callable[..., tuple[Any, State]], states: int
) -> Pass:
    """The pass of an optimizer with so many vectors of state."""
    constants = constants_of(numbers)

    @device
    def move(
        m: Memory, w: int, c: Numbers, start: int, stop: int, step: int, found: Watched, looks: bool
    ) -> Watched:  # fmt: skip
        """Update a thread's elements of those from start to stop."""
        n, zero = m.ints[w + P], number(m.reals, 0.0)
        g, p = part(m.reals, m.ints[w + G], n), part(m.reals, m.ints[w + PARAMETERS], n)
        first, second = part(m.reals, m.ints[w + STATE], n), part(m.reals, m.ints[w + STATE + 1], n)
        third = part(m.reals, m.ints[w + STATE + 2], n)
        xs = cuda.local.array(AHEAD, m.reals.dtype)
        ps = cuda.local.array(AHEAD, m.reals.dtype)
        a = cuda.local.array(AHEAD, m.reals.dtype)
        b = cuda.local.array(AHEAD, m.reals.dtype)
        d = cuda.local.array(AHEAD, m.reals.dtype)
        for at in range(start, stop, AHEAD * step):
            for j in range(AHEAD):
                if at + j * step < stop:
                    i = place(at + j * step)
                    xs[j], ps[j] = g[i], p[i]
                    a[j] = first[i] if states > 0 else zero
                    b[j] = second[i] if states > 1 else zero
                    d[j] = third[i] if states > 2 else zero
            for j in range(AHEAD):
                if at + j * step < stop:
                    i = place(at + j * step)
                    after, state = update(c, xs[j], ps[j], (a[j], b[j], d[j]))
                    p[i] = after
                    if states > 0:
                        first[i] = state[0]
                    if states > 1:
                        second[i] = state[1]
                    if states > 2:
                        third[i] = state[2]
                    if looks:
                        found = watch(m, found, xs[j], ps[j], after)
        return found

    @device
    def plain(m: Memory, w: int, k: int) -> None:
        c = constants(m, w)
        move(m, w, c, cuda.grid(1), m.ints[w + P], cuda.gridsize(1), nothing_seen(m), False)

    @device
    def watched(m: Memory, w: int, k: int) -> None:
        c, blocks, threads = constants(m, w), m.ints[w + BLOCKS], cuda.blockDim.x
        for block in range(cuda.blockIdx.x, m.ints[w + B], cuda.gridDim.x):
            start, stop = m.ints[blocks + block], m.ints[blocks + block + 1]
            start += cuda.threadIdx.x
            found = move(m, w, c, start, stop, threads, nothing_seen(m), True)
            say(m, found, block, m.ints[w + SEEN], m.ints[w + MOVED])

    return Pass(plain, watched)


def phases(
    made: Pass, g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array,
    seen: Array | None, moved: Array | None, *state: Array,
) -> list[Phase]:  # fmt: skip
    """Those of one call."""
    absent = (None,) * (3 - len(state))
    words = g, hyper, step, blocks, p, seen, moved, *state, *absent
    work = float(p.size * (3 + 2 * len(state)))
    if blocks is None or (seen is None and moved is None):
        share = -(-p.size // BLOCK)
        return [Phase(made.plain, (p.size, 0, *words), share, work, 1, SHARED)]
    count = blocks.size - 1
    return [Phase(made.watched, (p.size, count, *words), count, work, 1, SHARED)]
