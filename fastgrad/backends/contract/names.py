"""The functions that kernels know by name."""

ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "softsign", "tanh", "sigmoid",
)  # fmt: skip
# Their derivative is no function of the output: the forward pass leaves it in `slope`.
NEED_SLOPE = ("gelu", "gelu_tanh", "silu")
FUNCTIONS = ("exp", "expm1", "tanh", "sigmoid", "erf", "log1p", "log")
