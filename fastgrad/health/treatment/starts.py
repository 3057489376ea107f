"""Cures of what there is before the first step: weights, biases, inputs, targets."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from fastgrad import initializers
from fastgrad.health.rules.data import InputFacts
from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.setup import Parts, Setup, is_foreign, remade
from fastgrad.layers import Dense, Layer
from fastgrad.losses import MAE, MSE, Huber
from fastgrad.optimizers import (
    LAMB,
    LARS,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)
from fastgrad.recurrent import GRU, LSTM, RNN
from fastgrad.rescale import Rescale
from fastgrad.standardize import Standardize

# whose steps have the same length whatever the gradient is multiplied with
_SCALE_FREE = (
    Adam,
    Adamax,
    NAdam,
    RAdam,
    RMSprop,
    Adagrad,
    Adadelta,
    Rprop,
    Lion,
    LAMB,
    LARS,
    Muon,
)


def fresh(layer: Layer, orthogonal: bool = False) -> Layer:
    """The same layer with the weights that suit its activation, and biases of 0."""
    if isinstance(layer, Dense):
        weight = None
        if orthogonal:
            gain = 1.0 if layer.activation in ("tanh", "selu") else None
            weight = initializers.orthogonal(gain or initializers.gain(layer.activation))
        dense: Dense = remade(layer, weight_init=weight, bias_init="zeros")
        return dense
    recurrent = "orthogonal"
    if isinstance(layer, RNN) and layer.activation == "relu":
        recurrent = "identity"  # IRNN, Le et al. 2015
    made: Layer = remade(layer, weight_init="xavier_uniform", recurrent_init=recurrent)
    return made


def _weights(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """Independent ones (He et al. 2015), and orthogonal ones for depth (Saxe et al. 2014)."""
    for orthogonal in (False, True):

        def change(name: str, layer: Layer, orthogonal: bool = orthogonal) -> Parts | None:
            weighted = isinstance(layer, (Dense, RNN, LSTM, GRU))
            return [(fresh(layer, orthogonal), False)] if weighted else None

        law = "orthogonal first weights" if orthogonal else "first weights"
        what = f"draw {law} of the size that suits each activation, dense biases of 0"
        yield what, findings.setup.with_layers(change, findings.seed)


def _bias(findings: Findings) -> Iterator[tuple[str, Setup]]:
    changed = copy.deepcopy(findings.setup)
    biases = [
        view
        for name, view in changed.model.params.items()
        if name.endswith(".bias") and type(changed.named[name.rpartition(".")[0]]) is Dense
    ]
    if not any(view.any() for view in biases):
        return
    for view in biases:
        view[...] = 0
    yield "start with biases of 0", changed


def _forget_bias(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """To remember as long as the sequences are (Tallec & Ollivier 2018); and half as long."""
    model, shape = findings.setup.model, findings.material.rows.X.shape
    if not model.are_sequences(shape) or shape[1] < 4:
        return
    for longest in (shape[1], max(3, shape[1] // 2)):

        def change(name: str, layer: Layer, longest: int = longest) -> Parts | None:
            if not isinstance(layer, (LSTM, GRU)) or not layer.bias:
                return None
            return [(remade(layer, bias_init=remembering(layer, longest)), False)]

        if any(isinstance(layer, (LSTM, GRU)) for layer in findings.setup.named.values()):
            what = f"draw the forget gates' biases for memories of up to {longest} steps (chrono)"
            yield what, findings.setup.with_layers(change, findings.seed)


def remembering(layer: LSTM | GRU, longest: int) -> initializers.Initializer:
    """Biases with which a cell starts to remember for up to so many steps."""
    return initializers.chrono(longest, "lstm" if isinstance(layer, LSTM) else "gru")


def _inputs(findings: Findings) -> Iterator[tuple[str, Setup]]:
    setup, rows = findings.setup, findings.material.rows
    first = setup.model.layers[0]
    if setup.model.indices is not None or isinstance(first, Standardize) or first.first_only:
        return
    if is_foreign(first):
        return  # which may be made for the inputs as they are
    known = InputFacts.of(rows.X, rows.lengths)
    if "inputs" not in findings.families and 0.5 < known.size < 2 and known.rms.max() < 4:
        return  # they are well enough
    layers = setup.model.layers
    origins = {str(i + 1): str(i) for i in range(len(layers))}
    front = Standardize(rows.X.shape[-1])
    changed = setup.with_model([front, *layers], origins, findings.seed)
    changed.model.fit_input(rows.X, lengths=rows.lengths)
    yield f"bring inputs, which are {known.size:.3g} in size, to mean 0 and deviation 1", changed


def _targets(findings: Findings) -> Iterator[tuple[str, Setup]]:
    setup, rows = findings.setup, findings.material.rows
    layers = setup.model.layers
    outputs = setup.model.outputs
    if isinstance(layers[-1], Rescale) or not isinstance(findings.material.loss, (MAE, MSE, Huber)):
        return
    if outputs is None or rows.y.size % outputs:
        return
    values = rows.y.reshape(-1, outputs).astype(np.float64)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1
    origins = {str(i): str(i) for i in range(len(layers))}
    changed = setup.with_model([*layers, Rescale(mean, scale)], origins, findings.seed)
    size = float(np.sqrt(np.mean(scale**2)))
    what = f"learn targets of mean 0 and deviation 1 instead of {mean.mean():.3g} and {size:.3g}"
    if isinstance(setup.optimizer, _SCALE_FREE):
        yield what, changed
        return
    # of plain steps the gradient, which has the scale in it once or twice, sets the length
    for power in (2, 1):
        lr = setup.optimizer.lr / size**power
        yield f"{what}, at a learning rate of {lr:.2g}", changed.with_optimizer(lr=lr)


CURES = (
    Cure("initializer", 1, _weights),
    Cure("bias", 1, _bias),
    Cure("forget_bias", 1, _forget_bias),
    Cure("normalize_inputs", 2, _inputs),
    Cure("normalize_targets", 2, _targets),
)
