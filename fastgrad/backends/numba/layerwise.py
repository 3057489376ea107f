"""Optimizers whose step is as long as the tensor it changes says: LAMB and LARS.

design: as src/layerwise.pxi.
 a) Norms are sums over blocks, each in float64 and in one order, and a tensor is a group of whole
    blocks, so that no number of threads changes a bit.
 b) Two passes, with the ratio of norms between them, and over its own blocks in both of them each
    thread finds in its cache what it left there.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import given, number, part
from fastgrad.backends.numba.sums import squares as sum_of_squares
from fastgrad.backends.numba.team import Team, share, wait


@inline
def share_ratios(
    team: Team, groups: Array, squares: Array, coefficient: float, eps: float, ratios: Array
) -> None:
    """coefficient |p| / (|update| + eps) for each group; 1 where a norm is 0."""
    wait(team)
    if team.rank == 0:
        for s in range(len(groups) - 1):
            p, update = 0.0, 0.0
            for block in range(groups[s], groups[s + 1]):
                p += squares[block, 0]
                update += squares[block, 1]
            ratios[s] = 1
            if p > 0 and update > 0:
                ratios[s] = coefficient * math.sqrt(p) / (math.sqrt(update) + eps)
    wait(team)


@kernel(work="10 * P")
def lamb(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array,
    groups: Array,
    p: Array,
    mean: Array,
    square: Array,
    update: Array,
    squares: Array,
    ratios: Array,
) -> None:
    t = float(step[0] + 1)
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, rest2, decay = number(p, 1 - hyper[1]), number(p, 1 - hyper[2]), number(p, hyper[4])
    unbiased = number(p, 1 / (1 - hyper[1] ** t))
    correction = number(p, 1 / np.sqrt(1 - hyper[2] ** t))
    low, high = share(team, len(blocks) - 1, 1)
    for block in range(low, high):
        first, n = blocks[block], blocks[block + 1] - blocks[block]
        x, w, u = part(g, first, n), part(p, first, n), part(update, first, n)
        m, s = part(mean, first, n), part(square, first, n)
        for i in range(n):
            m[i] = beta1 * m[i] + rest1 * x[i]
            s[i] = beta2 * s[i] + rest2 * x[i] * x[i]
            u[i] = unbiased * m[i] / (np.sqrt(s[i]) * correction + eps) + decay * w[i]
        squares[block, 0], squares[block, 1] = sum_of_squares(w), sum_of_squares(u)
    share_ratios(team, groups, squares, 1.0, 0.0, ratios)
    for group in range(len(ratios)):
        rate = number(p, hyper[0] * ratios[group])
        start, stop = max(low, groups[group]), min(high, groups[group + 1])
        if start < stop:
            first, n = blocks[start], blocks[stop] - blocks[start]
            w, u = part(p, first, n), part(update, first, n)
            for i in range(n):
                w[i] -= rate * u[i]


@kernel(work="6 * P")
def lars(
    team: Team,
    g: Array,
    hyper: Array,
    blocks: Array,
    groups: Array,
    p: Array,
    velocity: Array | None,
    update: Array,
    squares: Array,
    ratios: Array,
) -> None:
    momentum, decay = number(p, hyper[1]), number(p, hyper[2])
    low, high = share(team, len(blocks) - 1, 1)
    for block in range(low, high):
        first, n = blocks[block], blocks[block + 1] - blocks[block]
        x, w, u = part(g, first, n), part(p, first, n), part(update, first, n)
        for i in range(n):
            u[i] = x[i] + decay * w[i]
        squares[block, 0], squares[block, 1] = sum_of_squares(w), sum_of_squares(u)
    share_ratios(team, groups, squares, hyper[3], hyper[4], ratios)
    nesterov = hyper[5] != 0
    of_velocity = momentum if nesterov else number(p, 1.0)
    for group in range(len(ratios)):
        rate = number(p, hyper[0] * ratios[group])
        of_update = rate if nesterov else number(p, 0.0)
        start, stop = max(low, groups[group]), min(high, groups[group + 1])
        if start < stop:
            first, n = blocks[start], blocks[stop] - blocks[start]
            w, u, v = part(p, first, n), part(update, first, n), part(velocity, first, n)
            if given(velocity):
                for i in range(n):
                    v[i] = momentum * v[i] + rate * u[i]
                    w[i] -= of_update * u[i] + of_velocity * v[i]
            else:
                for i in range(n):
                    w[i] -= rate * u[i]
