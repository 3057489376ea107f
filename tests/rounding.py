"""How far rounding may take a result: bounds that follow from the operations, none fitted.

A bound is a count of roundings times the magnitudes of the terms that were rounded, times eps: half
of it is what one rounding may do, and both sides of a comparison have been rounded.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

# Activations with the alphas to test, 0 where there is none.
ACTIVATIONS = [
    ("identity", 0.0),
    ("relu", 0.0),
    ("leaky_relu", 0.01),
    ("leaky_relu", 0.2),
    ("elu", 1.0),
    ("elu", 0.7),
    ("selu", 0.0),
    ("gelu", 0.0),
    ("gelu_tanh", 0.0),
    ("silu", 0.0),
    ("softplus", 0.0),
    ("softsign", 0.0),
    ("tanh", 0.0),
    ("sigmoid", 0.0),
]
STORED = {"gelu", "gelu_tanh", "silu"}  # the forward pass stores their slopes
# The largest slope and third derivative of all; neither a stored slope nor its slope is as steep.
STEEPEST, MOST_CURVED = 1.76, 6.0

# A step at which truncation, H^2, and rounding, eps / H, are alike in float64
H = 6e-6


def rounding(terms, dtype, count=20):
    """For terms of this size, or that of the smallest normal number, below which none is finer.

    20 roundings are those of four operations and of two functions that err by 4 ulp.
    """
    info = np.finfo(dtype)
    return count * float(info.eps) * (np.abs(terms) + float(info.tiny))


def assert_within(got, expected, bound, what="") -> None:
    """|got - expected| <= bound for every element; infinities and NaN must be the same."""
    got, expected, bound = np.broadcast_arrays(np.asarray(got, np.float64), expected, bound)
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected)
        good = (error <= bound) | (got == expected) | (np.isnan(got) & np.isnan(expected))
    if not good.all():
        i = tuple(np.argwhere(~good)[0])
        raise AssertionError(
            f"{what}: {np.count_nonzero(~good)} of {good.size} are wrong, first at {i}:"
            f" got {got[i]!r}, expected {expected[i]!r} within {bound[i]:.3g}"
        )


def output_bound(name, z, y, dtype):
    """For y = f(z) of the same z. The gelus add to 1 what may be close to -1."""
    flushed = np.abs(z) * float(np.finfo(dtype).tiny)  # z times what counts as zero
    return rounding(np.abs(z) if name.startswith("gelu") else y, dtype) + flushed


def stored_slope_bound(name, z, dtype):
    """For f'(z) of the same z: a sum whose terms cancel."""
    size = np.abs(z)
    terms = {
        "silu": expit(z) * (1 + 2 * size),
        # in exp(-z^2 / 2) the argument is rounded, too
        "gelu": 1 + size * np.exp(-(z**2) / 2) * (1 + z**2 / 2),
        "gelu_tanh": 1 + size * (1 + 3 * 0.044715 * z**2),
    }
    flushed = size * float(np.finfo(dtype).tiny)  # z times what counts as zero
    return rounding(terms[name], dtype) + flushed


def slope_bound(name, y, slope, dtype):
    """For f'(z) as a function of the same y, which is a difference for some."""
    cancelled = np.zeros_like(y)
    if name in ("tanh", "sigmoid"):  # 1 - y^2, y - y^2
        cancelled = y**2
    elif name in ("elu", "selu"):  # y + alpha
        cancelled = np.minimum(y, 0)
    return rounding(np.abs(slope) + 2 * np.abs(cancelled), dtype)


def central_difference(f, x, direction):
    """The slope of f at x along a direction, in float64."""
    return (f(x + H * direction) - f(x - H * direction)) / (2 * H)
