"""Units of which it can be proven that they are dead: interval arithmetic over a box of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastgrad.arena import Array
from fastgrad.layers import Dense, Layer

# outputs of these at pre-activations of at most 0 have slope 0 there
_ZERO_BELOW = ("relu",)
_MONOTONE = ("identity", "relu", "leaky_relu", "elu", "selu", "softplus", "softsign", "tanh",
             "sigmoid")  # fmt: skip


def proven_dead(
    layers: Sequence[Layer], params: Mapping[str, Array], low: Array, high: Array
) -> dict[str, float]:
    """Fraction of the relu units of each layer that are 0 for all inputs in a box.

    The least and the largest value of ``W x + b`` over the box follow from the signs of W alone
    (Moore 1966), and become the box of the next layer. A unit whose largest value is not above 0
    has slope 0 at every row within the box, and no gradient ever reaches it. The search ends at
    the first layer that is not `Dense` with a monotone activation.

    Parameters
    ----------
    layers : sequence of Layer
    params : mapping of str to ndarray
        ``"0.weight"``, (outputs, inputs), and ``"0.bias"``.
    low, high : ndarray, (F,)
        The box: least and largest value of each feature.

    Returns
    -------
    dict of str to float
        By the names of the layers with relu.
    """
    found = {}
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    for i, layer in enumerate(layers):
        if type(layer) is not Dense or layer.activation not in _MONOTONE:
            break
        weight = np.asarray(params[f"{i}.weight"], np.float64)
        bias = params.get(f"{i}.bias", np.zeros(len(weight)))
        middle, half = weight @ (low + high) / 2 + bias, np.abs(weight) @ (high - low) / 2
        low, high = middle - half, middle + half
        # what sums in another order may differ by: the proof is to hold for those of the kernels
        slack = 1e-5 * (np.abs(middle) + half)
        if layer.activation in _ZERO_BELOW:
            found[str(i)] = float(np.mean(high + slack <= 0))
        low, high = (_value(layer, v) for v in (low - slack, high + slack))
    return found


def _value(layer: Dense, u: Array) -> Array:
    """The activation; of those that only grow any such bound will do."""
    name = layer.activation
    if name == "relu":
        return np.maximum(u, 0)
    if name == "leaky_relu":
        return np.where(u > 0, u, layer.alpha * u)
    if name in ("elu", "selu"):  # bounds: neither falls below -1.76, nor rises above 1.06 u
        return np.where(u > 0, 1.0507009873554805 * u, -1.7580993408473766 * (layer.alpha or 1))
    if name == "softplus":
        return np.asarray(np.logaddexp(0, u))
    if name == "softsign":
        return np.asarray(u / (1 + np.abs(u)))
    if name == "tanh":
        return np.tanh(u)
    if name == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * u))
    return u
