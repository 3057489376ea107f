"""The optimizers."""

from __future__ import annotations

import itertools
import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.probe import watched


@watched
def sgd(g: Array, hyper: Array, step: Array, p: Array, velocity: Array | None) -> None:
    lr, momentum, dampening, weight_decay, nesterov = hyper
    d = g + weight_decay * p
    if velocity is not None:
        velocity[...] = d if step[0] == 0 else momentum * velocity + (1 - dampening) * d
        d = d + momentum * velocity if nesterov else velocity
    p -= (lr * d).astype(p.dtype)


@watched
def rmsprop(
    g: Array,
    hyper: Array,
    step: Array,
    p: Array,
    square: Array,
    velocity: Array | None,
    mean: Array | None,
) -> None:
    lr, alpha, eps, weight_decay, momentum = hyper
    d = g + weight_decay * p
    square[...] = alpha * square + (1 - alpha) * d**2
    variance = square
    if mean is not None:
        mean[...] = alpha * mean + (1 - alpha) * d
        variance = np.maximum(square - mean**2, 0)
    d = d / (np.sqrt(variance) + eps)
    if velocity is not None:
        velocity[...] = momentum * velocity + d
        d = velocity
    p -= (lr * d).astype(p.dtype)


@watched
def adagrad(g: Array, hyper: Array, step: Array, p: Array, square: Array) -> None:
    lr, lr_decay, weight_decay, eps = hyper
    d = g + weight_decay * p
    square += (d**2).astype(p.dtype)
    p -= (lr / (1 + step[0] * lr_decay) * d / (np.sqrt(square) + eps)).astype(p.dtype)


@watched
def adadelta(
    g: Array, hyper: Array, step: Array, p: Array, square: Array, square_delta: Array
) -> None:
    lr, rho, eps, weight_decay = hyper
    d = g + weight_decay * p
    square[...] = rho * square + (1 - rho) * d**2
    delta = np.sqrt(square_delta + eps) / np.sqrt(square + eps) * d
    square_delta[...] = rho * square_delta + (1 - rho) * delta**2
    p -= (lr * delta).astype(p.dtype)


@watched
def rprop(g: Array, hyper: Array, step: Array, p: Array, previous: Array, step_size: Array) -> None:
    _, down, up, least, most = hyper
    agree = np.sign(g) * previous
    step_size *= np.where(agree > 0, up, np.where(agree < 0, down, 1)).astype(p.dtype)
    np.clip(step_size, least, most, out=step_size)
    previous[...] = np.where(agree < 0, 0, np.sign(g))
    p -= previous * step_size


@watched
def lion(g: Array, hyper: Array, step: Array, p: Array, mean: Array) -> None:
    lr, beta1, beta2, weight_decay = hyper
    update = np.sign(beta1 * mean + (1 - beta1) * g) + weight_decay * p
    mean[...] = beta2 * mean + (1 - beta2) * g
    p -= (lr * update).astype(p.dtype)


def _decayed(g: Array, p: Array, lr: float, weight_decay: float, decoupled: float) -> Array:
    """Weight decay of the gradient or, if decoupled, of the parameters themselves."""
    if decoupled:
        p *= 1 - lr * weight_decay
        return g
    d: Array = g + weight_decay * p
    return d


@watched
def adam(
    g: Array, hyper: Array, step: Array, p: Array, mean: Array, square: Array, largest: Array | None
) -> None:
    lr, beta1, beta2, eps, weight_decay, decoupled, factor = hyper
    lr, t = lr * factor, step[0] + 1
    d = _decayed(g, p, lr, weight_decay, decoupled)
    mean[...] = beta1 * mean + (1 - beta1) * d
    square[...] = beta2 * square + (1 - beta2) * d**2
    of_size = square
    if largest is not None:
        np.maximum(largest, square, out=largest)
        of_size = largest
    correction = math.sqrt(1 - beta2**t)
    p -= (lr / (1 - beta1**t) * mean / (np.sqrt(of_size) / correction + eps)).astype(p.dtype)


@watched
def adamax(g: Array, hyper: Array, step: Array, p: Array, mean: Array, largest: Array) -> None:
    lr, beta1, beta2, eps, weight_decay = hyper
    d = g + weight_decay * p
    mean[...] = beta1 * mean + (1 - beta1) * d
    largest[...] = np.maximum(beta2 * largest, np.abs(d) + eps)
    p -= (lr / (1 - beta1 ** (step[0] + 1)) * mean / largest).astype(p.dtype)


@watched
def nadam(g: Array, hyper: Array, step: Array, p: Array, mean: Array, square: Array) -> None:
    lr, beta1, beta2, eps, weight_decay, decoupled, momentum_decay = hyper
    t = int(step[0]) + 1
    d = _decayed(g, p, lr, weight_decay, decoupled)
    mean[...] = beta1 * mean + (1 - beta1) * d
    square[...] = beta2 * square + (1 - beta2) * d**2
    mu = beta1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * momentum_decay))
    of_gradient, of_mean = (1 - mu[-2]) / (1 - mu[:-1].prod()), mu[-1] / (1 - mu.prod())
    root = np.sqrt(square / (1 - beta2**t)) + eps
    p -= (lr * (of_gradient * d + of_mean * mean) / root).astype(p.dtype)


@watched
def radam(g: Array, hyper: Array, step: Array, p: Array, mean: Array, square: Array) -> None:
    lr, beta1, beta2, eps, weight_decay, decoupled = hyper
    t = step[0] + 1
    d = _decayed(g, p, lr, weight_decay, decoupled)
    mean[...] = beta1 * mean + (1 - beta1) * d
    square[...] = beta2 * square + (1 - beta2) * d**2
    update = mean / (1 - beta1**t)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length > 5:
        rectified = (length - 4) * (length - 2) * longest
        rectified /= (longest - 4) * (longest - 2) * length
        update = update * math.sqrt(rectified * (1 - beta2**t)) / (np.sqrt(square) + eps)
    p -= (lr * update).astype(p.dtype)


def _ratio(p: Array, update: Array, coefficient: float = 1.0, eps: float = 0.0) -> float:
    norms = [math.sqrt((x.astype(np.float64) ** 2).sum()) for x in (p, update)]
    return coefficient * norms[0] / (norms[1] + eps) if all(norms) else 1.0


def lamb(
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
    lr, beta1, beta2, eps, weight_decay = hyper
    t = step[0] + 1
    mean[...] = beta1 * mean + (1 - beta1) * g
    square[...] = beta2 * square + (1 - beta2) * g**2
    adapted = mean / (1 - beta1**t) / (np.sqrt(square / (1 - beta2**t)) + eps)
    update[...] = adapted + weight_decay * p
    for group, (start, stop) in enumerate(itertools.pairwise(blocks[groups])):
        ratios[group] = _ratio(p[start:stop], update[start:stop])
        p[start:stop] -= (lr * ratios[group] * update[start:stop]).astype(p.dtype)


def lars(
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
    lr, momentum, weight_decay, trust_coefficient, eps, nesterov = hyper
    update[...] = g + weight_decay * p
    for group, (start, stop) in enumerate(itertools.pairwise(blocks[groups])):
        d = update[start:stop]
        ratios[group] = _ratio(p[start:stop], d, trust_coefficient, eps)
        d = lr * ratios[group] * d
        if velocity is not None:
            v = velocity[start:stop]
            v[...] = momentum * v + d
            d = d + momentum * v if nesterov else v
        p[start:stop] -= d.astype(p.dtype)


def muon(
    g: Array,
    hyper: Array,
    p: Array,
    mean: Array,
    x: Array,
    y: Array,
    gram: Array,
    polynomial: Array,
    squares: Array,
) -> None:
    lr, momentum, nesterov, weight_decay, eps, a, b, c, ns_steps, match_rms = hyper[
        [0, *range(7, 16)]
    ]
    mean[...] = momentum * mean + (1 - momentum) * g
    u = momentum * mean + (1 - momentum) * g if nesterov else mean
    u = (u if len(u) <= len(u.T) else u.T).astype(p.dtype)
    u = u / p.dtype.type(max(math.sqrt((u.astype(np.float64) ** 2).sum()), eps))
    a, b, c = np.array([a, b, c], p.dtype)
    for _ in range(int(ns_steps)):
        gram[...] = u @ u.T
        u = a * u + (b * gram + c * gram @ gram) @ u
    rows, columns = p.shape
    ratio = 0.2 * math.sqrt(max(rows, columns)) if match_rms else math.sqrt(max(1, rows / columns))
    p *= 1 - lr * weight_decay
    p -= (lr * ratio * (u if rows <= columns else u.T)).astype(p.dtype)
