"""The options that all recurrent layers have."""

from __future__ import annotations

import inspect
from typing import Any, TypedDict, TypeVar

Kind = TypeVar("Kind", bound=type)


class Options(TypedDict, total=False):
    """Options of all recurrent layers.

    Attributes
    ----------
    num_layers : int
        Layers on top of each other, each reading what the one below gives.
    bidirectional : bool
        Whether a second pass reads the sequence in reverse; its outputs come behind the others. The
        last one of the reverse pass, which is what counts without `return_sequences`, is that of
        the first step, as in PyTorch's ``h_n``; its ``y[:, -1]`` has that of the last step.
    reverse : bool
        Whether the sequence is read from its last step to its first. Outputs stay where their
        inputs are.
    dropout : float
        Fraction of the outputs that is dropped between layers in training.
    return_sequences : bool
        Whether the output of every step is wanted, (N, T, units), or the last one, (N, units).
    stateful : bool
        Whether each batch starts from the state with which the one before it of as many rows ended,
        row by row, until `Sequential.reset_states`.
    learn_initial : bool
        Whether the initial state is a parameter: ``initial_h_l0`` (units,), for all rows.
    one_hot : bool
        Whether the input is integers (N, T) in [0, inputs), each of them standing for its one-hot
        vector, which is never built.
    bias : bool
        Whether there are biases.
    weight_init, recurrent_init, bias_init : str, initializer or ndarray
        Of ``weight_ih`` (Xavier), of each square block of ``weight_hh`` (orthogonal; an array is
        that of all of them), and of ``bias_ih`` (zeros, with the forget gates of an LSTM at its
        `forget_bias`); ``bias_hh`` starts as zeros. An array is that of every level.
    """

    num_layers: int
    bidirectional: bool
    reverse: bool
    dropout: float
    return_sequences: bool
    stateful: bool
    learn_initial: bool
    one_hot: bool
    bias: bool
    weight_init: Any
    recurrent_init: Any
    bias_init: Any


DEFAULTS: dict[str, Any] = {
    "num_layers": 1,
    "bidirectional": False,
    "reverse": False,
    "dropout": 0.0,
    "return_sequences": False,
    "stateful": False,
    "learn_initial": False,
    "one_hot": False,
    "bias": True,
    "weight_init": "xavier_uniform",
    "recurrent_init": "orthogonal",
    "bias_init": "zeros",
}


def lists_options(layer: Kind) -> Kind:
    """Have the documentation of a layer list what it calls `Options`."""
    own, options = inspect.getdoc(layer), inspect.getdoc(Options)
    if own and options:  # python -OO leaves none
        listed = options.partition("----------\n")[2]
        layer.__doc__ = own.replace("**options\n    See `Options`.", listed)
    return layer
