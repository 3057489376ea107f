"""Layers that bring each row to a scale of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.layers import Backward, Layer
from fastgrad.program import Tape


class _Normalization(Layer):
    """What both have in common; `_center` says whether the mean is taken off."""

    inputs: int
    _center: bool

    def __init__(self, features: int, eps: float, affine: bool) -> None:
        self.inputs = checks.count("features", features)
        self.eps = checks.number("eps", eps, 0, open_low=True)
        self.affine = bool(affine)

    def parameters(self) -> Specs:
        """``weight`` (features,), unless not `affine`."""
        return {"weight": ((self.inputs,), initializers.ones())} if self.affine else {}

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record layer_norm_forward, and layer_norm_backward for later."""
        rows = x.reshape(-1, self.inputs)
        y = tape.empty(x.shape)
        mean, scale = (tape.empty((len(rows),), np.float64) for _ in range(2))
        weight, center = params.get("weight"), int(self._center)
        tape.call(
            "layer_norm_forward",
            rows,
            weight,
            params.get("bias"),
            center,
            self.eps,
            y.reshape(rows.shape),
            mean,
            scale,
        )

        def backward(dy: Array, input_grad: bool) -> Array | None:
            gradient = dy.reshape(rows.shape)
            tape.call(
                "layer_norm_backward",
                rows,
                weight,
                center,
                mean,
                scale,
                gradient,
                gradient if input_grad else None,
                grads.get("weight"),
                grads.get("bias"),
                tape.status,
            )
            if input_grad:
                return dy
            tape.release(dy)
            return None

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        found: dict[str, Any] = {"features": self.inputs}
        if self.eps != 1e-5:
            found["eps"] = self.eps
        if not self.affine:
            found["affine"] = False
        return found


class LayerNorm(_Normalization):
    """Each row brought to mean 0 and variance 1 (Ba, Kiros & Hinton 2016).

    ``y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias``, with the mean and the biased
    variance over the last axis, both taken in float64.

    Parameters
    ----------
    features : int
        Length of the last axis of x, of shape (N, features) or (N, T, features), and of y.
    eps : float
        Added to the variance; greater than 0.
    affine : bool
        Whether there is a parameter ``weight``, of shape (features,), at first ones.
    bias : bool
        Whether there is, beside the weight, a parameter ``bias``, of shape (features,), at first
        zeros.

    Examples
    --------
    >>> import fastgrad as fg
    >>> layers = fg.Dense(784, 64), fg.LayerNorm(64), fg.Activation("relu")
    """

    _center = True

    def __init__(
        self, features: int, eps: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__(features, eps, affine)
        self.bias = bool(bias)

    def parameters(self) -> Specs:
        """``weight`` and ``bias`` (features,), unless left out."""
        found = super().parameters()
        if found and self.bias:
            found["bias"] = ((self.inputs,), initializers.zeros())
        return found

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return super().config() | ({} if self.bias else {"bias": False})


class RMSNorm(_Normalization):
    """Each row divided by its root mean square (Zhang & Sennrich 2019).

    ``y = x / sqrt(mean(x^2) + eps) * weight``, the mean over the last axis. Activations and
    gradients keep one scale from layer to layer, whatever that of the weights is. The mean is
    taken in float64.

    Parameters
    ----------
    features : int
        Length of the last axis of x, of shape (N, features) or (N, T, features), and of y.
    eps : float
        Added to the mean square; greater than 0.
    affine : bool
        Whether there is a parameter ``weight``, of shape (features,), at first ones.

    Examples
    --------
    >>> import fastgrad as fg
    >>> block = fg.Residual(fg.RMSNorm(64), fg.Dense(64, 64, "relu"), fg.Dense(64, 64))
    """

    _center = False

    def __init__(self, features: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__(features, eps, affine)
