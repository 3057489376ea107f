"""Activations and losses that users write, as device functions.

What is compiled for processors is compiled for the device, too: numba-cuda knows the types and the
rules of `custom.compiled_dual`, because they are registered with Numba. In the simulator a function
runs in Python, as the specification does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fastgrad.backends.cuda.device import device, number
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import SIMULATED
from fastgrad.custom import LossFunction, UserActivation

Function = Callable[..., Any]


def value_of(activation: UserActivation) -> Function:
    """The device function ``(m, z, alpha) -> f(z)``."""
    both = _both_of(activation)

    @device
    def value(m: Memory, z: float, alpha: float) -> float:
        return number(m.reals, both(z)[0])

    return value


def slope_of(activation: UserActivation) -> Function:
    """The device function ``(m, z, y, alpha) -> f'(z)``."""
    both = _both_of(activation)

    @device
    def slope(m: Memory, z: float, y: float, alpha: float) -> float:
        return number(m.reals, both(z)[1])

    return slope


@functools.cache
def loss_of(formula: LossFunction) -> Function:
    """The device function ``(m, z, target) -> (value, its derivative with respect to z)``."""
    both = _both_of(formula)

    @device
    def loss(m: Memory, z: float, target: float) -> tuple[float, float]:
        value, slope = both(z, target)
        return number(m.reals, value), number(m.reals, slope)

    return loss


@functools.cache
def _both_of(found: UserActivation | LossFunction) -> Function:
    """Value and slope, of one number or of two."""
    if SIMULATED:

        def simulated(*point: float) -> tuple[float, float]:
            return found.at(*map(float, point))

        return simulated
    from fastgrad.custom.compiling import both_of  # registers what it needs with Numba

    return both_of(found, device)
