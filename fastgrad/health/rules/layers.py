"""What layers are, and what their weights are before the first step."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastgrad import initializers
from fastgrad.arena import Array
from fastgrad.batch_norm import BatchNorm
from fastgrad.containers import Chain, named_layers
from fastgrad.custom import UserActivation
from fastgrad.layer_norm import LayerNorm
from fastgrad.layers import Activation, Dense, Layer
from fastgrad.parallel import Parallel
from fastgrad.rescale import Rescale
from fastgrad.residual import Residual

RECTIFIERS = ("relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus")
SIGMOIDS = ("sigmoid", "tanh", "softsign")


@dataclass(frozen=True)
class LayerFacts:
    """One layer.

    Attributes
    ----------
    name, kind : str
        "2.1", and the name of its class.
    activation : str
        "identity" where it has none, or where its cell has its own.
    inputs, outputs : int or None
        Features.
    aside : bool
        Whether it lies within a Residual or a Parallel, so that gradients have a way around it.
    normalizes : bool
    dropout : float
        The fraction that it drops.
    slope : float
        Mean square slope of the activation where its input has variance 1, as E[phi'^2]; 1
        without one.
    gain : float
        What keeps signals in size before it, as a factor on the deviation of weights.
    """

    name: str
    kind: str
    activation: str = "identity"
    inputs: int | None = None
    outputs: int | None = None
    aside: bool = False
    normalizes: bool = False
    dropout: float = 0.0
    slope: float = 1.0
    gain: float = 1.0

    @property
    def recurrent(self) -> bool:
        """Whether it goes through sequences."""
        return self.kind in ("RNN", "LSTM", "GRU")


@dataclass(frozen=True)
class WeightFacts:
    """First values of a parameter of two or more axes.

    Attributes
    ----------
    layer : str
    std : float
        Root mean square.
    law : float
        Their mean square over the one that keeps signals of the layer's activation in size:
        ``gain^2 / fan_in`` (He et al. 2015; LeCun et al. 1998), the gain of gates and states
        being 1, and what they listen to being inputs alone, or states, too. NaN for tables of
        vectors.
    constant : bool
        Whether all elements are the same.
    copies : float
        Fraction of the rows that are the same as another one: units that are given the same.
    column_copies : float
        The same of columns: units of the layer before that are listened to in the same way.
    """

    layer: str
    std: float
    law: float
    constant: bool
    copies: float
    column_copies: float

    @property
    def meant(self) -> float:
        """Root mean square that they have, or should have: the larger one."""
        return self.std / math.sqrt(self.law) if 0 < self.law < 1 else self.std


def layers_of(layers: Sequence[Layer]) -> dict[str, LayerFacts]:
    """By name, those of a chain in its place, and those of a block with other ways behind it."""
    known = named_layers(layers)
    inner = {name for name, layer in known.items() if isinstance(layer, (Residual, Parallel))}
    found = {}
    for name, layer in known.items():
        aside = any(name.startswith(f"{block}.") for block in inner)
        if getattr(layer, "layers", None) and name not in inner:
            continue
        if isinstance(layer, Rescale):
            continue  # it gives gradients a unit, and is no part of what they go through
        activation = getattr(layer, "activation", None)
        if not isinstance(activation, (str, UserActivation)):
            activation = "identity"
        outputs = getattr(layer, "outputs", getattr(layer, "units", None))
        found[name] = LayerFacts(
            name=name,
            kind=type(layer).__name__,
            # a user's function is none of the package's, whatever its name is
            activation=activation if isinstance(activation, str) else f"function {activation}",
            inputs=layer.inputs,
            outputs=outputs if isinstance(outputs, int) else None,
            aside=aside,
            normalizes=isinstance(layer, (BatchNorm, LayerNorm)),
            dropout=float(getattr(layer, "p", getattr(layer, "dropout", 0.0))),
            slope=_slope(activation),
            gain=_gain(activation),
        )
    return found


def last_of(layers: Sequence[Layer]) -> str | None:
    """The name of the one layer, with an activation or without, that makes a model's outputs."""
    name, layer = str(len(layers) - 1), layers[-1]
    while isinstance(layer, Chain):
        name, layer = f"{name}.{len(layer.layers) - 1}", layer.layers[-1]
    return name if isinstance(layer, (Dense, Activation)) else None


def weights_of(
    params: Mapping[str, Array], layers: Mapping[str, LayerFacts]
) -> dict[str, WeightFacts]:
    """First values of all weights."""
    found = {}
    for name, view in params.items():
        if view.ndim < 2:
            continue
        layer = name.rpartition(".")[0]
        values = view.reshape(len(view), -1)
        known = layers.get(layer)
        law = math.nan
        flat = values.ravel().astype(np.float64)
        mean_square = float(flat @ flat) / flat.size
        if known is not None and known.kind == "Dense":
            law = mean_square * values.shape[1] / known.gain**2
        elif known is not None and known.recurrent:
            law = mean_square * values.shape[1]
            if ".weight_ih" in name and law < 1:  # a unit listens to the others as well
                law = min(1.0, mean_square * (values.shape[1] + (known.outputs or 0)))
        found[name] = WeightFacts(
            layer=layer,
            std=math.sqrt(mean_square),
            law=law,
            constant=bool((values == values.flat[0]).all()),
            copies=_copies(values),
            column_copies=_copies(values.T),
        )
    return found


def _copies(rows: Array) -> float:
    if len(set(rows[:, 0].tolist())) == len(rows):
        return 0.0  # rows that differ at once need not be compared any further
    return 1 - len({row.tobytes() for row in rows}) / len(rows)


def _slope(activation: str | UserActivation) -> float:
    if activation == "identity":
        return 1.0
    if isinstance(activation, str):
        return _moment(activation)
    return initializers.MeanField(activation).slope_moment()


@functools.cache  # of names alone: it would keep users' functions
def _moment(activation: str) -> float:
    return initializers.MeanField(activation).slope_moment()


def _gain(activation: str | UserActivation) -> float:
    # PyTorch's gains of tanh and selu are for other ends than keeping signals in size
    return 1.0 if activation in ("tanh", "selu") else initializers.gain(activation)
