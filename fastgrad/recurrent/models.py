"""What recurrent layers in a model ask of those who train it."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad.containers import named_layers
from fastgrad.layers import Layer
from fastgrad.recurrent.base import Recurrent


def recurrent_layers(layers: Sequence[Layer]) -> dict[str, Recurrent]:
    """Those among the layers, and within them, by name."""
    found = named_layers(layers).items()
    return {name: layer for name, layer in found if isinstance(layer, Recurrent)}


def stateful_layer(layers: Sequence[Layer]) -> str | None:
    """The name of the first stateful layer, if there is one."""
    found = recurrent_layers(layers).items()
    return next((name for name, layer in found if layer.stateful), None)


def refuse_reordering(layers: Sequence[Layer], rows: int, size: int, shuffle: bool) -> None:
    """Raise ValueError where a stateful layer would not meet the same rows in every minibatch."""
    name = stateful_layer(layers)
    if name is None:
        return
    what = f"layer {name} is stateful: each minibatch goes on, row by row, where the last one ended"
    if shuffle:
        raise ValueError(f"{what}, so shuffle must be False")
    if rows % size:
        raise ValueError(f"{what}, so batch_size must divide the {rows} rows, got {size}")
