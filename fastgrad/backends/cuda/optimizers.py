"""Optimizers, one pass over the flat arenas each; adam.py has Adam and its kin. See passes.py."""

from __future__ import annotations

from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.passes import HYPER, STEP, Numbers, State, one_pass, phases
from fastgrad.backends.cuda.phase import Phase, kernel


@device
def _sgd_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 5), m.shared
    lr, momentum = hyper[0], hyper[1]
    c[0], c[1] = hyper[3], lr
    c[2], c[3] = momentum, 1 - hyper[2]
    if m.ints[m.ints[w + STEP]] == 0:  # the first velocity is the gradient itself
        c[2], c[3] = 0, 1
    c[4], c[5] = 0, lr
    if hyper[4] != 0:  # Nesterov's lr (d + momentum v)
        c[4], c[5] = lr, lr * momentum


@device
def _descend(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    decay, rate, _, _, _, _, _, _, _, _ = c
    return p - rate * (x + decay * p), state


@device
def _descend_with_momentum(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    decay, _, keep, add, of_d, of_velocity, _, _, _, _ = c
    velocity, a, b = state
    d = x + decay * p
    velocity = keep * velocity + add * d
    return p - (of_d * d + of_velocity * velocity), (velocity, a, b)


_SGD = one_pass(_sgd_numbers, _descend, 0)
_MOMENTUM = one_pass(_sgd_numbers, _descend_with_momentum, 1)


@kernel
def sgd(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, velocity: Array | None,
    seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    given = g, hyper, step, blocks, p, seen, moved
    return phases(_SGD, *given) if velocity is None else phases(_MOMENTUM, *given, velocity)


@device
def _rmsprop_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 5), m.shared
    c[0] = hyper[0]
    c[1], c[2] = hyper[1], 1 - hyper[1]
    c[3], c[4], c[5] = hyper[2], hyper[3], hyper[4]
    c[6] = 0


@device
def _rmsprop(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    lr, alpha, rest, eps, decay, _, _, _, _, _ = c
    square, a, b = state
    d = x + decay * p
    square = alpha * square + rest * d * d
    return p - lr * d / (sqrt(square) + eps), (square, a, b)


@device
def _rmsprop_with_momentum(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    lr, alpha, rest, eps, decay, momentum, _, _, _, _ = c
    square, velocity, none = state
    d = x + decay * p
    square = alpha * square + rest * d * d
    velocity = momentum * velocity + d / (sqrt(square) + eps)
    return p - lr * velocity, (square, velocity, none)


@device
def _deviation(square: Any, mean: Any, zero: Any) -> Any:
    """The root of a variance, which is not below 0, where rounding would take it."""
    variance = square - mean * mean
    return sqrt(zero if variance < zero else variance)


@device
def _centered(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    lr, alpha, rest, eps, decay, _, zero, _, _, _ = c
    square, mean, none = state
    d = x + decay * p
    square = alpha * square + rest * d * d
    mean = alpha * mean + rest * d
    return p - lr * d / (_deviation(square, mean, zero) + eps), (square, mean, none)


@device
def _centered_with_momentum(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    lr, alpha, rest, eps, decay, momentum, zero, _, _, _ = c
    square, velocity, mean = state
    d = x + decay * p
    square = alpha * square + rest * d * d
    mean = alpha * mean + rest * d
    velocity = momentum * velocity + d / (_deviation(square, mean, zero) + eps)
    return p - lr * velocity, (square, velocity, mean)


_RMSPROP = one_pass(_rmsprop_numbers, _rmsprop, 1)
_RMSPROP_MOMENTUM = one_pass(_rmsprop_numbers, _rmsprop_with_momentum, 2)
_CENTERED = one_pass(_rmsprop_numbers, _centered, 2)
_CENTERED_MOMENTUM = one_pass(_rmsprop_numbers, _centered_with_momentum, 3)


@kernel
def rmsprop(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, square: Array,
    velocity: Array | None, mean: Array | None, seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    given = g, hyper, step, blocks, p, seen, moved, square
    if velocity is None:
        return phases(_RMSPROP, *given) if mean is None else phases(_CENTERED, *given, mean)
    if mean is None:
        return phases(_RMSPROP_MOMENTUM, *given, velocity)
    return phases(_CENTERED_MOMENTUM, *given, velocity, mean)


@device
def _adagrad_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 4), m.shared
    c[0] = hyper[0] / (1 + m.ints[m.ints[w + STEP]] * hyper[1])
    c[1], c[2] = hyper[2], hyper[3]


@device
def _adagrad(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    rate, decay, eps, _, _, _, _, _, _, _ = c
    square, a, b = state
    d = x + decay * p
    square += d * d
    return p - rate * d / (sqrt(square) + eps), (square, a, b)


_ADAGRAD = one_pass(_adagrad_numbers, _adagrad, 1)


@kernel
def adagrad(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, square: Array,
    seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_ADAGRAD, g, hyper, step, blocks, p, seen, moved, square)


@device
def _adadelta_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 4), m.shared
    c[0] = hyper[0]
    c[1], c[2] = hyper[1], 1 - hyper[1]
    c[3], c[4] = hyper[2], hyper[3]


@device
def _adadelta(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    lr, rho, rest, eps, decay, _, _, _, _, _ = c
    square, square_delta, none = state
    d = x + decay * p
    square = rho * square + rest * d * d
    delta = sqrt((square_delta + eps) / (square + eps)) * d
    square_delta = rho * square_delta + rest * delta * delta
    return p - lr * delta, (square, square_delta, none)


_ADADELTA = one_pass(_adadelta_numbers, _adadelta, 2)


@kernel
def adadelta(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, square: Array,
    square_delta: Array, seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_ADADELTA, g, hyper, step, blocks, p, seen, moved, square, square_delta)


@device
def _sign(x: Any, one: Any) -> Any:
    """Of 0 and NaN, that."""
    below = -one if x < 0 else x
    return one if x > 0 else below


@device
def _rprop_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 5), m.shared
    c[0] = 1
    c[1], c[2] = hyper[1], hyper[2]
    c[3], c[4] = hyper[3], hyper[4]


@device
def _rprop(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    one, down, up, least, most, _, _, _, _, _ = c
    previous, size, none = state
    agree = x * previous  # previous is a sign, as the product of two small gradients would be 0
    other = down if agree < 0 else one
    size *= up if agree > 0 else other
    size = least if size < least else size
    size = most if size > most else size
    direction = one - one if agree < 0 else _sign(x, one)
    return p - direction * size, (direction, size, none)


_RPROP = one_pass(_rprop_numbers, _rprop, 2)


@kernel
def rprop(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, previous: Array,
    step_size: Array, seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_RPROP, g, hyper, step, blocks, p, seen, moved, previous, step_size)


@device
def _lion_numbers(m: Memory, w: int) -> None:
    hyper, c = part(m.doubles, m.ints[w + HYPER], 4), m.shared
    c[0] = 1
    c[1], c[2] = hyper[1], 1 - hyper[1]
    c[3], c[4] = hyper[2], 1 - hyper[2]
    c[5], c[6] = hyper[0], 1 - hyper[0] * hyper[3]


@device
def _lion(c: Numbers, x: Any, p: Any, state: State) -> tuple[Any, State]:
    one, beta1, rest1, beta2, rest2, rate, shrink, _, _, _ = c
    mean, a, b = state
    p = shrink * p - rate * _sign(beta1 * mean + rest1 * x, one)
    return p, (beta2 * mean + rest2 * x, a, b)


_LION = one_pass(_lion_numbers, _lion, 1)


@kernel
def lion(
    g: Array, hyper: Array, step: Array, blocks: Array | None, p: Array, mean: Array,
    seen: Array | None, moved: Array | None,
) -> list[Phase]:  # fmt: skip
    return phases(_LION, g, hyper, step, blocks, p, seen, moved, mean)
