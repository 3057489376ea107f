"""`Dense`: the fully connected layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.backends.contract import needs_slope
from fastgrad.custom import UserActivation
from fastgrad.layers.activation import (
    activation_flops,
    arrays_kept,
    checked_activation,
    own_alpha,
)
from fastgrad.layers.base import Backward, Layer
from fastgrad.program import Tape


class Dense(Layer):
    """A fully connected layer, ``y = activation(x weight' + bias)``.

    Parameters
    ----------
    inputs, outputs : int
        Features in and out; ``weight`` has shape (outputs, inputs), ``bias`` (outputs,).
    activation : str or UserActivation, optional
        One of relu, leaky_relu, elu, selu, gelu (exact), gelu_tanh, silu, softplus, softsign,
        tanh, sigmoid, identity (the default); or what `fastgrad.activation` makes of a function.
    weight_init, bias_init : str, initializer or ndarray, optional
        Default: what the activation needs (`fastgrad.initializers.for_activation`), and zeros.
    bias : bool
        Whether there is a bias.
    alpha : float, optional
        Negative slope of leaky_relu (0.01), alpha of elu (1).
    """

    inputs: int

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: str | UserActivation | None = None,
        *,
        weight_init: Any = None,
        bias_init: Any = "zeros",
        bias: bool = True,
        alpha: float | None = None,
    ) -> None:
        self.inputs = checks.count("inputs", inputs)
        self.outputs = checks.count("outputs", outputs)
        self.activation, self.alpha = checked_activation(activation, alpha)
        if weight_init is None:
            weight_init = initializers.for_activation(self.activation, self.alpha)
        self.weight_init = initializers.get(weight_init, "weight_init of Dense")
        self.bias_init = initializers.get(bias_init, "bias_init of Dense")
        self.bias = bool(bias)

    def parameters(self) -> dict[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """``weight`` (outputs, inputs) and, unless left out, ``bias`` (outputs,)."""
        found: dict[str, tuple[tuple[int, ...], initializers.InitFunction]]
        found = {"weight": ((self.outputs, self.inputs), self.weight_init)}
        if self.bias:
            found["bias"] = ((self.outputs,), self.bias_init)
        return found

    def output_features(self, inputs: int | None) -> int:
        """`outputs`, whatever comes in."""
        return self.outputs

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A product of matrices forward, one or two backward, and bias and activation."""
        rows = math.prod(shape[:-1])
        product, bias = 2 * rows * self.inputs * self.outputs, rows * self.outputs * self.bias
        forward, backward = activation_flops(self.activation, rows * self.outputs)
        return product + bias + forward, (1 + input_grad) * product + bias + backward

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
        """Record dense_forward, and dense_backward for later."""
        rows = x.reshape(-1, self.inputs)
        y = tape.empty((*x.shape[:-1], self.outputs))
        flat = y.reshape(-1, self.outputs)
        keep_slope = train and needs_slope(self.activation)
        slope = tape.empty(flat.shape) if keep_slope else None
        weight, bias = params["weight"], params.get("bias")
        tape.call("dense_forward", rows, weight, bias, self.activation, self.alpha, flat, slope)
        tape.activated(y, self.activation, self.alpha, slope)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            dx = tape.empty(x.shape) if input_grad else None
            tape.call(
                "dense_backward",
                rows,
                weight,
                flat,
                slope,
                self.activation,
                self.alpha,
                dy.reshape(flat.shape),
                None if dx is None else dx.reshape(rows.shape),
                grads["weight"],
                grads.get("bias"),
                tape.status,
            )
            tape.see_inner_gradient(dy)
            tape.release(dy)
            return dx

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found: dict[str, Any] = {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "activation": self.activation,
        }
        if own_alpha(self.activation, self.alpha) is not None:
            found["alpha"] = self.alpha
        if not self.bias:
            found["bias"] = False
        return found
