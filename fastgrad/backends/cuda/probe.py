"""What the probe sees of gradients, updates and outputs, and of the gradients of outputs.

design: a block of threads looks at a block of a gradient or of an update. Of outputs, those of
eight rows make a part; wide ones are cut into pieces, whose sums are added in their order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, block_sum, device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, Word, kernel, over, rows
from fastgrad.backends.cuda.seen import SHARED, block_sums, look_at_gradient, look_at_update
from fastgrad.backends.cuda.target import cuda

ROWS = 8  # of outputs, whose sums are one part
PIECE = 8 * BLOCK  # elements of a part that a block of threads takes at a time


@device
def _see_gradient(m: Memory, w: int, k: int) -> None:
    n, blocks, least = m.ints[w], m.ints[w + 2], m.doubles[w + 4]
    for i in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        first = m.ints[blocks + i]
        g = part(m.reals, m.ints[w + 1] + first, m.ints[blocks + i + 1] - first)
        look_at_gradient(m, g, least, part(m.doubles, m.ints[w + 3] + 5 * i, 5))


@kernel
def see_gradient(g: Array, blocks: Array, seen: Array) -> list[Phase]:
    n, least = len(seen), float(np.finfo(g.dtype).smallest_normal)
    return [rows(_see_gradient, n, _each(g, n), n, g, blocks, seen, least, shared=SHARED)]


@device
def _see_update(m: Memory, w: int, k: int) -> None:
    n, blocks = m.ints[w], m.ints[w + 3]
    for i in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        first = m.ints[blocks + i]
        size = m.ints[blocks + i + 1] - first
        p, before = (
            part(m.reals, m.ints[w + 1] + first, size),
            part(m.reals, m.ints[w + 2] + first, size),
        )
        look_at_update(m, p, before, part(m.doubles, m.ints[w + 4] + 2 * i, 2))


@kernel
def see_update(p: Array, before: Array, blocks: Array, moved: Array) -> list[Phase]:
    n = len(moved)
    return [rows(_see_update, n, _each(p, n), n, p, before, blocks, moved, shared=SHARED)]


def _each(x: Array, blocks: int) -> int:
    """Elements of a block."""
    return int(x.size) // max(1, blocks)


@device
def _piece(i: int, pieces: int, wide: int, n: int) -> tuple[int, int]:
    """Where piece i starts and ends, in parts of that width and n elements altogether."""
    start = i // pieces * wide
    end = min(start + wide, n)
    start += i % pieces * PIECE
    return start, min(start + PIECE, end)


@device
def _see_output(m: Memory, w: int, k: int) -> None:
    n, wide, pieces, count = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    y, sums = part(m.reals, m.ints[w + 4], n), part(m.doubles, m.ints[w + 5], 3 * count)
    counted, squared = m.ints[w + 6] != 0, m.ints[w + 8] != 0
    columns = wide // ROWS
    alive = part(m.reals, m.ints[w + 6], columns if counted else 0)
    q = part(m.reals, m.ints[w + 7], n)
    sign, center = number(m.reals, m.doubles[w + 9]), number(m.reals, m.doubles[w + 10])
    least = number(m.reals, m.doubles[w + 11])
    one = number(m.reals, 1.0)
    ahead = cuda.blockDim.x % columns
    for piece in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        start, end = _piece(piece, pieces, wide, n)
        first, second, living = 0.0, 0.0, 0
        column = (start + cuda.threadIdx.x) % columns
        for i in range(start + cuda.threadIdx.x, end, cuda.blockDim.x):
            value = np.float64(y[i])
            first += value
            second += value * value
            if counted:
                distance = q[i] - center
                if (sign * (distance * distance) if squared else q[i]) > least:
                    living += 1
                    if alive[column] != one:
                        alive[column] = one  # as other threads may, who write nothing else
            column += ahead
            if column >= columns:
                column -= columns
        total, squares, lives, _ = block_sums(m, first, second, living, 0.0)
        if cuda.threadIdx.x == 0:
            sums[3 * piece] = total
            sums[3 * piece + 1] = squares
            sums[3 * piece + 2] = lives


@kernel
def see_output(
    y: Array, slope: Array | None, low: float, high: float, alive: Array | None, parts: Array
) -> list[Phase]:
    # in the dtype of y, which decides who is alive at an edge
    real = y.dtype.type
    least, most = real(low), real(high)
    squared, sign, center = slope is not None, 1.0, 0.0
    if slope is None and high < np.inf:
        half = (most - least) / 2
        squared, sign, center, least = True, -1.0, float((least + most) / 2), -(half * half)
    shows = y if slope is None else slope
    words = alive, shows, int(squared), sign, center, float(least)
    return _in_parts(_see_output, y, parts, 3, *words)


@device
def _see_delta(m: Memory, w: int, k: int) -> None:
    n, wide, pieces, count = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    dy = part(m.reals, m.ints[w + 4], n)
    for piece in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        start, end = _piece(piece, pieces, wide, n)
        found = 0.0
        for i in range(start + cuda.threadIdx.x, end, cuda.blockDim.x):
            found += np.float64(dy[i]) * np.float64(dy[i])
        found = block_sum(m, found)
        if cuda.threadIdx.x == 0:
            m.doubles[m.ints[w + 5] + piece] = found


@kernel
def see_delta(dy: Array, sums: Array) -> list[Phase]:
    return _in_parts(_see_delta, dy, sums, 1)


@device
def _add_pieces(m: Memory, w: int, k: int) -> None:
    n, width, pieces = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    sums, out = part(m.doubles, m.ints[w + 3], n * pieces), part(m.doubles, m.ints[w + 4], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        start, found = i // width * pieces * width + i % width, 0.0
        for at in range(start, start + pieces * width, width):
            found += sums[at]
        out[i] = found


def _in_parts(
    function: Callable[..., None], x: Array, out: Array, width: int, *words: Word
) -> list[Phase]:
    """Phases that write so many sums for each eight rows of x."""
    wide = ROWS * x.shape[1]
    pieces = -(-wide // PIECE)
    count = len(out) * pieces
    to = out if pieces == 1 else Scratch(np.float64, count, width)
    sizes = x.size, wide, pieces, count
    phases = [rows(function, count, x.size // max(1, count), *sizes, x, to, *words, shared=SHARED)]
    if pieces > 1:
        phases.append(over(_add_pieces, out.size, out.size, width, pieces, to, out))
    return phases
