"""Optimizers whose step is as long as the tensor it changes says: LAMB and LARS.

design: three phases.
 a) A block of threads takes a block of elements: the direction of their step, and the squares of
    both, in float64.
 b) Another takes a tensor, which is a group of whole blocks: the ratio of its norms, added up in
    one order.
 c) The step of each block of elements.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.adam import count, running
from fastgrad.backends.cuda.device import block_sum, device, number, part, place
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.norms import group_of
from fastgrad.backends.cuda.passes import (
    BLOCKS,
    HYPER,
    PARAMETERS,
    SHARED,
    B,
    G,
    P,
    constants_of,
)
from fastgrad.backends.cuda.phase import Phase, Word, kernel, rows
from fastgrad.backends.cuda.target import cuda

# words behind those that a pass has up to its parameters
UPDATE, SQUARES, RATIOS, GROUPS, TENSORS, FIRST, SECOND = range(PARAMETERS + 1, PARAMETERS + 8)


@device
def _say_squares(m: Memory, w: int, block: int, of_p: float, of_update: float) -> None:
    of_p, of_update = block_sum(m, of_p), block_sum(m, of_update)
    if cuda.threadIdx.x == 0:
        row = part(m.doubles, m.ints[w + SQUARES] + 2 * block, 2)
        row[0], row[1] = of_p, of_update


@device
def _lamb_numbers(m: Memory, w: int) -> None:
    hyper, t = part(m.doubles, m.ints[w + HYPER], 5), count(m, w)
    running(m, w)
    m.shared[5] = hyper[4]
    m.shared[6] = 1 / (1 - hyper[1] ** t)
    m.shared[7] = 1 / sqrt(1 - hyper[2] ** t)


_lamb_constants = constants_of(_lamb_numbers)


@device
def _lamb(m: Memory, w: int, k: int) -> None:
    beta1, rest1, beta2, rest2, eps, decay, unbiased, correction, _, _ = _lamb_constants(m, w)
    n, blocks = m.ints[w + P], m.ints[w + BLOCKS]
    g, p = part(m.reals, m.ints[w + G], n), part(m.reals, m.ints[w + PARAMETERS], n)
    update = part(m.reals, m.ints[w + UPDATE], n)
    means, squares = part(m.reals, m.ints[w + FIRST], n), part(m.reals, m.ints[w + SECOND], n)
    for block in range(cuda.blockIdx.x, m.ints[w + B], cuda.gridDim.x):
        start, stop = m.ints[blocks + block], m.ints[blocks + block + 1]
        of_p, of_update = 0.0, 0.0
        for j in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
            i = place(j)
            x, old = g[i], p[i]
            mean = beta1 * means[i] + rest1 * x
            square = beta2 * squares[i] + rest2 * x * x
            u = unbiased * mean / (sqrt(square) * correction + eps) + decay * old
            means[i], squares[i], update[i] = mean, square, u
            of_p += np.float64(old) * np.float64(old)
            of_update += np.float64(u) * np.float64(u)
        _say_squares(m, w, block, of_p, of_update)


@device
def _lars(m: Memory, w: int, k: int) -> None:
    n, blocks = m.ints[w + P], m.ints[w + BLOCKS]
    g, p = part(m.reals, m.ints[w + G], n), part(m.reals, m.ints[w + PARAMETERS], n)
    update = part(m.reals, m.ints[w + UPDATE], n)
    decay = number(m.reals, m.doubles[m.ints[w + HYPER] + 2])
    for block in range(cuda.blockIdx.x, m.ints[w + B], cuda.gridDim.x):
        start, stop = m.ints[blocks + block], m.ints[blocks + block + 1]
        of_p, of_update = 0.0, 0.0
        for j in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
            i = place(j)
            old = p[i]
            u = g[i] + decay * old
            update[i] = u
            of_p += np.float64(old) * np.float64(old)
            of_update += np.float64(u) * np.float64(u)
        _say_squares(m, w, block, of_p, of_update)


@device
def _ratios(m: Memory, w: int, k: int) -> None:
    """coefficient |p| / (|update| + eps) for each group; 1 where a norm is 0."""
    tensors, blocks, hyper = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    groups = part(m.ints, m.ints[w + 3], tensors + 1)
    squares = part(m.doubles, m.ints[w + 4], 2 * blocks)
    ratios = part(m.doubles, m.ints[w + 5], tensors)
    for s in range(cuda.blockIdx.x, tensors, cuda.gridDim.x):
        of_p, of_update = 0.0, 0.0
        for block in range(groups[s] + cuda.threadIdx.x, groups[s + 1], cuda.blockDim.x):
            of_p += squares[2 * block]
            of_update += squares[2 * block + 1]
        of_p, of_update = block_sum(m, of_p), block_sum(m, of_update)
        if cuda.threadIdx.x == 0:
            coefficient, eps = 1.0, 0.0
            if hyper != 0:  # LARS
                coefficient, eps = m.doubles[hyper + 3], m.doubles[hyper + 4]
            ratios[s] = 1
            if of_p > 0 and of_update > 0:
                ratios[s] = coefficient * sqrt(of_p) / (sqrt(of_update) + eps)


@device
def _group(m: Memory, w: int, block: int) -> int:
    """The tensor a block belongs to; -1 where there is none."""
    tensors = m.ints[w + TENSORS]
    s = group_of(part(m.ints, m.ints[w + GROUPS], tensors + 1), block)
    return s if s < tensors else -1


@device
def _rate(m: Memory, w: int, s: int) -> float:
    return m.doubles[m.ints[w + HYPER]] * m.doubles[m.ints[w + RATIOS] + s]


@device
def _move(m: Memory, w: int, k: int) -> None:
    n, blocks = m.ints[w + P], m.ints[w + BLOCKS]
    p, update = part(m.reals, m.ints[w + PARAMETERS], n), part(m.reals, m.ints[w + UPDATE], n)
    for block in range(cuda.blockIdx.x, m.ints[w + B], cuda.gridDim.x):
        s = _group(m, w, block)
        if s >= 0:
            rate, stop = number(m.reals, _rate(m, w, s)), m.ints[blocks + block + 1]
            for j in range(m.ints[blocks + block] + cuda.threadIdx.x, stop, cuda.blockDim.x):
                i = place(j)
                p[i] -= rate * update[i]


@device
def _move_with_momentum(m: Memory, w: int, k: int) -> None:
    n, blocks, hyper = m.ints[w + P], m.ints[w + BLOCKS], m.ints[w + HYPER]
    p, update = part(m.reals, m.ints[w + PARAMETERS], n), part(m.reals, m.ints[w + UPDATE], n)
    velocity = part(m.reals, m.ints[w + FIRST], n)
    momentum, nesterov = number(m.reals, m.doubles[hyper + 1]), m.doubles[hyper + 5] != 0
    of_velocity = momentum if nesterov else number(m.reals, 1.0)
    for block in range(cuda.blockIdx.x, m.ints[w + B], cuda.gridDim.x):
        s = _group(m, w, block)
        if s >= 0:
            rate, stop = number(m.reals, _rate(m, w, s)), m.ints[blocks + block + 1]
            of_update = rate if nesterov else number(m.reals, 0.0)
            for j in range(m.ints[blocks + block] + cuda.threadIdx.x, stop, cuda.blockDim.x):
                i = place(j)
                u = update[i]
                v = momentum * velocity[i] + rate * u
                velocity[i] = v
                p[i] -= of_update * u + of_velocity * v


def _phases(
    direction: Callable[..., None], move: Callable[..., None], g: Array, hyper: Array,
    step: Array | None, blocks: Array, groups: Array, p: Array, update: Array, squares: Array,
    ratios: Array, trust: Array | None, *state: Array,
) -> list[Phase]:  # fmt: skip
    """Those of one call; `trust` is hyper where it says how ratios are made."""
    count, tensors = len(squares), len(ratios)
    words: tuple[Word, ...] = p.size, count, g, hyper, step, blocks, p
    words = *words, update, squares, ratios, groups, tensors, *state
    width = -(-p.size // max(count, 1))
    return [
        rows(direction, count, (4 + 2 * len(state)) * width, *words, shared=SHARED),
        rows(_ratios, tensors, 2, tensors, count, trust, groups, squares, ratios),
        rows(move, count, 3 * width, *words),
    ]


@kernel
def lamb(
    g: Array, hyper: Array, step: Array, blocks: Array, groups: Array, p: Array, mean: Array,
    square: Array, update: Array, squares: Array, ratios: Array,
) -> list[Phase]:  # fmt: skip
    given = g, hyper, step, blocks, groups, p, update, squares, ratios
    return _phases(_lamb, _move, *given, None, mean, square)


@kernel
def lars(
    g: Array, hyper: Array, blocks: Array, groups: Array, p: Array, velocity: Array | None,
    update: Array, squares: Array, ratios: Array,
) -> list[Phase]:  # fmt: skip
    given = g, hyper, None, blocks, groups, p, update, squares, ratios, hyper
    if velocity is None:
        return _phases(_lars, _move, *given)
    return _phases(_lars, _move_with_momentum, *given, velocity)
