"""Layers. A layer states its parameters and records the kernels it calls.

Recording a layer's forward pass returns its output and a function that records its backward pass,
so a layer is one method (`record`) and the two passes share their variables.
"""

from fastgrad.layers.activation import ACTIVATIONS, Activation, checked_activation, own_alpha
from fastgrad.layers.base import Backward, Layer, Rows, rows_of
from fastgrad.layers.dense import Dense

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Backward",
    "Dense",
    "Layer",
    "Rows",
    "checked_activation",
    "own_alpha",
    "rows_of",
]
