"""Critical initialization: neither the signal nor the gradient changes its size with depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastgrad.initializers.base import Initializer
from fastgrad.initializers.draws import normal
from fastgrad.initializers.functions import Elementwise
from fastgrad.initializers.mean_field import MeanField
from fastgrad.initializers.scaling import Distribution, variance_scaling

_ROUNDING = 1e-9  # of q: what quadrature may leave of a sigma_b^2 that is 0


@dataclass(frozen=True)
class CriticalPoint:
    """Deviations at which q is a fixed point and chi is 1.

    Attributes
    ----------
    sigma_w, sigma_b : float
        Weights have the variance ``sigma_w^2 / fan_in``, biases ``sigma_b^2``.
    q : float
        Variance of the pre-activations in every layer.
    length_slope : float
        `MeanField.length_slope` there. Below 1, q comes back to the fixed point; at 1, as for relu,
        it stays where the inputs put it; above 1 it leaves.
    """

    sigma_w: float
    sigma_b: float
    q: float
    length_slope: float


def critical_point(
    activation: str | Elementwise,
    derivative: Elementwise | None = None,
    *,
    q: float = 1.0,
    alpha: float | None = None,
) -> CriticalPoint:
    """Solve ``chi = 1`` and ``q = sigma_w^2 E[phi^2] + sigma_b^2``: the edge of chaos.

    For each q that is ``sigma_w^2 = 1 / E[phi'^2]`` and ``sigma_b^2 = q - E[phi^2] / E[phi'^2]``
    (Schoenholz et al. 2017, arXiv:1611.01232; Hayou et al. 2019, arXiv:1902.06853). For relu and
    leaky_relu it is He's, at any q.

    Parameters
    ----------
    activation, derivative, alpha
        As for `MeanField`.
    q : float
        Variance of the pre-activations, greater than 0.

    Returns
    -------
    CriticalPoint

    Raises
    ------
    ValueError
        If there is none, as sigma_b^2 would be negative: with a slope so small for its mean, the
        activation makes more signal than q. So it is for sigmoid, whose q must be 45.63 at least,
        deep in saturation, and for softplus, which has none at any q. The message names the
        nearest q that has one. No nearest weights are returned in its place, since they would
        vanish or explode after all; take another activation, or a normalization layer.

    Notes
    -----
    By Poincare's inequality Var[phi] <= q E[phi'^2], so that an activation of mean 0 has a critical
    point at every q. gelu and silu have one, but it does not attract: `length_slope` is 1.07 and
    1.10 at q = 1, so that a deviation of q doubles in 10 and in 7 layers.
    """
    field = MeanField(activation, derivative, alpha=alpha)
    sigma_w2, sigma_b2 = _variances(field, q)
    if sigma_b2 < 0:
        near = _nearest(field, q)
        where = "nor at any other" if near is None else f"the nearest q that has one is {near:.4g}"
        raise ValueError(
            f"activation: {field.function.name} has no critical point at q = {q:g}, where "
            f"sigma_b^2 would be {sigma_b2:.4g}; {where}"
        )
    sigma_w = math.sqrt(sigma_w2)
    return CriticalPoint(sigma_w, math.sqrt(sigma_b2), float(q), field.length_slope(q, sigma_w))


def critical(
    activation: str | Elementwise,
    derivative: Elementwise | None = None,
    *,
    q: float = 1.0,
    alpha: float | None = None,
    distribution: Distribution = "normal",
) -> Initializer:
    """Weights with the sigma_w of `critical_point`; `critical_bias` makes the biases that go along.

    Parameters
    ----------
    activation, derivative, q, alpha
        As for `critical_point`.
    distribution : {"normal", "truncated_normal", "uniform", "orthogonal"}
        "orthogonal" also keeps the gradients of single layers together, which a tanh network
        trains faster by (Pennington et al. 2017, arXiv:1711.04735).

    Returns
    -------
    Initializer
        `variance_scaling` with the scale ``sigma_w^2`` and the mode "fan_in".

    Notes
    -----
    Inputs of mean square ``(q - sigma_b^2) / sigma_w^2`` start at q; others drift there where
    `CriticalPoint.length_slope` is below 1.
    """
    point = critical_point(activation, derivative, q=q, alpha=alpha)
    return variance_scaling(point.sigma_w**2, "fan_in", distribution)


def critical_bias(
    activation: str | Elementwise,
    derivative: Elementwise | None = None,
    *,
    q: float = 1.0,
    alpha: float | None = None,
) -> Initializer:
    """Biases with the sigma_b of `critical_point`: normal, or 0 for relu and leaky_relu.

    Parameters
    ----------
    activation, derivative, q, alpha
        As for `critical_point`.
    """
    return normal(critical_point(activation, derivative, q=q, alpha=alpha).sigma_b)


def _variances(field: MeanField, q: float) -> tuple[float, float]:
    """sigma_w^2 and sigma_b^2, which is negative where there is no critical point."""
    second, slope = field.second_moment(q), field.slope_moment(q)
    if not slope > 0:
        raise ValueError(f"activation: {field.function.name} has no slope at q = {q:g}")
    sigma_b2 = q - second / slope
    return 1 / slope, 0.0 if abs(sigma_b2) <= _ROUNDING * q else sigma_b2


def _nearest(field: MeanField, q: float) -> float | None:
    """The q with a critical point whose ratio to this one is closest to 1, within 2^20."""

    def exists(exponent: float) -> bool:
        try:
            return _variances(field, q * 2.0**exponent)[1] >= 0
        except ValueError:  # not finite that far out
            return False

    candidates = [sign * k for k in range(1, 21) for sign in (1, -1)]
    far = next((k for k in candidates if exists(k)), None)
    if far is None:
        return None
    no, yes = far - math.copysign(1, far), float(far)
    while abs(yes - no) > 1e-4:
        middle = (no + yes) / 2
        no, yes = (no, middle) if exists(middle) else (middle, yes)
    return float(q * 2.0**yes)
