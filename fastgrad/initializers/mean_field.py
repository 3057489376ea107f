"""Signal and gradient of wide random networks, as functions of the variance of the weights."""

from __future__ import annotations

import numpy as np

from fastgrad.initializers.checks import Array, number
from fastgrad.initializers.functions import Elementwise, function
from fastgrad.initializers.quadrature import expectation


class MeanField:
    """What one layer of infinite width does to the signal and to the gradient.

    A layer has weights of variance ``sigma_w^2 / fan_in`` and biases of variance ``sigma_b^2``; q
    is the variance of its pre-activations, which are normal (Poole et al. 2016, arXiv:1606.05340;
    Schoenholz et al. 2017, arXiv:1611.01232).

    Parameters
    ----------
    activation : str or callable
        A name that `fastgrad.Dense` knows; or a function ``phi(u)`` of a float64 vector,
        elementwise and finite for ``|u| <= 12 sqrt(q)``, with any number of kinks.
    derivative : callable, optional
        ``phi'(u)`` for such a function; otherwise slopes are taken from its values.
    alpha : float, optional
        Negative slope of leaky_relu (0.01), alpha of elu (1).

    Raises
    ------
    TypeError, ValueError
        If a callable changes the shape, mixes elements, or returns what is not finite or real; if
        `derivative` is not that of `activation`; if the name is unknown. The methods raise
        ValueError where the function cannot be integrated.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgrad.initializers import MeanField
    >>> round(MeanField("tanh").second_moment(), 6)
    0.394294
    >>> round(MeanField(lambda u: np.clip(u, 0, 6)).chi(1.0, sigma_w=2**0.5), 6)
    1.0
    """

    def __init__(
        self,
        activation: str | Elementwise,
        derivative: Elementwise | None = None,
        *,
        alpha: float | None = None,
    ) -> None:
        self.function = function(activation, derivative, alpha)

    def mean(self, q: float = 1.0) -> float:
        """E[phi(u)] for u ~ N(0, q)."""
        return expectation(lambda u, _: (self.function.value(u), 0.0), _variance(q))

    def second_moment(self, q: float = 1.0) -> float:
        """E[phi(u)^2] for u ~ N(0, q): the mean square of what the next layer is given."""
        return expectation(lambda u, _: (np.square(self.function.value(u)), 0.0), _variance(q))

    def slope_moment(self, q: float = 1.0, power: int = 2) -> float:
        """E[phi'(u)^power] for u ~ N(0, q) and a power of at least 1."""

        def moment(u: Array, half: Array) -> tuple[Array, Array | float]:
            slope, rounding = self.function.slope(u, half)
            return slope**power, (np.abs(slope) + rounding) ** power - np.abs(slope) ** power

        return expectation(moment, _variance(q))

    def length_map(self, q: float, sigma_w: float, sigma_b: float = 0.0) -> float:
        """The next layer's q: ``sigma_w^2 E[phi^2] + sigma_b^2``, Poole's eq. 3."""
        w, b = number("sigma_w", sigma_w, 0.0), number("sigma_b", sigma_b, 0.0)
        return w * w * self.second_moment(q) + b * b

    def length_slope(self, q: float, sigma_w: float) -> float:
        """The derivative of `length_map`: by how much a deviation of q grows from layer to layer.

        ``sigma_w^2 E[(z^2 - 1) phi(sqrt(q) z)^2] / (2 q)``, which needs no derivative.
        """
        w, q = number("sigma_w", sigma_w, 0.0), _variance(q)
        moment = expectation(
            lambda u, _: ((u * u / q - 1) * np.square(self.function.value(u)), 0.0), q
        )
        return w * w * moment / (2 * q)

    def chi(self, q: float, sigma_w: float) -> float:
        """By how much the gradient's square grows from layer to layer, on the way back.

        ``sigma_w^2 E[phi'^2]``, Schoenholz's eq. 5: below 1 it vanishes, above 1 it explodes.
        """
        w = number("sigma_w", sigma_w, 0.0)
        return w * w * self.slope_moment(q)


def _variance(q: float) -> float:
    found = number("q", q)
    if found <= 0:
        raise ValueError(f"q: expected more than 0, got {found}")
    return found
