"""All kernels of this backend."""

from fastgrad.backends.numba import (
    activations,
    adam,
    batch,
    batch_norm,
    clipping,
    columns,
    dense,
    dropout,
    embedding,
    entropy,
    flat,
    gate_inputs,
    gru,
    layer_norm,
    layerwise,
    losses,
    lstm,
    lstm_norm,
    muon,
    noise,
    optimizers,
    penalty,
    probe,
    residual,
    rnn,
    sequences,
)
from fastgrad.backends.numba.compiling import PYTHON
from fastgrad.backends.numba.entry import Kernel
from fastgrad.backends.numba.notice import warmup_of
from fastgrad.backends.numba.replay import Replay

KERNELS: dict[str, Kernel] = {
    found.name: found
    for module in (
        activations,
        adam,
        batch,
        batch_norm,
        clipping,
        columns,
        dense,
        dropout,
        embedding,
        entropy,
        flat,
        gate_inputs,
        gru,
        layer_norm,
        layerwise,
        losses,
        lstm,
        lstm_norm,
        muon,
        noise,
        optimizers,
        penalty,
        probe,
        residual,
        rnn,
        sequences,
    )
    for found in vars(module).values()
    if isinstance(found, Kernel)
}
warmup = warmup_of(KERNELS.values())
__all__ = ["KERNELS", "PYTHON", "Replay", "warmup"]
