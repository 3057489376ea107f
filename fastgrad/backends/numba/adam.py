"""Adam and its kin: a running mean of the gradient over one of its size. See optimizers.py."""

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


@inline
def decays(p: Array, lr: float, weight_decay: float, decoupled: float) -> tuple[Any, Any]:
    """What parameters add to the gradient, and what they are multiplied with."""
    if decoupled != 0:
        return number(p, 0.0), number(p, 1 - lr * weight_decay)
    return number(p, weight_decay), number(p, 1.0)


@inline(fastmath=set())
def _adam(
    g: Array,
    p: Array,
    mean: Array,
    square: Array,
    hyper: Array,
    rate: Any,
    correction: Any,
    state: Any,
) -> Any:
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, rest2 = number(p, 1 - hyper[1]), number(p, 1 - hyper[2])
    coupled, shrink = decays(p, hyper[0] * hyper[6], hyper[4], hyper[5])
    for i in range(len(g)):
        old = p[i]
        d = multiply_add(coupled, old, g[i])
        m = multiply_add(beta1, mean[i], rest1 * d)
        s = multiply_add(beta2, square[i], rest2 * d * d)
        new = multiply_add(shrink, old, -(rate * m / multiply_add(np.sqrt(s), correction, eps)))
        mean[i], square[i], p[i] = m, s, new
        state = watch(state, g[i], old, new)
    return state


@kernel(work="8 * P")
def adam(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    mean: Array,
    square: Array,
    largest: Array | None,
    seen: Array | None,
    moved: Array | None,
) -> None:
    lr, t = hyper[0] * hyper[6], float(step[0] + 1)
    rate = number(p, lr / (1 - hyper[1] ** t))
    correction = number(p, 1 / np.sqrt(1 - hyper[2] ** t))
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, rest2 = number(p, 1 - hyper[1]), number(p, 1 - hyper[2])
    coupled, shrink = decays(p, lr, hyper[4], hyper[5])
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        m, s = part(mean, first, n), part(square, first, n)
        looks = watched and not given(largest) and usual(moved, k)
        before = copied(w, team.scratch, watched and not looks)
        if given(largest):
            most = part(largest, first, n)
            for i in range(n):
                d = x[i] + coupled * w[i]
                m[i] = beta1 * m[i] + rest1 * d
                s[i] = beta2 * s[i] + rest2 * d * d
                most[i] = most[i] if most[i] > s[i] else s[i]
                w[i] = shrink * w[i] - rate * m[i] / (np.sqrt(most[i]) * correction + eps)
        elif looks:
            state = _adam(x, w, m, s, hyper, rate, correction, nothing_seen(g))
            say(state, x, k, seen, moved)
        else:
            _adam(x, w, m, s, hyper, rate, correction, None)
        if watched and not looks:
            look(x, before, w, k, seen, moved)


@kernel(work="8 * P")
def adamax(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    mean: Array,
    largest: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, decay = number(p, 1 - hyper[1]), number(p, hyper[4])
    rate = number(p, hyper[0] / (1 - hyper[1] ** float(step[0] + 1)))
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        m, most = part(mean, first, n), part(largest, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            d = x[i] + decay * w[i]
            m[i] = beta1 * m[i] + rest1 * d
            s, size = beta2 * most[i], abs(d) + eps
            most[i] = s if s > size else size
            w[i] -= rate * m[i] / most[i]
        if watched:
            look(x, before, w, k, seen, moved)


@inline
def mu_product(beta1: float, momentum_decay: float, t: int) -> float:
    """mu_1 ... mu_t for mu_i = beta1 (1 - 0.96^(i momentum_decay) / 2), from t alone.

    Some thousand factors at most, whatever t is: with so many the product is nothing beside 1, or
    the last of them are all beta1.
    """
    each, power, product = 0.96**momentum_decay, 1.0, 1.0
    for i in range(1, t + 1):
        power *= each
        product *= beta1 * (1 - 0.5 * power)
        if product < 1e-18:
            return 0.0
        if power < 1e-18:
            return product * beta1 ** float(t - i)
    return product


@kernel(work="8 * P")
def nadam(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    mean: Array,
    square: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    lr, t = hyper[0], float(step[0] + 1)
    so_far = mu_product(hyper[1], hyper[6], step[0])
    mu = hyper[1] * (1 - 0.5 * 0.96 ** (t * hyper[6]))
    next_mu = hyper[1] * (1 - 0.5 * 0.96 ** ((t + 1) * hyper[6]))
    of_gradient = number(p, lr * (1 - mu) / (1 - so_far * mu))
    of_mean = number(p, lr * next_mu / (1 - so_far * mu * next_mu))
    correction = number(p, 1 / np.sqrt(1 - hyper[2] ** t))
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, rest2 = number(p, 1 - hyper[1]), number(p, 1 - hyper[2])
    coupled, shrink = decays(p, lr, hyper[4], hyper[5])
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        m, s = part(mean, first, n), part(square, first, n)
        before = copied(w, team.scratch, watched)
        for i in range(n):
            d = x[i] + coupled * w[i]
            m[i] = beta1 * m[i] + rest1 * d
            s[i] = beta2 * s[i] + rest2 * d * d
            d = (of_gradient * d + of_mean * m[i]) / (np.sqrt(s[i]) * correction + eps)
            w[i] = shrink * w[i] - d
        if watched:
            look(x, before, w, k, seen, moved)


@inline
def rectified(beta2: float, power: float, t: float) -> float:
    """What a step that is divided by roots is multiplied with; 0 with too few gradients for a
    variance."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * power / (1 - power)
    if not length > 5:
        return 0.0
    by = (longest - 4) * (longest - 2) * length
    return float(np.sqrt((1 - power) * (length - 4) * (length - 2) * longest / by))


@kernel(work="8 * P")
def radam(
    team: Team,
    g: Array,
    hyper: Array,
    step: Array,
    blocks: Array | None,
    p: Array,
    mean: Array,
    square: Array,
    seen: Array | None,
    moved: Array | None,
) -> None:
    lr, t = hyper[0], float(step[0] + 1)
    plain = lr / (1 - hyper[1] ** t)
    by_root = rectified(hyper[2], hyper[2] ** t, t)
    rate = number(p, plain * by_root if by_root > 0 else plain)
    beta1, beta2, eps = number(p, hyper[1]), number(p, hyper[2]), number(p, hyper[3])
    rest1, rest2 = number(p, 1 - hyper[1]), number(p, 1 - hyper[2])
    coupled, shrink = decays(p, lr, hyper[4], hyper[5])
    watched = is_watched(blocks, seen, moved)
    low, high = pieces(team, blocks, watched)
    for k in range(low, high):
        first, n = piece(team, len(p), blocks, watched, k)
        x, w = part(g, first, n), part(p, first, n)
        m, s = part(mean, first, n), part(square, first, n)
        before = copied(w, team.scratch, watched)
        if by_root > 0:
            for i in range(n):
                d = x[i] + coupled * w[i]
                m[i] = beta1 * m[i] + rest1 * d
                s[i] = beta2 * s[i] + rest2 * d * d
                w[i] = shrink * w[i] - rate * m[i] / (np.sqrt(s[i]) + eps)
        else:
            for i in range(n):
                d = x[i] + coupled * w[i]
                m[i] = beta1 * m[i] + rest1 * d
                s[i] = beta2 * s[i] + rest2 * d * d
                w[i] = shrink * w[i] - rate * m[i]
        if watched:
            look(x, before, w, k, seen, moved)
