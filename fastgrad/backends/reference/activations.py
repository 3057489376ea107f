"""Activations, their slopes, and elementary functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastgrad.arena import Array
from fastgrad.custom import UserActivation

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


def sigmoid(z: Array) -> Array:
    t = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, t) / (1 + t))


def _erf(z: Array) -> Array:
    return np.vectorize(math.erf, otypes=[z.dtype])(z) if z.size else z


def _leaky(z: Array, alpha: float) -> Array:
    return np.where(z < 0, alpha * z, z)


def _elu(z: Array, alpha: float) -> Array:
    return np.where(z < 0, alpha * np.expm1(np.minimum(z, 0)), z)


def _gelu_tanh_inner(z: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))


ACTIVATIONS: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda z, alpha: z,
    "relu": lambda z, alpha: np.maximum(z, 0),
    "leaky_relu": _leaky,
    "elu": _elu,
    "selu": lambda z, alpha: SELU_SCALE * _elu(z, SELU_ALPHA),
    "gelu": lambda z, alpha: z * (1 + _erf(z / math.sqrt(2))) / 2,
    "gelu_tanh": lambda z, alpha: z * (1 + _gelu_tanh_inner(z)) / 2,
    "silu": lambda z, alpha: z * sigmoid(z),
    "softplus": lambda z, alpha: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "softsign": lambda z, alpha: z / (1 + np.abs(z)),
    "tanh": lambda z, alpha: np.tanh(z),
    "sigmoid": lambda z, alpha: sigmoid(z),
}

# f'(z) as a function of y = f(z) ...
SLOPES_FROM_OUTPUT: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda y, alpha: np.ones_like(y),
    "relu": lambda y, alpha: np.where(y > 0, 1, 0),
    "leaky_relu": lambda y, alpha: np.where(y > 0, 1, alpha),
    "elu": lambda y, alpha: np.where(y > 0, 1, y + alpha),
    "selu": lambda y, alpha: np.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
    "softplus": lambda y, alpha: -np.expm1(-y),
    "softsign": lambda y, alpha: (1 - np.abs(y)) ** 2,
    "tanh": lambda y, alpha: 1 - y**2,
    "sigmoid": lambda y, alpha: y * (1 - y),
}


def _gelu_tanh_slope(z: Array) -> Array:
    t = _gelu_tanh_inner(z)
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
    return np.asarray((1 + t) / 2 + z / 2 * (1 - t**2) * inner)


# ... or of z, for those that are not monotone
SLOPES_FROM_INPUT: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda z: (
        (1 + _erf(z / math.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    ),
    "gelu_tanh": _gelu_tanh_slope,
    "silu": lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
}


def activation_forward(
    x: Array, activation: str | UserActivation, alpha: float, y: Array, slope: Array | None
) -> None:
    if isinstance(activation, UserActivation):
        y[...], slopes = activation.evaluated(x)
        if slope is not None:
            slope[...] = slopes
        return
    if slope is not None and activation in SLOPES_FROM_INPUT:
        slope[...] = SLOPES_FROM_INPUT[activation](x)
    y[...] = ACTIVATIONS[activation](x, alpha)


def activation_backward(
    y: Array,
    slope: Array | None,
    dy: Array,
    activation: str | UserActivation,
    alpha: float,
    dx: Array,
) -> None:
    if isinstance(activation, UserActivation) or activation in SLOPES_FROM_INPUT:
        dx[...] = dy * slope
    else:
        dx[...] = dy * SLOPES_FROM_OUTPUT[activation](y, alpha)


def elementwise(function: str, x: Array, out: Array) -> None:
    own = {"sigmoid": sigmoid, "erf": _erf}
    compute = own[function] if function in own else getattr(np, function)
    with np.errstate(all="ignore"):
        out[...] = compute(x)
