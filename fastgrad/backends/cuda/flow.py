"""Norms of the gradient at every step, out of what the steps note on their way back."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import BLOCK, block_sum, device, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, Word, rows
from fastgrad.backends.cuda.steps import rows_of
from fastgrad.backends.cuda.target import cuda

LANES = min(32, BLOCK)  # threads that share a row
AT_ONCE = BLOCK // LANES  # rows of a block


class Notes:
    """By row of the steps: gradients of h and c, and what was handed on to them from behind.

    Parameters
    ----------
    gates : ndarray
    units : int
    cells : bool
        Whether there is c.
    """

    def __init__(self, gates: Array, units: int, cells: bool) -> None:
        def scratch() -> Scratch:
            return Scratch(gates.dtype, len(gates), units)

        self.dh, self.handed_h = scratch(), scratch()
        self.dc: Scratch | None = scratch() if cells else None
        self.handed_c: Scratch | None = scratch() if cells else None
        self._units = units

    def phases(
        self, offsets: Array, dc_last: Array | None, initial: int, squares: Array, flow: Array
    ) -> list[Phase]:
        """What makes `squares` and `flow` of them."""
        T, R, H = len(flow), len(squares), self._units
        noted: tuple[Word, ...] = self.dh, self.dc, self.handed_h, self.handed_c
        each = -(-R // AT_ONCE)
        return [
            Phase(_squares, (T, offsets, H, squares, *noted), each, 4.0 * R * H, 1, 32 * BLOCK),
            rows(_flow, T, R, T, offsets, H, squares, dc_last, initial, flow),
        ]


@device
def _squares(m: Memory, w: int, k: int) -> None:
    """Of each row and kind of note; a block takes several rows, whose lanes are added in order."""
    n, H, squares = m.ints[m.ints[w + 1] + m.ints[w]], m.ints[w + 2], m.ints[w + 3]
    place, lane = cuda.threadIdx.x // LANES, cuda.threadIdx.x % LANES
    for start in range(cuda.blockIdx.x * AT_ONCE, n, cuda.gridDim.x * AT_ONCE):
        for kind in range(4):
            noted, total = m.ints[w + 4 + kind], 0.0
            if noted != 0 and start + place < n:
                x = part(m.reals, noted + (start + place) * H, H)
                for i in range(lane, H, LANES):
                    value = np.float64(x[i])
                    total += value * value
            m.sums[kind * BLOCK + cuda.threadIdx.x] = total
        cuda.syncthreads()
        for i in range(cuda.threadIdx.x, 4 * AT_ONCE, cuda.blockDim.x):
            row, kind = i // 4, i % 4
            if start + row < n:
                total = 0.0
                for j in range(LANES):
                    total += m.sums[kind * BLOCK + row * LANES + j]
                m.doubles[squares + 4 * (start + row) + kind] = total
        cuda.syncthreads()


@device
def _flow(m: Memory, w: int, k: int) -> None:
    """A block adds up the rows of a step, and the gradients of c where sequences end with it."""
    T, offsets, H, last = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 4]
    for t in range(cuda.blockIdx.x, T, cuda.gridDim.x):
        first, n = m.ints[offsets + t], rows_of(m, offsets, T, t)
        behind = rows_of(m, offsets, T, t + 1)
        squares = part(m.doubles, m.ints[w + 3] + 4 * first, 4 * (n + behind))
        dh, dc, came, went = 0.0, 0.0, 0.0, 0.0
        for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            dh += squares[4 * i]
            dc += squares[4 * i + 1]
            went += squares[4 * i + 2] + squares[4 * i + 3]
        for i in range(cuda.threadIdx.x, behind, cuda.blockDim.x):
            came += squares[4 * (n + i) + 3]
        if last != 0:
            dc_last = part(m.reals, last, n * H)
            for i in range(behind * H + cuda.threadIdx.x, n * H, cuda.blockDim.x):
                value = np.float64(dc_last[i])
                came += value * value
        dh, dc = block_sum(m, dh), block_sum(m, dc)
        came, went = block_sum(m, came), block_sum(m, went)
        if cuda.threadIdx.x == 0:
            flow = part(m.doubles, m.ints[w + 6] + 3 * t, 3)
            flow[0], flow[1] = sqrt(dh), sqrt(dc)
            flow[2] = sqrt(went / (dh + came)) if t > 0 or m.ints[w + 5] != 0 else math.nan
