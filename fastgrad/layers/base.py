"""`Layer`: what every layer is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from fastgrad import initializers
from fastgrad.arena import Array
from fastgrad.program import Tape

Backward: TypeAlias = "Callable[[Array, bool], Array | None]"
Rows: TypeAlias = "Callable[[], Iterable[Array]]"  # the same rows at each call, in parts


class Layer:
    """A layer. Subclass it and write `forward` and `backward` in NumPy for a layer of your own.

    Parameters live in the model's arena: `parameters` says which there are, and both passes are
    given views of their values (and gradients) by name. The base class has no parameters, keeps
    the number of features, and records calls back into Python for both passes.

    Examples
    --------
    >>> import fastgrad as fg
    >>> class Scale(fg.Layer):
    ...     def parameters(self):
    ...         return {"factor": ((1,), fg.initializers.ones())}
    ...     def forward(self, x, params, train):
    ...         if train:  # a prediction between two passes is none of them
    ...             self.x = x
    ...         return params["factor"] * x
    ...     def backward(self, dy, params, grads):
    ...         grads["factor"][...] = (dy * self.x).sum()
    ...         return params["factor"] * dy
    >>> model = fg.Sequential(fg.Dense(3, 4, "tanh"), Scale(), fg.Dense(4, 2), rng=0)
    """

    inputs: int | None = None  # features it needs; None for any number
    indices: int | None = None  # takes integers in [0, indices) instead of real numbers
    first_only = False  # whether it takes the model's input, and nothing that layers give

    def parameters(self) -> Mapping[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """Shape and initializer of every parameter, by name."""
        return {}

    def buffers(self) -> Mapping[str, tuple[tuple[int, ...], initializers.InitFunction]]:
        """Shape and initializer of every array that is kept and saved, but not trained.

        Both passes find them among the parameters.
        """
        return {}

    def output_features(self, inputs: int | None) -> int | None:
        """How many features come out when `inputs` go in."""
        return inputs

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of y for x of that shape; by default only the number of features changes."""
        features = self.output_features(shape[-1])
        assert features is not None
        return (*shape[:-1], features)

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Set buffers that depend on the training rows; those set before, only if `again`."""

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int] | None:
        """Operations of the two passes over x of that shape; None where nobody has counted.

        Additions, multiplications, divisions and comparisons count 1, a function such as exp or
        tanh does, too. Without `input_grad` the backward pass is that of the parameters alone.
        Layers within this one count for themselves.
        """
        return None

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Memory for what training keeps from the forward pass to the backward pass, y included.

        Only what grows with the rows of x counts, and not what layers within this one keep;
        `itemsize` is that of the model's dtype.
        """
        return math.prod(self.output_shape(shape)) * itemsize

    def inner(
        self, shape: tuple[int, ...], input_grad: bool
    ) -> list[tuple[Layer, tuple[int, ...], bool]]:
        """The layers within: each with the shape of its x, and whether dx is wanted."""
        return []

    def forward(self, x: Array, params: Mapping[str, Array], train: bool) -> Array:
        """``y`` of shape (N, ..., output features) for ``x`` of shape (N, ..., inputs)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward or record")

    def backward(self, dy: Array, params: Mapping[str, Array], grads: Mapping[str, Array]) -> Array:
        """``dx``; writes the gradient of every parameter into ``grads[name][...]``."""
        raise NotImplementedError(f"{type(self).__name__} must define backward or record")

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record the forward pass; return its output and what records the backward pass.

        The returned function takes ``dy`` (which it may overwrite) and whether ``dx`` is wanted.
        """
        y = tape.empty(self.output_shape(x.shape))

        def forward() -> None:
            y[...] = _shaped(self, "forward", self.forward(x, params, train), y.shape)

        def record_backward(dy: Array, input_grad: bool) -> Array | None:
            dx = tape.empty(x.shape)

            def backward() -> None:
                dx[...] = _shaped(self, "backward", self.backward(dy, params, grads), x.shape)

            tape.python(backward)
            if tape.status is not None:
                for gradient in grads.values():
                    tape.call("check_finite", gradient.reshape(-1), tape.status)
            tape.release(dy)
            return dx

        tape.python(forward)
        return y, record_backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again, ready for JSON."""
        return {}

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({values})"


def rows_of(array: Array) -> Array:
    """(N, F) or (N, T, F) as rows of F features."""
    return array.reshape(-1, array.shape[-1])


def _shaped(layer: Layer, method: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(
            f"{type(layer).__name__}.{method} returned shape {array.shape}, needs {shape}"
        )
    return array
