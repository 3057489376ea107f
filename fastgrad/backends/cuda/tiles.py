"""Products of matrices by tiles: what one block computes.

design: threads stand in `groups` squares of side `side`. A square's thread (y, x) has the outputs
(y + i side, x + j side) of a tile for i, j < each, in registers; squares share the depth, and their
sums are added in the order of the squares. Panels of both factors pass through shared memory; the
next one is on its way from memory while this one is used.

Threads next to each other have columns next to each other, so that loads from shared memory and
stores need no padding; rows of a panel have one element more than the tile is wide, which keeps
those that are turned on their way out of each other's banks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastgrad.backends.cuda.device import BLOCK, device, finite, number, place
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import cuda

LOADS = 8  # elements of a panel that each thread brings


class Shape(NamedTuple):
    """How a block's threads share a tile.

    Attributes
    ----------
    each : int
        Rows and columns of a thread.
    groups : int
        Squares of threads, among which the depth is shared.
    """

    each: int
    groups: int

    @property
    def side(self) -> int:
        """Threads of a square's side."""
        return math.isqrt(BLOCK // self.groups)

    @property
    def tile(self) -> int:
        """Rows and columns of a tile."""
        return self.side * self.each

    @property
    def depth(self) -> int:
        """Of a panel."""
        return LOADS * BLOCK // self.tile

    @property
    def shared(self) -> int:
        """Elements of shared memory: two panels, or what the squares add up."""
        return max(2 * self.depth * (self.tile + 1), (self.groups - 1) * self.tile**2)


SHAPES = Shape(4, 1), Shape(4, 4), Shape(2, 4)

# the words of a product
(
    M, N, K, A, A_ROW, A_COLUMN, B, B_ROW, B_COLUMN, C, C_ROW, BIAS, ADDED, COUNT, CUT, ONES,
    STATUS, TILES, SLOPE, ALPHA,
) = range(20)  # fmt: skip
WORDS = 20
CUT_M, CUT_K = 1, 2


@functools.cache
def tile_of(shape: Shape, activation: Callable[..., Any] | None, slope: Any) -> Callable[..., None]:
    """Device function that computes one tile: of Memory, where the words start, and its number.

    Parameters
    ----------
    shape : Shape
    activation, slope : device functions, optional
        Applied to what is stored, and what the slopes are then; see `activations`.
    """
    each, groups, side, tile, depth = *shape, shape.side, shape.tile, shape.depth
    square, pitch, outputs = side * side, tile + 1, each * each
    down_panel = np.uint64(groups * pitch)
    bring, put = _panels(tile, depth)
    store = _storing(activation, slope)

    @device
    def compute(m: Memory, w: int, number_of_tile: int) -> None:
        rows, columns, inner = m.ints[w + M], m.ints[w + N], m.ints[w + K]
        if m.ints[w + CUT] == CUT_M:
            rows = min(rows, m.ints[m.ints[w + COUNT]])
        if m.ints[w + CUT] == CUT_K:
            inner = min(inner, m.ints[m.ints[w + COUNT]])
        ones = m.ints[w + ONES] != 0
        across = (columns + ones + tile - 1) // tile
        row, column = number_of_tile // across * tile, number_of_tile % across * tile
        t = cuda.threadIdx.x
        group, y, x = t // square, t % square // side, t % side
        at_left, at_right = place(group * pitch + y), place((group + depth) * pitch + x)
        sums = cuda.local.array(outputs, m.reals.dtype)
        next_left = cuda.local.array(LOADS, m.reals.dtype)
        next_right = cuda.local.array(LOADS, m.reals.dtype)
        for i in range(outputs):
            sums[i] = 0
        if row < rows:
            a, down, along = m.ints[w + A], m.ints[w + A_ROW], m.ints[w + A_COLUMN]
            b, over, under = m.ints[w + B], m.ints[w + B_COLUMN], m.ints[w + B_ROW]
            bring(m, next_left, a, down, along, row, rows, 0, inner, False)
            bring(m, next_right, b, over, under, column, columns, 0, inner, ones)
            for start in range(0, inner, depth):
                put(m, next_left, 0, along)
                put(m, next_right, depth * pitch, under)
                cuda.syncthreads()
                bring(m, next_left, a, down, along, row, rows, start + depth, inner, False)
                bring(m, next_right, b, over, under, column, columns, start + depth, inner, ones)
                left, right = at_left, at_right
                for _ in range(depth // groups):
                    for i in range(each):
                        factor = m.shared[left + place(i * side)]
                        for j in range(each):
                            sums[i * each + j] += factor * m.shared[right + place(j * side)]
                    left += down_panel
                    right += down_panel
                cuda.syncthreads()
        if groups > 1:
            if group > 0:
                for i in range(outputs):
                    m.shared[((group - 1) * outputs + i) * square + t % square] = sums[i]
            cuda.syncthreads()
            if group == 0:
                for g in range(groups - 1):
                    for i in range(outputs):
                        sums[i] += m.shared[(g * outputs + i) * square + t]
            cuda.syncthreads()
        if group == 0:
            for i in range(each):
                for j in range(each):
                    r, c = row + y + i * side, column + x + j * side
                    if r < rows and c < columns + ones:
                        store(m, w, r, c, columns, sums[i * each + j])

    return compute


def _panels(tile: int, depth: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """Device functions that bring a thread's part of a panel, and that put it where it belongs.

    Of the two steps of a factor in memory, `across` leads to the next row (of a; column of b) and
    `deep` along the depth; threads that are neighbours bring what lies side by side.
    """
    pitch = tile + 1

    @device
    def bring(
        m: Memory, into: Any, source: int, across: int, deep: int, first: int, count: int,
        start: int, inner: int, ones: bool,
    ) -> None:  # fmt: skip
        t = cuda.threadIdx.x
        r, k = first + t % tile, start + t // tile
        if deep == 1:
            r, k = first + t // depth, start + t % depth
        at = source + r * across + k * deep
        for i in range(LOADS):
            right, down = i * BLOCK % tile, i * BLOCK // tile
            if deep == 1:
                right, down = i * BLOCK // depth, i * BLOCK % depth
            value = number(m.reals, 0.0)
            if k + down < inner:
                if r + right < count:
                    value = m.reals[place(at + right * across + down * deep)]
                elif ones and r + right == count:
                    value = number(m.reals, 1.0)
            into[i] = value

    @device
    def put(m: Memory, values: Any, panel: int, deep: int) -> None:
        t = cuda.threadIdx.x
        at = panel + t // tile * pitch + t % tile
        if deep == 1:
            at = panel + t % depth * pitch + t // depth
        for i in range(LOADS):
            further = i * BLOCK // tile * pitch + i * BLOCK % tile
            if deep == 1:
                further = i * BLOCK % depth * pitch + i * BLOCK // depth
            m.shared[place(at + further)] = values[i]

    return bring, put


def _storing(activation: Callable[..., Any] | None, slope: Any) -> Callable[..., None]:
    """Device function that stores one output; column `columns` is that of the ones."""

    @device
    def store(m: Memory, w: int, r: int, c: int, columns: int, value: Any) -> None:
        status = m.ints[w + STATUS]
        if c == columns:
            m.reals[m.ints[w + ONES] + r] = value
        else:
            at = r * m.ints[w + C_ROW] + c
            if m.ints[w + BIAS] != 0:
                value += m.reals[m.ints[w + BIAS] + c]
            if m.ints[w + ADDED] != 0:
                value += m.reals[m.ints[w + C] + at]
            m.reals[m.ints[w + C] + at] = value
        if status != 0 and not finite(value):
            m.ints[status] = 1

    if activation is None:
        return store

    @device
    def store_activated(m: Memory, w: int, r: int, c: int, columns: int, value: Any) -> None:
        at = r * m.ints[w + C_ROW] + c
        alpha = number(m.reals, m.doubles[w + ALPHA])
        if m.ints[w + BIAS] != 0:
            value += m.reals[m.ints[w + BIAS] + c]
        y = activation(m, value, alpha)
        m.reals[m.ints[w + C] + at] = y
        if m.ints[w + SLOPE] != 0:
            m.reals[m.ints[w + SLOPE] + at] = slope(m, value, y, alpha)

    return store_activated
