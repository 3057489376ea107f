"""Layers in a row: what they have together, and the row as one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.layers import Backward, Layer, Rows
from fastgrad.program import Tape

Specs = dict[str, tuple[tuple[int, ...], initializers.InitFunction]]


def parameters_of(layers: Sequence[Layer]) -> Specs:
    """Shapes and initializers of all parameters, by the layer's number and their own name."""
    return {
        f"{i}.{name}": spec
        for i, layer in enumerate(layers)
        for name, spec in layer.parameters().items()
    }


def buffers_of(layers: Sequence[Layer]) -> Specs:
    """The same of all buffers."""
    return {
        f"{i}.{name}": spec
        for i, layer in enumerate(layers)
        for name, spec in layer.buffers().items()
    }


def named_layers(layers: Sequence[Layer], path: str = "") -> dict[str, Layer]:
    """All layers, those within others included, by the names that their parameters start with."""
    found: dict[str, Layer] = {}
    for i, layer in enumerate(layers):
        name = f"{path}{i}"
        found[name] = layer
        found |= named_layers(getattr(layer, "layers", ()), f"{name}.")
    return found


def features_of(layers: Sequence[Layer]) -> tuple[int | None, int | None]:
    """Features in and out, after seeing that each layer takes what the one before it gives."""
    features: int | None = None
    inputs: int | None = None
    for i, layer in enumerate(layers):
        if i and layer.first_only:
            raise ValueError(
                f"layer {i} ({type(layer).__name__}) must be the first: it takes the model's input"
            )
        if layer.inputs is not None:
            if features is not None and features != layer.inputs:
                raise ValueError(
                    f"layer {i} ({type(layer).__name__}) takes {layer.inputs} features, "
                    f"but layer {i - 1} gives {features}"
                )
            # what comes out of the layers before is what goes in, unless they change its number
            if features is None and given_by(layers[:i], layer.inputs) == layer.inputs:
                inputs = layer.inputs
            features = layer.inputs
        features = layer.output_features(features)
    return inputs, features


def given_by(layers: Sequence[Layer], inputs: int | None) -> int | None:
    """Features that come out of layers in a row when `inputs` go in."""
    for layer in layers:
        inputs = layer.output_features(inputs)
    return inputs


def placed(
    layers: Sequence[Layer], shape: tuple[int, ...], input_grad: bool
) -> list[tuple[Layer, tuple[int, ...], bool]]:
    """Each layer of a row with the shape of its input, and whether the gradient of that is wanted.

    It is where a layer below has parameters.
    """
    found = []
    for layer in layers:
        found.append((layer, shape, input_grad))
        shape = layer.output_shape(shape)
        input_grad = input_grad or bool(layer.parameters())
    return found


def record_all(
    layers: Sequence[Layer],
    tape: Tape,
    x: Array,
    params: Mapping[str, Array],
    grads: Mapping[str, Array],
    train: bool,
) -> tuple[Array, list[Array], Backward]:
    """Record all layers on x; return output, every layer's output, and the way back.

    The buffers of the layers are among `params`.
    """
    backwards = []
    outputs = []
    y = x
    for i, layer in enumerate(layers):
        with tape.met(is_foreign(layer)), tape.inside(str(i)):
            y, backward = layer.record(tape, y, own(params, i), own(grads, i), train)
            tape.see_output(y)
        backwards.append(backward)
        outputs.append(y)

    def record_backward(dy: Array, input_grad: bool) -> Array | None:
        gradient = dy
        for i in reversed(range(len(backwards))):
            below = any(layer.parameters() for layer in layers[:i])
            with tape.met(is_foreign(layers[i])), tape.inside(str(i)):
                tape.see_gradient(gradient)
                dx = backwards[i](gradient, input_grad or below)
            if dx is None:
                return None
            gradient = dx
        with tape.inside("input"):
            tape.see_gradient(gradient)
        return gradient

    return y, outputs, record_backward


def is_foreign(layer: Layer) -> bool:
    """Whether somebody else wrote what records it."""
    return not type(layer).record.__module__.startswith("fastgrad.")


def own(views: Mapping[str, Array], i: int) -> dict[str, Array]:
    """Those of layer i, by the names that it gives them."""
    prefix = f"{i}."
    return {name[len(prefix) :]: view for name, view in views.items() if name.startswith(prefix)}


class Chain(Layer):
    """Layers in a row, as one layer; what a Sequential within another one becomes.

    Parameters
    ----------
    *layers : Layer
    values : mapping of str to ndarray, optional
        First values of parameters and buffers, instead of what the layers' initializers give.
    """

    def __init__(self, *layers: Layer, values: Mapping[str, Array] | None = None) -> None:
        self.layers = checks.layers(layers)
        self.inputs, self._outputs = features_of(self.layers)
        self.indices, self.first_only = self.layers[0].indices, self.layers[0].first_only
        self._values = None if values is None else {k: np.array(v) for k, v in values.items()}

    def parameters(self) -> Specs:
        """Those of the layers, named by their number: ``"0.weight"``."""
        found = parameters_of(self.layers)
        return self._kept(found)

    def buffers(self) -> Specs:
        """Those of the layers, named alike."""
        return self._kept(buffers_of(self.layers))

    def _kept(self, specs: Specs) -> Specs:
        if self._values is None:
            return specs
        return {name: (shape, _copy(self._values[name])) for name, (shape, _) in specs.items()}

    def output_features(self, inputs: int | None) -> int | None:
        """What the last layer gives."""
        return given_by(self.layers, inputs)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What the last layer gives."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Have the first layer do it."""
        self.layers[0].fit_input(rows, own(params, 0), again)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """None but those of the layers."""
        return 0, 0

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Nothing but what the layers keep."""
        return 0

    def inner(
        self, shape: tuple[int, ...], input_grad: bool
    ) -> list[tuple[Layer, tuple[int, ...], bool]]:
        """The layers."""
        return placed(self.layers, shape, input_grad)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record the layers, one after the other."""
        y, _, backward = record_all(self.layers, tape, x, params, grads, train)
        return y, backward

    def config(self) -> dict[str, Any]:
        """The layers that make this chain again."""
        return {"layers": self.layers}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({listed(self.layers)})"


def _copy(values: Array) -> initializers.InitFunction:
    return lambda shape, rng, dtype: values.astype(dtype)


def listed(layers: Sequence[Layer]) -> str:
    return ", ".join(map(repr, layers))
