"""Activations and their slopes, a number at a time.

design:
 a) An activation is three device functions, which a kernel chooses when it is recorded: its phases
    are compiled for this one activation, and ask for none at run time.
 b) Comparisons are written so that NaN passes through.
 c) alpha is a number of the program's dtype.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from fastgrad.backends.contract import needs_slope
from fastgrad.backends.cuda import users
from fastgrad.backends.cuda.device import device, number
from fastgrad.backends.cuda.elementary import exp, expm1, log1p, tanh
from fastgrad.backends.cuda.memory import Memory
from fastgrad.custom import UserActivation

Function = Callable[..., Any]

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
SELU_BELOW = SELU_SCALE * SELU_ALPHA
SQRT_HALF = math.sqrt(0.5)
NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)
SQRT_2_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715


@device
def sigmoid(m: Memory, z: float) -> float:
    """1 / (1 + e^-z)."""
    one = number(m.reals, 1.0)
    t = exp(-abs(z))
    return (t if z < number(m.reals, 0.0) else one) / (one + t)


@device
def erf(m: Memory, z: float) -> float:
    """The error function."""
    return number(m.reals, math.erf(z))


@device
def _normal(m: Memory, z: float) -> float:
    """The probability that a normal number is below z."""
    return number(m.reals, 0.5) * (number(m.reals, 1.0) + erf(m, number(m.reals, SQRT_HALF) * z))


@device
def _about_normal(m: Memory, z: float) -> float:
    """tanh, of which `gelu_tanh` makes what `gelu` makes of erf."""
    return tanh(number(m.reals, SQRT_2_PI) * (z + number(m.reals, CUBIC) * z * z * z))


# y = f(z)


@device
def _identity(m: Memory, z: float, alpha: float) -> float:
    return z


@device
def _relu(m: Memory, z: float, alpha: float) -> float:
    zero = number(m.reals, 0.0)
    return zero if z < zero else z


@device
def _leaky_relu(m: Memory, z: float, alpha: float) -> float:
    return alpha * z if z < number(m.reals, 0.0) else z


@device
def _elu(m: Memory, z: float, alpha: float) -> float:
    return alpha * expm1(z) if z < number(m.reals, 0.0) else z


@device
def _selu(m: Memory, z: float, alpha: float) -> float:
    below = number(m.reals, SELU_BELOW) * expm1(z)
    return below if z < number(m.reals, 0.0) else number(m.reals, SELU_SCALE) * z


@device
def _gelu(m: Memory, z: float, alpha: float) -> float:
    return z * _normal(m, z)


@device
def _gelu_tanh(m: Memory, z: float, alpha: float) -> float:
    return number(m.reals, 0.5) * z * (number(m.reals, 1.0) + _about_normal(m, z))


@device
def _silu(m: Memory, z: float, alpha: float) -> float:
    return z * sigmoid(m, z)


@device
def _softplus(m: Memory, z: float, alpha: float) -> float:
    zero = number(m.reals, 0.0)
    return (zero if z < zero else z) + log1p(exp(-abs(z)))


@device
def _softsign(m: Memory, z: float, alpha: float) -> float:
    return z / (number(m.reals, 1.0) + abs(z))


@device
def _tanh(m: Memory, z: float, alpha: float) -> float:
    return tanh(z)


@device
def _sigmoid(m: Memory, z: float, alpha: float) -> float:
    return sigmoid(m, z)


# f'(z) of z, for those that are not monotone


@device
def _gelu_slope(m: Memory, z: float, y: float, alpha: float) -> float:
    density = number(m.reals, NORMAL_PEAK) * exp(number(m.reals, -0.5) * z * z)
    return _normal(m, z) + z * density


@device
def _gelu_tanh_slope(m: Memory, z: float, y: float, alpha: float) -> float:
    one, half = number(m.reals, 1.0), number(m.reals, 0.5)
    t = _about_normal(m, z)
    inner = number(m.reals, SQRT_2_PI) * (one + number(m.reals, 3 * CUBIC) * z * z)
    return half * (one + t) + half * z * (one - t * t) * inner


@device
def _silu_slope(m: Memory, z: float, y: float, alpha: float) -> float:
    s = sigmoid(m, z)
    return s + z * s * (number(m.reals, 1.0) - s)


# f'(z) of y = f(z), for the others


@device
def _kept(m: Memory, y: float, slope: float, alpha: float) -> float:
    """Of those whose forward pass leaves it in `slope`."""
    return slope


@device
def _one(m: Memory, y: float, slope: float, alpha: float) -> float:
    return number(m.reals, 1.0)


@device
def _relu_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    zero = number(m.reals, 0.0)
    return number(m.reals, 1.0) if y > zero else zero


@device
def _leaky_relu_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    return number(m.reals, 1.0) if y > number(m.reals, 0.0) else alpha


@device
def _elu_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    return number(m.reals, 1.0) if y > number(m.reals, 0.0) else y + alpha


@device
def _selu_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    below = y + number(m.reals, SELU_BELOW)
    return number(m.reals, SELU_SCALE) if y > number(m.reals, 0.0) else below


@device
def _softplus_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    return -expm1(-y)


@device
def _softsign_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    t = number(m.reals, 1.0) - abs(y)
    return t * t


@device
def _tanh_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    return number(m.reals, 1.0) - y * y


@device
def _sigmoid_derivative(m: Memory, y: float, slope: float, alpha: float) -> float:
    return y * (number(m.reals, 1.0) - y)


_FORWARD: dict[str, Function] = {
    "identity": _identity,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": _silu,
    "softplus": _softplus,
    "softsign": _softsign,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
}
_SLOPE: dict[str, Function] = {
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "silu": _silu_slope,
}
_DERIVATIVE: dict[str, Function] = {
    "identity": _one,
    "relu": _relu_derivative,
    "leaky_relu": _leaky_relu_derivative,
    "elu": _elu_derivative,
    "selu": _selu_derivative,
    "softplus": _softplus_derivative,
    "softsign": _softsign_derivative,
    "tanh": _tanh_derivative,
    "sigmoid": _sigmoid_derivative,
}


@functools.cache
def forward_of(activation: str | UserActivation) -> Function:
    """The device function ``(m, z, alpha) -> y``."""
    return users.value_of(activation) if not isinstance(activation, str) else _FORWARD[activation]


@functools.cache
def slope_of(activation: str | UserActivation) -> Function:
    """The device function ``(m, z, y, alpha) -> f'(z)``, for what `slope` holds."""
    if not isinstance(activation, str):
        return users.slope_of(activation)
    if activation in _SLOPE:
        return _SLOPE[activation]
    derivative = _DERIVATIVE[activation]

    @device
    def slope(m: Memory, z: float, y: float, alpha: float) -> float:
        return derivative(m, y, y, alpha)

    return slope


@functools.cache
def derivative_of(activation: str | UserActivation) -> Function:
    """The device function ``(m, y, slope, alpha) -> f'``; `slope` counts for those that need one.

    To others, any number can be given as `slope`.
    """
    return _kept if needs_slope(activation) else _DERIVATIVE[str(activation)]
