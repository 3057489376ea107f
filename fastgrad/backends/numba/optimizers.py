"""Optimizers, one pass over the flat arenas each; adam.py has Adam and its kin.

design: as src/optimizers.pxi.
 a) A loop reads and writes every vector once; what passes share is in passes.py.
 b) What changes between steps (hyperparameters, step count) is read from memory when the call runs,
    because the call itself is recorded once. Scalars are computed in float64.
 c) Where gradient, parameter and state are 0, as between two tensors, the parameter stays 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import given, number, part
from fastgrad.backends.numba.passes import copied, is_watched, multiply_add, piece, pieces
from fastgrad.backends.numba.team import Team
from fastgrad.backends.numba.watching import look, nothing_seen, say, usual, watch


@inline(fastmath=set())
def _descend(g: Array, p: Array, rate: Any, decay: Any, state: Any) -> Any:
    for i in range(len(g)):
        old = p[i]
        p[i] = multiply_add(-rate, multiply_add(decay, old, g[i]), old)
        state = watch(state, g[i], old, p[i])
    return state


@inline(fastmath=set())
def _descend_with_momentum(
    g: Array,
    p: Array,
    velocity: Array,
    hyper: Array,
    begins: bool,
    state: Any,
) -> Any:
    lr, momentum = hyper[0], hyper[1]
    # the first velocity is the gradient itself
    keep, add = number(p, 0.0 if begins else momentum), number(p, 1.0 if begins else 1 - hyper[2])
    decay, nesterov = number(p, hyper[3]), hyper[4] != 0
    # lr v, or Nesterov's lr (d + momentum v)
    of_d, of_velocity = (
        number(p, lr if nesterov else 0.0),
        number(p, lr * momentum if nesterov else lr),
    )
    for i in range(len(g)):
        old = p[i]
        d = multiply_add(decay, old, g[i])
        v = multiply_add(keep, velocity[i], add * d)
        velocity[i] = v
        p[i] = old - multiply_add(of_d, d, of_velocity * v)
        state = watch(state, g[i], old, p[i])
    return state


@kernel(work="4 * P")
def sgd(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    velocity: Array | None,
    seen: Array | None,
    moved: Array | None,
) -> None:
    rate, decay, begins = number(p, hyper[0]), number(p, hyper[3]), step[0] == 0
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w, v = part(g, first, n), part(p, first, n), part(velocity, first, n)
        looks = watched and usual(moved, k)
        before = copied(w, team.scratch, watched and not looks)
        if looks:
            state = nothing_seen(g)
            if given(velocity):
                state = _descend_with_momentum(x, w, v, hyper, begins, state)
            else:
                state = _descend(x, w, rate, decay, state)
            say(state, x, k, seen, moved)
        elif given(velocity):
            _descend_with_momentum(x, w, v, hyper, begins, None)
        else:
            _descend(x, w, rate, decay, None)
        if watched and not looks:
            look(x, before, w, k, seen, moved)


@kernel(work="8 * P")
def rmsprop(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    square: Array,
    velocity: Array | None,
    mean: Array | None,
    seen: Array | None,
    moved: Array | None,
) -> None:
    lr, alpha, beta = number(p, hyper[0]), number(p, hyper[1]), number(p, 1 - hyper[1])
    eps, decay, momentum = number(p, hyper[2]), number(p, hyper[3]), number(p, hyper[4])
    zero = number(p, 0.0)
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w, s = part(g, first, n), part(p, first, n), part(square, first, n)
        v, m = part(velocity, first, n), part(mean, first, n)
        before = copied(w, team.scratch, watched)
        # centered: a variance is not below 0, where rounding would take it
        if given(mean) and given(velocity):
            for i in range(n):
                d = x[i] + decay * w[i]
                s[i] = alpha * s[i] + beta * d * d
                m[i] = alpha * m[i] + beta * d
                variance = s[i] - m[i] * m[i]
                variance = zero if variance < zero else variance
                v[i] = momentum * v[i] + d / (np.sqrt(variance) + eps)
                w[i] -= lr * v[i]
        elif given(mean):
            for i in range(n):
                d = x[i] + decay * w[i]
                s[i] = alpha * s[i] + beta * d * d
                m[i] = alpha * m[i] + beta * d
                variance = s[i] - m[i] * m[i]
                variance = zero if variance < zero else variance
                w[i] -= lr * d / (np.sqrt(variance) + eps)
        elif given(velocity):
            for i in range(n):
                d = x[i] + decay * w[i]
                s[i] = alpha * s[i] + beta * d * d
                v[i] = momentum * v[i] + d / (np.sqrt(s[i]) + eps)
                w[i] -= lr * v[i]
        else:
            for i in range(n):
                d = x[i] + decay * w[i]
                s[i] = alpha * s[i] + beta * d * d
                w[i] -= lr * d / (np.sqrt(s[i]) + eps)
        if watched:
            look(x, before, w, k, seen, moved)


@kernel(work="8 * P")
def adagrad(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    square: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    rate = number(p, hyper[0] / (1 + float(step[0]) * hyper[1]))
    decay, eps = number(p, hyper[2]), number(p, hyper[3])
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w, s = part(g, first, n), part(p, first, n), part(square, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            d = x[i] + decay * w[i]
            s[i] += d * d
            w[i] -= rate * d / (np.sqrt(s[i]) + eps)
        if watched:
            look(x, before, w, k, seen, moved)


@kernel(work="8 * P")
def adadelta(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    square: Array,
    square_delta: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    lr, rho, rest = number(p, hyper[0]), number(p, hyper[1]), number(p, 1 - hyper[1])
    eps, decay = number(p, hyper[2]), number(p, hyper[3])
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        s, t = part(square, first, n), part(square_delta, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            d = x[i] + decay * w[i]
            s[i] = rho * s[i] + rest * d * d
            d *= np.sqrt((t[i] + eps) / (s[i] + eps))
            t[i] = rho * t[i] + rest * d * d
            w[i] -= lr * d
        if watched:
            look(x, before, w, k, seen, moved)


@inline
def sign(x: Any, one: Any) -> Any:
    below = -one if x < 0 else x
    return one if x > 0 else below


@kernel(work="4 * P")
def rprop(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    previous: Array,
    step_size: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    down, up = number(p, hyper[1]), number(p, hyper[2])
    least, most = number(p, hyper[3]), number(p, hyper[4])
    one, zero = number(p, 1.0), number(p, 0.0)
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        last, size = part(previous, first, n), part(step_size, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            e = x[i] * last[i]  # a sign, as the product of two small gradients would be 0
            other = down if e < zero else one
            s = size[i] * (up if e > zero else other)
            s = least if s < least else s
            s = most if s > most else s
            own = sign(x[i], one)
            d = zero if e < zero else own
            size[i], last[i] = s, d
            w[i] -= d * s
        if watched:
            look(x, before, w, k, seen, moved)


@kernel(work="4 * P")
def lion(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    mean: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    beta1, rest1 = number(p, hyper[1]), number(p, 1 - hyper[1])
    beta2, rest2 = number(p, hyper[2]), number(p, 1 - hyper[2])
    rate, shrink, one = number(p, hyper[0]), number(p, 1 - hyper[0] * hyper[3]), number(p, 1.0)
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w, m = part(g, first, n), part(p, first, n), part(mean, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            old = m[i]
            w[i] = shrink * w[i] - rate * sign(beta1 * old + rest1 * x[i], one)
            m[i] = beta2 * old + rest2 * x[i]
        if watched:
            look(x, before, w, k, seen, moved)
