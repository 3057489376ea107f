"""Layers that bring each row to a scale of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.layers import Backward, Layer, rows_of
from fastgrad.program import Tape


def _record(
    tape: Tape,
    x: Array,
    params: Mapping[str, Array],
    grads: Mapping[str, Array],
    eps: float,
    center: bool,
) -> tuple[Array, Backward]:
    """Record layer_norm_forward, and layer_norm_backward for later."""
    rows = rows_of(x)
    y = tape.empty(x.shape)
    mean, scale = (tape.empty((len(rows),), np.float64) for _ in range(2))
    weight, bias = params.get("weight"), params.get("bias")
    how = weight, bias, int(center), eps, None
    tape.call("layer_norm_forward", rows, *how, rows_of(y), mean, scale)

    def backward(dy: Array, input_grad: bool) -> Array | None:
        gradient = rows_of(dy)
        tape.call(
            "layer_norm_backward",
            rows,
            weight,
            int(center),
            mean,
            scale,
            gradient,
            None,
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


def norm_flops(
    shape: tuple[int, ...], input_grad: bool, center: bool, affine: bool, bias: bool
) -> tuple[int, int]:
    """Operations of the two passes over rows of that shape; see `Layer.flops`."""
    size = math.prod(shape)
    # mean 1, mean of squares 2, and 1 less the mean; normalized 1
    forward = 3 + 2 * center + affine + bias
    # normalized again 1, less the mean 1; the sums of weight and bias
    backward = (1 + center) * (affine or input_grad) + 2 * affine + bias
    # times the weight; the mean of g v, that of g; and dx from v, g and these
    backward += (affine + 2 + center + 3 + center) * input_grad
    return size * forward, size * backward


def _activation_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """y, and mean and scale of each row in float64."""
    return math.prod(shape) * itemsize + math.prod(shape[:-1]) * 16


class LayerNorm(Layer):
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

    inputs: int

    def __init__(
        self, features: int, eps: float = 1e-5, affine: bool = True, bias: bool = True
    ) -> None:
        self.inputs = checks.count("features", features)
        self.eps = checks.number("eps", eps, 0, open_low=True)
        self.affine = bool(affine)
        self.bias = bool(bias)

    def parameters(self) -> Specs:
        """``weight`` and ``bias`` (features,), unless left out."""
        shape = (self.inputs,)
        found: Specs = {"weight": (shape, initializers.ones())} if self.affine else {}
        if self.affine and self.bias:
            found["bias"] = (shape, initializers.zeros())
        return found

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """The statistics of each row, and what each element takes."""
        return norm_flops(shape, input_grad, True, self.affine, self.affine and self.bias)

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y, and two numbers for each row."""
        return _activation_bytes(shape, itemsize)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record layer_norm_forward, and layer_norm_backward for later."""
        return _record(tape, x, params, grads, self.eps, center=True)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return _config(self) | ({} if self.bias else {"bias": False})


class RMSNorm(Layer):
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

    inputs: int

    def __init__(self, features: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.inputs = checks.count("features", features)
        self.eps = checks.number("eps", eps, 0, open_low=True)
        self.affine = bool(affine)

    def parameters(self) -> Specs:
        """``weight`` (features,), unless left out."""
        return {"weight": ((self.inputs,), initializers.ones())} if self.affine else {}

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """The statistics of each row, and what each element takes."""
        return norm_flops(shape, input_grad, False, self.affine, False)

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y, and two numbers for each row."""
        return _activation_bytes(shape, itemsize)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record layer_norm_forward, and layer_norm_backward for later."""
        return _record(tape, x, params, grads, self.eps, center=False)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return _config(self)


def _config(layer: LayerNorm | RMSNorm) -> dict[str, Any]:
    found: dict[str, Any] = {"features": layer.inputs}
    if layer.eps != 1e-5:
        found["eps"] = layer.eps
    if not layer.affine:
        found["affine"] = False
    return found
