"""Every kernel in the plainest NumPy: the specification, and the naive baseline of the benches.

The compiled backends are judged against these files, so they share nothing with them. What each
argument is, `contract.CONTRACT` says.
"""

from collections.abc import Callable

from fastgrad.backends.contract import CONTRACT
from fastgrad.backends.reference import (
    activations,
    batch,
    batch_norm,
    clipping,
    columns,
    dense,
    dropout,
    embedding,
    flat,
    gate_inputs,
    gradients,
    gru,
    layer_norm,
    losses,
    lstm,
    lstm_norm,
    noise,
    optimizers,
    penalty,
    probe,
    recurrent,
    residual,
    sequences,
)

KERNELS: dict[str, Callable[..., None]] = {
    name: function
    for module in (
        activations,
        batch,
        batch_norm,
        clipping,
        columns,
        dense,
        dropout,
        embedding,
        flat,
        gate_inputs,
        gradients,
        gru,
        layer_norm,
        losses,
        lstm,
        lstm_norm,
        noise,
        optimizers,
        penalty,
        probe,
        recurrent,
        residual,
        sequences,
    )
    for name, function in vars(module).items()
    if name in CONTRACT
}
