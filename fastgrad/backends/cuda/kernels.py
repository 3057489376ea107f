"""All kernels of this backend."""

from fastgrad.backends.cuda import (
    adam,
    batch,
    batch_norm,
    bounds,
    clipping,
    columns,
    dense,
    dropout,
    elementwise,
    embedding,
    entropy,
    flat,
    gate_inputs,
    gru,
    layer_norm,
    layerwise,
    library,
    losses,
    lstm,
    lstm_norm,
    muon,
    noise,
    norms,
    notes,
    optimizers,
    penalty,
    probe,
    product,
    residual,
    rnn,
    sequences,
    states,
)
from fastgrad.backends.cuda.managed import MANAGED
from fastgrad.backends.cuda.phase import Recording
from fastgrad.backends.cuda.replay import Replay
from fastgrad.backends.cuda.target import HOW, require_device

KERNELS: dict[str, Recording] = {
    name: found
    for module in (
        adam,
        batch,
        batch_norm,
        bounds,
        clipping,
        columns,
        dense,
        dropout,
        elementwise,
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
        norms,
        notes,
        optimizers,
        penalty,
        probe,
        product,
        residual,
        rnn,
        sequences,
        states,
    )
    for name, found in vars(module).items()
    if getattr(found, "is_kernel", False)
}
__all__ = ["HOW", "KERNELS", "MANAGED", "Replay", "library", "require_device"]
