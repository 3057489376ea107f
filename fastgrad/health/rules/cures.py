"""What helps: a name that a program can act upon, and a sentence for people."""

from __future__ import annotations

CURES = {
    "initializer": "one for the activation: variance 2 / fan_in for relu, 1 / fan_in for tanh",
    "activation": "one without saturation in the hidden layers, such as relu, leaky_relu or selu",
    "normalization": "of each layer's outputs, by BatchNorm or LayerNorm",
    "residual": "blocks with a small scale, so that gradients have a way around the layers",
    "depth": "less of it: fewer layers in a row",
    "clipping": "of the whole gradient's norm, at the size that it usually has",
    "no_clipping": "or a limit of the size that the gradient usually has",
    "smaller_learning_rate": "a tenth of it",
    "larger_learning_rate": "ten times as much",
    "optimizer": "one that divides by the gradient's own size, such as Adam",
    "normalize_inputs": "to mean 0 and deviation 1, by Standardize as the first layer",
    "rows": "that lie far beyond all others, corrected or left out",
    "normalize_targets": "to mean 0 and deviation 1, which Rescale behind the model undoes",
    "lstm": "or gru instead of a plain recurrent layer",
    "forget_bias": "of the order of the time that is to be remembered (chrono)",
    "less_regularization": "a hundredth of the penalty, or of the weight decay",
    "more_regularization": "L2, dropout or an early stop",
    "less_dropout": "half the fraction or less",
    "bias": "one that starts with 0",
    "loss": "one that fits the targets, and an output layer that does",
}


def cures(*names: str) -> tuple[str, ...]:
    """The cures of these names, each ``"name: sentence"``; what is tried first comes first."""
    return tuple(f"{name}: {CURES[name]}" for name in names)


def name_of(cure: str) -> str:
    """The name that a cure starts with."""
    return cure.partition(":")[0]
