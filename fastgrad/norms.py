"""Norms of parameters and gradients, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fastgrad.arena import Array


def by_layer(arrays: Mapping[str, Array]) -> dict[str, list[Array]]:
    """Arrays named like ``0.weight``, by the layer in their name."""
    layers: dict[str, list[Array]] = {}
    for name, array in arrays.items():
        layers.setdefault(name.rpartition(".")[0], []).append(array)
    return layers


def layer_norms(arrays: Mapping[str, Array]) -> dict[str, float]:
    """The Euclidean norm of all the elements of each layer together, in float64."""
    return {layer: _norm(group) for layer, group in by_layer(arrays).items()}


def _norm(arrays: list[Array]) -> float:
    flat = map(np.ravel, arrays)
    squares = (float(np.einsum("i,i->", a, a, dtype=np.float64)) for a in flat)
    return math.sqrt(math.fsum(squares))
