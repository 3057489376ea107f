"""Adam and its kin: a running mean of the gradient over one of its size. See passes.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.passes import HYPER, STEP, Numbers, State, one_pass, phases
from fastgrad.backends.cuda.phase import Phase, kernel


@device
def count(m: Memory, w: int) -> float:
    """Which step this is, from 1 on."""
    return np.float64(m.ints[m.ints[w + STEP]] + 1)


@device
def running(m: Memory, w: int) -> None:
    """Numbers 0 to 4: how running means go on, and eps."""
    hyper, c = part(m.doubles, m.ints[w + HYPER], 4), m.shared
    c[0], c[1] = hyper[1], 1 - hyper[1]
    c[2], c[3] = hyper[2], 1 - hyper[2]
    c[4] = hyper[3]


@device
def _decay(m: Memory, lr: float, weight_decay: float, decoupled: float) -> None:
    """Numbers 5 and 6: what parameters add to the gradient, and what they are multiplied with."""
    m.shared[5], m.shared[6] = weight_decay, 1
    if decoupled != 0:
        m.shared[5], m.shared[6] = 0, 1 - lr * weight_decay


@device
def _adam_numbers(m: Memory, w: int) -> None:
    hyper, t = part(m.doubles, m.ints[w + HYPER], 7), count(m, w)
    lr = hyper[0] * hyper[6]
    running(m, w)
    _decay(m, lr, hyper[4], hyper[5])
    m.shared[7] = lr / (1 - hyper[1] ** t)
    m.shared[8] = 1 / sqrt(1 - hyper[2] ** t)


@device
def _adam(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    beta1, rest1, beta2, rest2, eps, coupled, shrink, rate, correction, _ = c
    mean, square, none = state
    d = x + coupled * p
    mean = beta1 * mean + rest1 * d
    square = beta2 * square + rest2 * d * d
    return shrink * p - rate * mean / (sqrt(square) * correction + eps), (mean, square, none)


@device
def _amsgrad(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    beta1, rest1, beta2, rest2, eps, coupled, shrink, rate, correction, _ = c
    mean, square, largest = state
    d = x + coupled * p
    mean = beta1 * mean + rest1 * d
    square = beta2 * square + rest2 * d * d
    largest = largest if largest > square else square
    p = shrink * p - rate * mean / (sqrt(largest) * correction + eps)
    return p, (mean, square, largest)


_ADAM, _AMSGRAD = one_pass(_adam_numbers, _adam, 2), one_pass(_adam_numbers, _amsgrad, 3)


@kernel
def adam(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, mean: Array, square: Array,
    largest: Array | None, seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    given = g, hyper, step, blocks, p, seen, moved, mean, square
    return phases(_ADAM, *given) if largest is None else phases(_AMSGRAD, *given, largest)


@device
def _adamax_numbers(m: Memory, w: int) -> None:
    hyper = part(m.doubles, m.ints[w + HYPER], 5)
    running(m, w)
    m.shared[5] = hyper[4]
    m.shared[6] = hyper[0] / (1 - hyper[1] ** count(m, w))


@device
def _adamax(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    beta1, rest1, beta2, _, eps, decay, rate, _, _, _ = c
    mean, largest, none = state
    d = x + decay * p
    mean = beta1 * mean + rest1 * d
    kept, size = beta2 * largest, abs(d) + eps
    largest = kept if kept > size else size
    return p - rate * mean / largest, (mean, largest, none)


_ADAMAX = one_pass(_adamax_numbers, _adamax, 2)


@kernel
def adamax(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, mean: Array,
    largest: Array, seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_ADAMAX, g, hyper, step, blocks, p, seen, moved, mean, largest)


@device
def _mu_product(beta1: float, momentum_decay: float, t: int) -> float:
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
            return product * beta1 ** np.float64(t - i)
    return product


@device
def _nadam_numbers(m: Memory, w: int) -> None:
    hyper, t = part(m.doubles, m.ints[w + HYPER], 7), count(m, w)
    lr, beta1 = hyper[0], hyper[1]
    so_far = _mu_product(beta1, hyper[6], m.ints[m.ints[w + STEP]])
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * hyper[6]))
    next_mu = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * hyper[6]))
    running(m, w)
    _decay(m, lr, hyper[4], hyper[5])
    m.shared[7] = lr * (1 - mu) / (1 - so_far * mu)
    m.shared[8] = lr * next_mu / (1 - so_far * mu * next_mu)
    m.shared[9] = 1 / sqrt(1 - hyper[2] ** t)


@device
def _nadam(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    beta1, rest1, beta2, rest2, eps, coupled, shrink, of_gradient, of_mean, correction = c
    mean, square, none = state
    d = x + coupled * p
    mean = beta1 * mean + rest1 * d
    square = beta2 * square + rest2 * d * d
    move = (of_gradient * d + of_mean * mean) / (sqrt(square) * correction + eps)
    return shrink * p - move, (mean, square, none)


_NADAM = one_pass(_nadam_numbers, _nadam, 2)


@kernel
def nadam(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, mean: Array, square: Array,
    seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_NADAM, g, hyper, step, blocks, p, seen, moved, mean, square)


@device
def _rectified(beta2: float, power: float, t: float) -> float:
    """What a step that is divided by roots is multiplied with; 0 with too few gradients for a
    variance."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * power / (1 - power)
    if not length > 5:
        return 0.0
    by = (longest - 4) * (longest - 2) * length
    return sqrt((1 - power) * (length - 4) * (length - 2) * longest / by)


@device
def _radam_numbers(m: Memory, w: int) -> None:
    hyper, t = part(m.doubles, m.ints[w + HYPER], 6), count(m, w)
    plain = hyper[0] / (1 - hyper[1] ** t)
    by_root = _rectified(hyper[2], hyper[2] ** t, t)
    running(m, w)
    _decay(m, hyper[0], hyper[4], hyper[5])
    m.shared[7] = plain * by_root if by_root > 0 else plain
    m.shared[8] = by_root


@device
def _radam(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    beta1, rest1, beta2, rest2, eps, coupled, shrink, rate, by_root, _ = c
    mean, square, none = state
    d = x + coupled * p
    mean = beta1 * mean + rest1 * d
    square = beta2 * square + rest2 * d * d
    move = rate * mean
    if by_root > 0:
        move /= sqrt(square) + eps
    return shrink * p - move, (mean, square, none)


_RADAM = one_pass(_radam_numbers, _radam, 2)


@kernel
def radam(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, mean: Array, square: Array,
    seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_RADAM, g, hyper, step, blocks, p, seen, moved, mean, square)
