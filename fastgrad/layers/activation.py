"""Activations: their names and parameters, and a layer of one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.contract import ACTIVATIONS as NAMES
from fastgrad.backends.contract import needs_slope
from fastgrad.custom import UserActivation
from fastgrad.layers.base import Backward, Layer
from fastgrad.program import Tape

# defaults of the parameter that two of them have: negative slope, and alpha
_ALPHAS = {"leaky_relu": 0.01, "elu": 1.0}
ACTIVATIONS = {name: _ALPHAS.get(name, 0.0) for name in NAMES}


def checked_activation(name: Any, alpha: float | None) -> tuple[str | UserActivation, float]:
    """An activation, mostly by name, and its parameter, as kernels take them."""
    name = "identity" if name is None else name
    if isinstance(name, UserActivation):
        if alpha is not None:
            raise ValueError(
                f"alpha is a parameter of leaky_relu and elu; those of {name.name} are in its code"
            )
        return name, 0.0
    if not isinstance(name, str) or name not in ACTIVATIONS:
        hint = " (fastgrad.activation makes one of a function)" if callable(name) else ""
        raise ValueError(
            f"activation: expected one of {', '.join(ACTIVATIONS)}, got {name!r}{hint}"
        )
    if alpha is None:
        return name, ACTIVATIONS[name]
    if name not in _ALPHAS:
        raise ValueError(f"alpha is a parameter of leaky_relu and elu, not of {name}")
    if not (isinstance(alpha, (int, float, np.number)) and 0 <= alpha < np.inf):
        raise ValueError(f"alpha must be a finite number of at least 0, got {alpha!r}")
    return name, float(alpha)


def own_alpha(name: str | UserActivation, alpha: float) -> float | None:
    """An activation's parameter, unless it is that which it has anyway."""
    has = isinstance(name, str) and alpha != ACTIVATIONS[name]
    return alpha if has else None


def activation_flops(name: str | UserActivation, elements: int) -> tuple[int, int]:
    """Operations of the function; of its slope, and that times the gradient.

    A user's function counts as one, too, whatever is in it.
    """
    return (0, 0) if name == "identity" else (elements, 2 * elements)


def arrays_kept(name: str | UserActivation) -> int:
    """Arrays of the shape of y that training keeps."""
    return 2 if needs_slope(name) else 1


class Activation(Layer):
    """An activation on its own, elementwise.

    Parameters
    ----------
    activation : str or UserActivation
        As for `Dense`.
    alpha : float, optional
        As for `Dense`.
    """

    def __init__(self, activation: str | UserActivation, *, alpha: float | None = None) -> None:
        self.activation, self.alpha = checked_activation(activation, alpha)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """Some for each element."""
        forward, backward = activation_flops(self.activation, math.prod(shape))
        return forward, backward * input_grad

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y, and the slopes of activations that need them."""
        return super().activation_bytes(shape, itemsize) * arrays_kept(self.activation)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record activation_forward, and activation_backward for later."""
        y = tape.empty(x.shape)
        keep_slope = train and needs_slope(self.activation)
        slope = tape.empty((y.size,)) if keep_slope else None
        flat = y.reshape(-1)
        tape.call("activation_forward", x.reshape(-1), self.activation, self.alpha, flat, slope)
        tape.activated(y, self.activation, self.alpha, slope)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            du = dy.reshape(-1)
            tape.call("activation_backward", flat, slope, du, self.activation, self.alpha, du)
            return dy

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        found: dict[str, Any] = {"activation": self.activation}
        if own_alpha(self.activation, self.alpha) is not None:
            found["alpha"] = self.alpha
        return found
