"""The functions that kernels know by name, and those that users write."""

from __future__ import annotations

from fastgrad.custom import UserActivation

ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid",
)  # fmt: skip
# Their derivative is no function of the output: the forward pass leaves it in `slope`.
NEED_SLOPE = ("gelu", "gelu_tanh", "silu")
FUNCTIONS = ("exp", "expm1", "tanh", "sigmoid", "erf", "log1p", "log")


def needs_slope(activation: str | UserActivation) -> bool:
    """Whether the forward pass has to leave the derivative in `slope`."""
    return activation in NEED_SLOPE or isinstance(activation, UserActivation)
