"""Which gain, and which initializer, an activation asks for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

from fastgrad.initializers.base import Initializer
from fastgrad.initializers.checks import unknown
from fastgrad.initializers.functions import Elementwise
from fastgrad.initializers.mean_field import MeanField
from fastgrad.initializers.scaling import (
    he_normal,
    lecun_normal,
    rectifier_scale,
    variance_scaling,
    xavier_uniform,
)

# Activation: its gain, and the initializer of the weights in front of it. The gains of identity to
# selu are PyTorch's; the others are 1 / sqrt(E[phi(z)^2]) for z ~ N(0, 1), the rule behind sqrt(2).
_ACTIVATIONS: Mapping[str, tuple[float, Callable[[], Initializer]]] = {
    "identity": (1.0, xavier_uniform),
    "sigmoid": (1.0, xavier_uniform),
    "tanh": (5.0 / 3.0, xavier_uniform),
    "relu": (math.sqrt(2.0), he_normal),
    "selu": (3.0 / 4.0, lecun_normal),
    "elu": (1.2451983007007066, he_normal),
    "gelu": (1.5335304411955353, he_normal),
    "gelu_tanh": (1.5335304411955353, he_normal),
    "silu": (1.6765324703310909, he_normal),
    "softplus": (1.0418668355353016, he_normal),
    "softsign": (2.3375333631085398, xavier_uniform),
}


def gain(activation: str | Elementwise, negative_slope: float = 0.01) -> float:
    """Factor on the standard deviation of the weights in front of an activation.

    Parameters
    ----------
    activation : str or callable
        "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
        "softsign", "tanh" or "sigmoid"; ValueError for another. Or a function of an array, as for
        `MeanField`.
    negative_slope : float
        Of "leaky_relu"; the others ignore it.

    Returns
    -------
    float
        ``torch.nn.init.calculate_gain``: identity and sigmoid 1, tanh 5/3, relu sqrt(2), leaky_relu
        ``sqrt(2 / (1 + negative_slope^2))``, selu 3/4 (empirical; to normalize itself it needs 1).
        Where PyTorch has none, ``1 / sqrt(E[phi(z)^2])`` for z ~ N(0, 1): elu (alpha 1) 1.245, gelu
        1.534, silu 1.677, softplus 1.042, softsign 2.338, and whatever function is given.
    """
    if callable(activation):
        moment = MeanField(activation).second_moment()
        if not moment > 0:
            raise ValueError(f"activation: expected a function that is not 0, got {activation!r}")
        return 1.0 / math.sqrt(moment)
    return _activation(activation, negative_slope)[0]


def for_activation(activation: str | Elementwise, negative_slope: float = 0.01) -> Initializer:
    """Choose the initializer of the weights in front of an activation: the default of a layer.

    Parameters
    ----------
    activation, negative_slope
        As for `gain`.

    Returns
    -------
    Initializer
        `he_normal` for relu, leaky_relu (with its slope), elu, gelu, silu and softplus;
        `lecun_normal` for selu; `xavier_uniform` for identity, tanh, sigmoid and softsign. For a
        function, normal weights of variance ``gain^2 / fan_in``.
    """
    if not isinstance(activation, str):
        return variance_scaling(gain(activation) ** 2, "fan_in", "normal")
    return _activation(activation, negative_slope)[1]()


def _activation(name: str, negative_slope: float) -> tuple[float, Callable[[], Initializer]]:
    if name == "leaky_relu":
        init = functools.partial(he_normal, negative_slope)
        return math.sqrt(rectifier_scale(negative_slope)), init
    if name not in _ACTIVATIONS:
        raise unknown("activation", name, [*_ACTIVATIONS, "leaky_relu"])
    return _ACTIVATIONS[name]
