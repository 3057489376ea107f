"""Activations as functions of an array: those of this package by name, and others' own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastgrad.custom import UserActivation
from fastgrad.initializers.checks import Array
from fastgrad.initializers.quadrature import LIMIT, expectation, slopes

if TYPE_CHECKING:
    from fastgrad.layers import Activation, Dense

Elementwise: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True)
class Function:
    """A checked activation.

    Parameters
    ----------
    name : str
        For errors.
    phi : callable
        ``phi(u)``, elementwise.
    dphi : callable or None
        Its derivative; None to take slopes from the values of `phi`.
    """

    name: str
    phi: Elementwise
    dphi: Elementwise | None

    def value(self, u: Array) -> Array:
        """phi(u) for u of any shape; ValueError where it is not finite."""
        return _applied("activation", self.phi, u)

    def slope(self, u: Array, half: Array) -> tuple[Array, Array | float]:
        """phi'(u) and its error by rounding, for the arguments of an integrand."""
        if self.dphi is None:
            return slopes(self.value(u), half)
        return _applied("derivative", self.dphi, u), 0.0


def function(
    activation: str | Elementwise,
    derivative: Elementwise | None = None,
    alpha: float | None = None,
) -> Function:
    """Find a named activation, or check a callable and its derivative; see `MeanField`."""
    if isinstance(activation, (str, UserActivation)):
        if derivative is not None:
            raise TypeError(f"derivative: that of {activation!s} is known")
        from fastgrad.layers import Activation

        return of_layer(Activation(activation, alpha=alpha))
    for name, given in (("activation", activation), ("derivative", derivative)):
        if not callable(given) and not (given is None and name == "derivative"):
            raise TypeError(f"{name}: expected a callable of an array, got {given!r}")
    if alpha is not None:
        raise TypeError("alpha: leaky_relu and elu take one, a callable does not")
    found = Function(getattr(activation, "__name__", "activation"), activation, derivative)
    u = np.linspace(-LIMIT, LIMIT, 64)
    for name, apply in (("activation", activation), ("derivative", derivative)):
        if apply is not None:
            _see_elementwise(name, apply, u)
    if derivative is not None:
        _see_derivative(found)
    return found


def of_layer(layer: Dense | Activation) -> Function:
    """The activation of a layer, with its alpha."""
    from fastgrad.backends.reference import activations as reference

    name, alpha = layer.activation, layer.alpha
    if isinstance(name, UserActivation):
        return Function(name.name, name.__call__, name.slope)
    phi = reference.ACTIVATIONS[name]
    if name in reference.SLOPES_FROM_INPUT:
        return Function(name, lambda u: phi(u, alpha), reference.SLOPES_FROM_INPUT[name])
    slope = reference.SLOPES_FROM_OUTPUT[name]
    return Function(name, lambda u: phi(u, alpha), lambda u: slope(phi(u, alpha), alpha))


def _applied(name: str, apply: Elementwise, u: Array) -> Array:
    """apply(u), which is asked for a vector, and checked."""
    try:
        with np.errstate(all="ignore"):
            y: Any = np.asarray(apply(u.ravel()))
    except (TypeError, ValueError) as why:  # of what was written for one number, most likely
        raise TypeError(
            f"{name}: expected a function of a NumPy vector, which raises: {why}"
        ) from why
    if y.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got {y.dtype}")
    if y.shape != (u.size,):
        raise ValueError(f"{name}: expected the shape it is given, {(u.size,)}, got {y.shape}")
    bad = np.flatnonzero(~np.isfinite(y))
    if bad.size:
        raise ValueError(
            f"{name}: expected finite values, got {y[bad[0]]} at {u.ravel()[bad[0]]:.6g}"
        )
    return np.asarray(y, np.float64).reshape(u.shape)


def _see_elementwise(name: str, apply: Elementwise, u: Array) -> None:
    together, alone = _applied(name, apply, u)[1:-1], _applied(name, apply, u[1:-1])
    # one element's last bits may depend on its place in a vector register
    if not np.allclose(together, alone, rtol=1e-12, atol=1e-12 * float(np.abs(together).max())):
        raise ValueError(f"{name}: expected an elementwise function, but elements change others")


def _see_derivative(found: Function) -> None:
    """Stein's identities, E[z phi(z)] = E[phi'(z)] and E[(z^2 - 1) phi(z)] = E[z phi'(z)]."""

    def mean(f: Callable[[Array, Array], Array]) -> float:
        return expectation(lambda u, half: (f(u, half), 0.0), 1.0)

    size = mean(lambda u, _: np.abs(found.value(u)) * (1 + u * u))
    means = (  # of the slope alone, and weighted by z, so that no odd error cancels
        (
            mean(lambda u, _: found.value(u) * u),
            mean(lambda u, half: found.slope(u, half)[0]),
        ),
        (
            mean(lambda u, _: found.value(u) * (u * u - 1)),
            mean(lambda u, half: found.slope(u, half)[0] * u),
        ),
    )
    for what, (expected, got) in zip(("phi'(z)", "z phi'(z)"), means, strict=True):
        if not abs(got - expected) <= 1e-6 * max(size, abs(got)):
            raise ValueError(
                f"derivative: expected that of the activation, with E[{what}] = {expected:.6g} for "
                f"z ~ N(0, 1), got one with {got:.6g}"
            )
