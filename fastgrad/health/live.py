"""Where activations are alive: where their slope is at least a hundredth of its largest one."""

from __future__ import annotations

import math

from fastgrad.backends.contract import needs_slope
from fastgrad.custom import UserActivation

LEAST = 0.01  # of the largest slope

# of the activations whose slope is no function of y, the largest slope
_STEEPEST = {"gelu": 1.12890, "gelu_tanh": 1.12890, "silu": 1.09984}
_SELU_LAMBDA, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def live_range(activation: str | UserActivation, alpha: float) -> tuple[float, float] | None:
    """Outputs y of an activation that is alive, ``low < y < high``; None where it always is.

    Of those that `needs_slope` names it is the square of the slope that lies between them.
    """
    if needs_slope(activation):
        return live_slopes(activation, alpha)
    if activation == "relu" or (activation == "leaky_relu" and alpha < LEAST):
        return 0.0, math.inf
    if activation == "elu":  # the slope is y + alpha where y < 0
        return LEAST * max(alpha, 1) - alpha, math.inf
    if activation == "selu":
        steepest = _SELU_LAMBDA * _SELU_ALPHA
        return LEAST * steepest - steepest, math.inf
    if activation == "softplus":  # 1 - exp(-y)
        return -math.log1p(-LEAST), math.inf
    if activation == "softsign":  # (1 - |y|)^2
        bound = 1 - math.sqrt(LEAST)
        return -bound, bound
    if activation == "tanh":  # 1 - y^2
        bound = math.sqrt(1 - LEAST)
        return -bound, bound
    if activation == "sigmoid":  # y (1 - y), at most a quarter
        half = math.sqrt(1 - LEAST) / 2
        return 0.5 - half, 0.5 + half
    return None


def live_slopes(activation: str | UserActivation, alpha: float) -> tuple[float, float]:
    """The same of the squares of slopes, for any activation that has such a range."""
    if isinstance(activation, UserActivation):
        return (LEAST * activation.steepest) ** 2, math.inf
    steepest = _STEEPEST.get(activation, 1.0)
    if activation == "elu":
        steepest = max(alpha, 1)
    if activation == "selu":
        steepest = _SELU_LAMBDA * _SELU_ALPHA
    if activation == "sigmoid":
        steepest = 0.25
    return (LEAST * steepest) ** 2, math.inf
