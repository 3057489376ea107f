"""Rows of a table by their indices, and the gradient of that table.

design:
 a) Occurrences of an index are added up in the order of the batch, in float64. Numbers (index,
    occurrence) are sorted for that: within pieces by counting what is smaller, then by merging
    pieces, where a number's place follows from how many of the other piece are smaller.
 b) The sorted numbers are cut into pieces of fixed size, so that a frequent index does not keep one
    thread busy. A thread adds up one column of a piece; what an index has in several pieces is
    added up by the thread of the piece where it begins.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, kernel, over, rows
from fastgrad.backends.cuda.target import cuda

SHIFT = 32  # bits of a sorted number that say which occurrence it is
OCCURRENCE = 2**SHIFT - 1
LEAST = 16  # occurrences in a piece of the sums


@device
def _take(m: Memory, w: int, k: int) -> None:
    n, width, size = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    table, y = part(m.reals, m.ints[w + 3], size), part(m.reals, m.ints[w + 5], n * width)
    x = part(m.ints, m.ints[w + 4], n)
    for i in range(cuda.grid(1), n * width, cuda.gridsize(1)):
        row = i // width
        if x[row] >= 0:  # not behind the last step of a batch of sequences
            y[i] = table[x[row] * width + i - row * width]


@kernel
def embedding_forward(w: Array, x: Array, y: Array) -> list[Phase]:
    n, width = y.shape
    return [over(_take, y.size, n, width, w.size, w, x, y)]


@device
def _clear(m: Memory, w: int, k: int) -> None:
    n = m.ints[w]
    x, zero = part(m.reals, m.ints[w + 1], n), number(m.reals, 0.0)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        x[i] = zero


@device
def _sort_pieces(m: Memory, w: int, k: int) -> None:
    """A block sorts as many numbers as it has threads; what has no row comes last."""
    n, table, padding, size = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    x, out = part(m.ints, m.ints[w + 4], n), part(m.ints, m.ints[w + 5], n)
    numbers = part(m.ints, m.ints[w + 6], n)
    for start in range(cuda.blockIdx.x * size, n, cuda.gridDim.x * size):
        stop, own = min(n, start + size), start + cuda.threadIdx.x
        if own < stop:
            row = table if x[own] < 0 or x[own] == padding else x[own]
            numbers[own] = (row << SHIFT) | own
        cuda.syncthreads()
        if own < stop:
            smaller = 0
            for j in range(start, stop):
                if numbers[j] < numbers[own]:
                    smaller += 1
            out[start + smaller] = numbers[own]


@device
def _merge(m: Memory, w: int, k: int) -> None:
    """Pieces of size << k become such of twice that size."""
    n, size = m.ints[w], m.ints[w + 1] << k
    source = part(m.ints, m.ints[w + 2 + k % 2], n)
    target = part(m.ints, m.ints[w + 3 - k % 2], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        value = source[i]
        own = i & -size
        other = own ^ size
        low, high = min(other, n), min(other + size, n)
        start = low
        while low < high:
            middle = (low + high) >> 1
            if source[middle] < value:
                low = middle + 1
            else:
                high = middle
        target[min(own, other) + (i - own) + (low - start)] = value


@device
def _sum_pieces(m: Memory, w: int, k: int) -> None:
    """Sums of each piece: first of an index that began before it, last of one that goes on."""
    n, width, table, size = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    pieces, status = (n + size - 1) // size, m.ints[w + 8]
    ordered, dy = part(m.ints, m.ints[w + 4], n), part(m.reals, m.ints[w + 5], n * width)
    dw = part(m.reals, m.ints[w + 6], table * width)
    first = part(m.doubles, m.ints[w + 7], pieces * width)
    last = part(m.doubles, m.ints[w + 7] + pieces * width, pieces * width)
    for i in range(cuda.grid(1), pieces * width, cuda.gridsize(1)):
        piece = i // width
        column = i - piece * width
        start, stop = piece * size, min(n, (piece + 1) * size)
        before = ordered[start - 1] >> SHIFT if start > 0 else -1
        row, total = ordered[start] >> SHIFT, 0.0
        for at in range(start, stop):
            total += np.float64(dy[(ordered[at] & OCCURRENCE) * width + column])
            following = ordered[at + 1] >> SHIFT if at + 1 < n else table
            if following != row or at + 1 == stop:
                if row == before:
                    first[i] = total
                elif following == row:
                    last[i] = total
                elif row < table:
                    dw[row * width + column] = total
                    if status != 0 and not finite(dw[row * width + column]):
                        m.ints[status] = 1
                row, total = following, 0.0


@device
def _join_pieces(m: Memory, w: int, k: int) -> None:
    """What begins in a piece and goes on behind it."""
    n, width, table, size = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    pieces, status = (n + size - 1) // size, m.ints[w + 8]
    ordered, dw = part(m.ints, m.ints[w + 4], n), part(m.reals, m.ints[w + 6], table * width)
    first = part(m.doubles, m.ints[w + 7], pieces * width)
    last = part(m.doubles, m.ints[w + 7] + pieces * width, pieces * width)
    for i in range(cuda.grid(1), (pieces - 1) * width, cuda.gridsize(1)):
        piece = i // width
        start, stop = piece * size, (piece + 1) * size
        row = ordered[stop - 1] >> SHIFT
        begins = start == 0 or ordered[start - 1] >> SHIFT != row
        if begins and row < table and ordered[stop] >> SHIFT == row:
            total, at = last[i], i
            while stop < n and ordered[stop] >> SHIFT == row:
                at += width
                stop += size
                total += first[at]
            place = row * width + i - piece * width
            dw[place] = total
            if status != 0 and not finite(dw[place]):
                m.ints[status] = 1


@kernel
def embedding_backward(
    x: Array, dy: Array, padding: int, dw: Array, place: Array, chains: Array, count: Array,
    status: Array | None,
) -> list[Phase]:  # fmt: skip
    (n, width), table = dy.shape, len(dw)
    phases = [over(_clear, dw.size, dw.size, dw)]
    if not dy.size:
        return phases
    groups = -(-n // BLOCK)
    merges = (groups - 1).bit_length()
    phases.append(rows(_sort_pieces, groups, BLOCK, n, table, padding, BLOCK, x, *chains[:2]))
    if merges:
        words = n, BLOCK, chains[0], chains[1]
        phases.append(rows(_merge, groups, BLOCK * 16, *words, repeat=merges))
    size = max(LEAST, math.isqrt(n) // 4)
    pieces = -(-n // size)
    sums = Scratch(np.float64, 2 * pieces, width)
    given = n, width, table, size, chains[merges % 2], dy, dw, sums, status
    phases.append(over(_sum_pieces, pieces * width, *given, work=dy.size))
    phases.append(over(_join_pieces, pieces * width, *given))
    return phases
