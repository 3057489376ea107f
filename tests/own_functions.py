"""Activations and losses as a user writes them: those that the package has, too, and others."""

from __future__ import annotations

import functools
import math

import numpy as np

import fastgrad as fg


def relu(z):
    return z if z > 0 else 0


def leaky_relu(z, alpha=0.2):
    if z < 0:
        return alpha * z
    return z


def elu(z, alpha=0.7):
    y = alpha * math.expm1(z)
    if z > 0:
        y = z
    return y


def gelu(z):
    return z * normal(z)


def normal(z):
    """A helper that an activation calls."""
    return (1 + math.erf(z / math.sqrt(2))) / 2


def gelu_tanh(z):
    return z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


def silu(z):
    return z / (1 + math.exp(-z))


def softplus(z):
    return max(z, 0) + np.log1p(np.exp(-abs(z)))


def softsign(z):
    return z / (1 + np.abs(z))


def tanh(z):
    return math.tanh(z)


def sigmoid(z):
    e = math.exp(-abs(z))
    return np.where(z < 0, e, 1) / (1 + e)


# by name, the alpha of the package's own
ALPHAS = {"leaky_relu": 0.2, "elu": 0.7}
ACTIVATIONS = [
    relu, leaky_relu, elu, gelu, gelu_tanh, silu, softplus, softsign, tanh, sigmoid,
]  # fmt: skip


def mse(z, target):
    return (z - target) ** 2


def mae(z, target):
    return abs(z - target)


def huber(z, target, delta=0.7):
    d = abs(z - target)
    return d * d / 2 if d <= delta else delta * (d - delta / 2)


def binary_cross_entropy(z, target):
    return max(z, 0) - z * target + math.log1p(math.exp(-abs(z)))


LOSSES = [mse, mae, huber, binary_cross_entropy]


@functools.cache
def activation(function):
    """The function, decorated once for all tests."""
    return fg.activation(function)


@functools.cache
def loss(function):
    return fg.loss(function)
