"""Norms of groups of elements, in two factors.

design: a norm is a pair, scale and root, whose product it is. scale is 1 unless squares leave
float64, 0 where all elements are, and infinite where one of them is not finite. A block of threads
takes a block of elements, and what it finds is added up in one order, so that every sum is the same
whatever the number of blocks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import block_max, block_sum, device, finite, part, place
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, rows
from fastgrad.backends.cuda.squares import Squares, add_square, block_norm
from fastgrad.backends.cuda.target import cuda


@device
def group_of(groups: Any, block: int) -> int:
    """The last group that starts at that block or before it; -1 where there is none."""
    low, high = 0, len(groups)
    while low < high:
        middle = (low + high) // 2
        if groups[middle] <= block:
            low = middle + 1
        else:
            high = middle
    return low - 1


@device
def norm_of_block(m: Memory, squares: Squares) -> tuple[float, float]:
    """The pair of a block of threads, each of which must come here."""
    scale, root = block_norm(m, squares)
    if root == 0:
        return 0.0, 1.0
    if not finite(root):
        return math.inf, 1.0
    return scale, root


@device
def add_blocks(m: Memory, sums: Any, width: int, first: int, last: int) -> tuple[float, float]:
    """The norm of some blocks, whose pairs stand in rows of that width."""
    top, squares = 0.0, 0.0
    for i in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
        top = max(top, sums[width * i])
    top = block_max(m, top)
    if top == 0 or not finite(top):
        return top, 1.0
    for i in range(first + cuda.threadIdx.x, last, cuda.blockDim.x):
        share = sums[width * i] / top * sums[width * i + 1]
        squares += share * share
    return top, sqrt(block_sum(m, squares))


@device
def _block_norms(m: Memory, w: int, k: int) -> None:
    count, blocks = m.ints[w], m.ints[w + 2]
    sums = part(m.doubles, m.ints[w + 3], 2 * count)
    for block in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        start = m.ints[blocks + block]
        n = m.ints[blocks + block + 1] - start
        x, squares = part(m.reals, m.ints[w + 1] + start, n), (0.0, 0.0, 0.0)
        for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            squares = add_square(m, squares, np.float64(x[place(i)]))
        scale, root = norm_of_block(m, squares)
        if cuda.threadIdx.x == 0:
            sums[2 * block], sums[2 * block + 1] = scale, root


@device
def _group_norms(m: Memory, w: int, k: int) -> None:
    count, groups = m.ints[w], m.ints[w + 2]
    norms = part(m.doubles, m.ints[w + 4], 2 * count)
    sums = part(m.doubles, m.ints[w + 3], 2 * m.ints[w + 1])
    for s in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        scale, root = add_blocks(m, sums, 2, m.ints[groups + s], m.ints[groups + s + 1])
        if cuda.threadIdx.x == 0:
            norms[2 * s], norms[2 * s + 1] = scale, root


@kernel
def group_norms(
    x: Array, blocks: Array, groups: Array, sums: Array, norms: Array
) -> list[Phase]:  # fmt: skip
    count, tensors = len(sums), len(norms)
    return [
        rows(_block_norms, count, -(-x.size // max(count, 1)), count, x, blocks, sums),
        rows(_group_norms, tensors, 2, tensors, count, groups, sums, norms),
    ]
