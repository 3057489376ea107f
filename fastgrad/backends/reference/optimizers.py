"""The optimizers."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array


def sgd(g: Array, hyper: Array, step: Array, p: Array, velocity: Array | None) -> None:
    lr, momentum, dampening, weight_decay, nesterov = hyper
    d = g + weight_decay * p
    if velocity is not None:
        velocity[...] = d if step[0] == 0 else momentum * velocity + (1 - dampening) * d
        d = d + momentum * velocity if nesterov else velocity
    p -= (lr * d).astype(p.dtype)


def rmsprop(
    g: Array, hyper: Array, step: Array, p: Array, square: Array, velocity: Array | None
) -> None:
    lr, alpha, eps, weight_decay, momentum = hyper
    d = g + weight_decay * p
    square[...] = alpha * square + (1 - alpha) * d**2
    d = d / (np.sqrt(square) + eps)
    if velocity is not None:
        velocity[...] = momentum * velocity + d
        d = velocity
    p -= (lr * d).astype(p.dtype)


def adam(g: Array, hyper: Array, step: Array, p: Array, mean: Array, square: Array) -> None:
    lr, beta1, beta2, eps, weight_decay, decoupled = hyper
    t = step[0] + 1
    d = g
    if decoupled:
        p *= 1 - lr * weight_decay
    else:
        d = g + weight_decay * p
    mean[...] = beta1 * mean + (1 - beta1) * d
    square[...] = beta2 * square + (1 - beta2) * d**2
    correction = math.sqrt(1 - beta2**t)
    p -= (lr / (1 - beta1**t) * mean / (np.sqrt(square) / correction + eps)).astype(p.dtype)
