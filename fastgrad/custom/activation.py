"""`activation`: an activation written in Python, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np

from fastgrad.custom.elementwise import Elementwise


class UserActivation(Elementwise):
    """What `activation` makes of a function: it goes wherever an activation's name does.

    It can still be called, with a number or with an array.
    """

    what = "activation"
    arguments = ("z",)

    def __call__(self, z: Any) -> Any:
        """f(z)."""
        return self._applied(z, 0)

    def slope(self, z: Any) -> Any:
        """f'(z)."""
        return self._applied(z, 1)

    def _applied(self, z: Any, which: int) -> Any:
        if isinstance(z, np.ndarray):
            kind = z.dtype if z.dtype in (np.float32, np.float64) else np.dtype(np.float64)
            return self.applied(z.astype(kind))[which]
        return float(self.at(float(z))[which])


@overload
def activation(function: Callable[..., Any], *, derivative: Any = None) -> UserActivation: ...
@overload
def activation(
    function: None = None, *, derivative: Any = None
) -> Callable[[Callable[..., Any]], UserActivation]: ...
def activation(function: Any = None, *, derivative: Any = None) -> Any:
    """Make an activation of a function of one number.

    Its code is differentiated, tried out, and compiled by Numba to vector code, which the recorded
    program calls without Python; on the reference backend it runs as it is, number by number, and
    needs no Numba. It may have branches, loops and local variables, call the elementary functions
    of `math` and NumPy and functions that do the same, and take constants by keyword defaults. What
    other variables hold counts when it is decorated. What overflows in float32, such as exp(z) from
    z = 89 on, is infinite in training, too, and its derivative may be NaN.

    Parameters
    ----------
    function : callable
        ``f(z)``, from number to number.
    derivative : callable, optional
        ``f'(z)``, instead of that of the code.

    Returns
    -------
    UserActivation
        For `Dense`, `Activation`, `RNN`, the initializers and `fastgrad.health.predict`.

    Raises
    ------
    TypeError
        If it does not return a number or cannot be compiled; with the file and line where.
    ValueError
        If for some ``|z| <= 12`` f or f' is not finite, or f' is not the slope of f; with the z.

    Examples
    --------
    >>> import math
    >>> import fastgrad as fg
    >>> @fg.activation
    ... def swish(z, beta=1.5):
    ...     return z * (1 + math.tanh(beta * z / 2)) / 2
    >>> model = fg.Sequential(fg.Dense(4, 8, swish), fg.Dense(8, 1), rng=0)
    """
    if function is None:
        return lambda later: UserActivation(later, derivative)
    return UserActivation(function, derivative)
