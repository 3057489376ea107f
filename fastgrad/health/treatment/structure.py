"""Cures that put other layers in the place of some, or new ones between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fastgrad.batch_norm import BatchNorm
from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.setup import Parts, Setup, remade
from fastgrad.health.treatment.starts import fresh, remembering
from fastgrad.layer_norm import LayerNorm
from fastgrad.layers import Activation, Dense, Layer
from fastgrad.recurrent import GRU, LSTM, RNN
from fastgrad.recurrent.base import Recurrent
from fastgrad.residual import Residual

_SATURATING = ("sigmoid", "tanh", "softsign")
_SMALLEST_BATCH = 16  # whose mean and variance tell enough


def _activations(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """Rectifiers for sigmoids, and those with a slope on both sides for those that died."""
    setup = findings.setup
    used = {
        layer.activation
        for layer in setup.named.values()
        if isinstance(layer, (Activation, Dense, RNN)) and layer.activation != "identity"
    }
    if not used:
        return
    others = ("relu", "tanh", "selu") if used & set(_SATURATING) else ("leaky_relu", "selu")
    for activation in others:
        if used == {activation}:
            continue

        def change(name: str, layer: Layer, activation: str = activation) -> Parts | None:
            if isinstance(layer, Activation):
                return [(Activation(activation), True)]
            if isinstance(layer, RNN):
                return [(fresh(remade(layer, activation="tanh", alpha=None)), False)]
            if not isinstance(layer, Dense):
                return None
            if layer.activation == "identity":
                return [(fresh(layer), False)]
            # orthogonal weights keep all directions in size where slopes are near 1 (Saxe et al.)
            other = remade(layer, activation=activation, alpha=None)
            return [(fresh(other, orthogonal=activation == "tanh"), False)]

        before = ", ".join(sorted(map(str, used)))
        what = f"{activation} instead of {before}, with weights that suit it"
        yield what, setup.with_layers(change, findings.seed)


def _normalization(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """Between the weights and the activation of each hidden dense layer (Ioffe & Szegedy 2015)."""
    setup, sequences = findings.setup, findings.setup.model.are_sequences
    if any(isinstance(layer, (BatchNorm, LayerNorm)) for layer in setup.named.values()):
        return
    few = findings.material.batch_size < _SMALLEST_BATCH
    norm: Callable[[int], Layer] = (
        LayerNorm if few or sequences(findings.material.rows.X.shape) else BatchNorm
    )
    hidden = {name for name, layer in setup.named.items() if _is_hidden(layer)}
    if not hidden:
        return

    def change(name: str, layer: Layer) -> Parts | None:
        if name not in hidden:
            return None
        assert isinstance(layer, Dense)
        bare = remade(layer, activation="identity", alpha=None)
        activation = Activation(layer.activation, alpha=layer.alpha or None)
        return [(bare, True), (norm(layer.outputs), False), (activation, False)]

    name = getattr(norm, "__name__", "")
    yield f"{name} in front of the activations", setup.with_layers(change, findings.seed)


def _is_hidden(layer: Layer) -> bool:
    return isinstance(layer, Dense) and layer.activation != "identity"


def _residual(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """Ways around the layers that keep the number of features, and a scale for those there are.

    With the scale ``1 / sqrt(n)`` of n blocks the variance grows by e at most, however many.
    """
    setup = findings.setup
    layers = setup.model.layers
    square = {
        str(i)
        for i, layer in enumerate(layers)
        if isinstance(layer, Dense) and _is_hidden(layer) and layer.inputs == layer.outputs
    }
    blocks = [layer for layer in layers if isinstance(layer, Residual)]
    count = len(square) + len(blocks)
    if not count or (not square and all(block.learn_scale for block in blocks)):
        return
    scale = 1 / math.sqrt(count)

    def change(name: str, layer: Layer) -> Parts | None:
        if isinstance(layer, Residual) and "." not in name and not layer.learn_scale:
            return [(Residual(*map(_fresh_within, layer.layers), scale=scale), False)]
        if name not in square:
            return None
        return [(Residual(fresh(layer), scale=scale), False)]

    what = f"{count} residual blocks of scale {scale:.2g}"
    yield what, setup.with_layers(change, findings.seed)


def _fresh_within(layer: Layer) -> Layer:
    return fresh(layer) if isinstance(layer, Dense) else layer


def _gates(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """LSTM or GRU for RNN, which start to remember for as long as the sequences are."""
    setup, shape = findings.setup, findings.material.rows.X.shape
    if not any(isinstance(layer, RNN) for layer in setup.named.values()):
        return
    longest = max(3, shape[1])
    for kind in (LSTM, GRU):

        def change(name: str, layer: Layer, kind: type[Recurrent] = kind) -> Parts | None:
            return [(_gated(layer, kind, longest), False)] if isinstance(layer, RNN) else None

        what = f"{kind.__name__} instead of RNN, for memories of up to {longest} steps"
        yield what, setup.with_layers(change, findings.seed)


def _gated(layer: RNN, kind: type[Recurrent], longest: int) -> Layer:
    options = {k: v for k, v in layer.config().items() if k not in ("activation", "alpha")}
    made = kind(**options)
    assert isinstance(made, (LSTM, GRU))
    return remade(made, bias_init=remembering(made, longest)) if made.bias else made


CURES = (
    Cure("activation", 3, _activations),
    Cure("normalization", 4, _normalization),
    Cure("residual", 4, _residual),
    Cure("lstm", 5, _gates),
)
