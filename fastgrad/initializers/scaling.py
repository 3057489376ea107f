"""Draws whose variance depends on the fans: `variance_scaling`, and its names in the field."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from fastgrad.initializers.base import Initializer, fans
from fastgrad.initializers.checks import Array, number, unknown
from fastgrad.initializers.draws import truncated_normal
from fastgrad.initializers.matrices import orthogonal

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["normal", "truncated_normal", "uniform", "orthogonal"]

# Standard deviation of a standard normal cut at +-2: sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)).
TRUNCATED_STD = 0.87962566103423978


def variance_scaling(
    scale: float = 1.0, mode: Mode = "fan_in", distribution: Distribution = "truncated_normal"
) -> Initializer:
    """Draw with mean 0 and variance ``scale / fan``: the one law behind Xavier, He and LeCun.

    Parameters
    ----------
    scale : float
        At least 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        The fan; "fan_avg" is the mean of both.
    distribution : {"normal", "truncated_normal", "uniform", "orthogonal"}
        The truncated one is cut at two standard deviations and has that variance after the cut;
        with it these are the laws of JAX and Keras, whose "normal" it is. "orthogonal" is the
        multiple of a Haar random matrix whose entries have that variance; in "fan_in" it keeps
        lengths as the others do on average, whichever side is longer.
    """
    scale = number("scale", scale, minimum=0.0)
    for name, given, allowed in (
        ("mode", mode, get_args(Mode)),
        ("distribution", distribution, get_args(Distribution)),
    ):
        if given not in allowed:
            raise unknown(name, given, allowed)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        std = math.sqrt(scale / fan)
        if distribution == "uniform":
            return std * rng.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape)
        if distribution == "normal":
            return std * rng.standard_normal(shape)
        if distribution == "orthogonal":
            longer = max(shape[0], math.prod(shape[1:]))  # entries have the variance 1 / longer
            return orthogonal(std * math.sqrt(longer)).draw(shape, rng)
        return truncated_normal(std / TRUNCATED_STD).draw(shape, rng)

    settings = (("scale", scale), ("mode", mode), ("distribution", distribution))
    return Initializer("variance_scaling", settings, draw)


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform, variance ``gain^2 / fan_avg``: Glorot and Bengio 2010, eq. 16; ``gain >= 0``."""
    return variance_scaling(_xavier_scale(gain), "fan_avg", "uniform")


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal, variance ``gain^2 / fan_avg``: Glorot and Bengio 2010, eq. 12; ``gain >= 0``."""
    return variance_scaling(_xavier_scale(gain), "fan_avg", "normal")


def he_uniform(negative_slope: float = 0.0, mode: Mode = "fan_in") -> Initializer:
    """Uniform, variance ``2 / ((1 + negative_slope^2) fan)``: see `he_normal`."""
    return variance_scaling(rectifier_scale(negative_slope), mode, "uniform")


def he_normal(negative_slope: float = 0.0, mode: Mode = "fan_in") -> Initializer:
    """Normal, variance ``2 / ((1 + negative_slope^2) fan)``: He et al. 2015, eq. 15.

    "fan_in" keeps the variance of the signal (eq. 10), "fan_out" that of the gradient (eq. 14).
    """
    return variance_scaling(rectifier_scale(negative_slope), mode, "normal")


def lecun_uniform() -> Initializer:
    """Uniform, variance ``1 / fan_in``: LeCun et al. 1998, Efficient BackProp, eq. 16."""
    return variance_scaling(1.0, "fan_in", "uniform")


def lecun_normal() -> Initializer:
    """Normal, variance ``1 / fan_in``: Klambauer et al. 2017, "Initialization", for SELU."""
    return variance_scaling(1.0, "fan_in", "normal")


def torch_default() -> Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): the weights of ``torch.nn.Linear``.

    PyTorch draws the bias within the same bounds, with the `fan_in` of its weight.
    """
    return variance_scaling(1.0 / 3.0, "fan_in", "uniform")


def rectifier_scale(negative_slope: float) -> float:
    """Make up for the half of the signal that a rectifier cuts off."""
    slope = number("negative_slope", negative_slope)
    return 2.0 / (1.0 + slope * slope)


def _xavier_scale(gain: float) -> float:
    gain = number("gain", gain, minimum=0.0)
    return gain * gain
