"""Vectors for integer indices, and what turns a sequence of vectors into one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.layers import Backward, Layer
from fastgrad.program import Tape


class Embedding(Layer):
    """A table of vectors, of which each index takes its row.

    It is the first layer of a model, whose input then is an array of integers: (N,) or (N, T) in,
    (N, features) or (N, T, features) out. Indices have no gradient: call
    ``model.backward(dy, input_grad=False)``.

    Parameters
    ----------
    count : int
        Indices are at least 0 and below it; ``weight`` has shape (count, features).
    features : int
    padding_idx : int, optional
        An index whose gradient is 0, and whose row starts as zeros unless `weight_init` is an
        array; as in PyTorch, a negative one counts from the end.
    weight_init : str, initializer or ndarray, optional
        Default: normal numbers of variance 1, as in PyTorch.

    Notes
    -----
    The gradient of a row is the sum over its occurrences, in float64 and in the order of the
    batch. A backward pass writes the rows that are used or were, but it reads the whole table, and
    the optimizer updates all of it: with Adam a row that is not used goes on moving for a while.

    Examples
    --------
    >>> import fastgrad as fg
    >>> model = fg.Sequential(
    ...     fg.Embedding(1000, 16), fg.Flatten(8, 16), fg.Dense(8 * 16, 2), rng=0
    ... )
    >>> model.predict([[5, 3, 999, 0, 0, 1, 2, 3]]).shape
    (1, 2)
    """

    indices: int
    first_only = True

    def __init__(
        self,
        count: int,
        features: int,
        padding_idx: int | None = None,
        *,
        weight_init: Any = None,
    ) -> None:
        self.indices = checks.count("count", count)
        self.features = checks.count("features", features)
        self.padding_idx = None
        if padding_idx is not None:
            padding = checks.count("padding_idx", padding_idx, minimum=-self.indices)
            if padding >= self.indices:
                raise ValueError(
                    f"padding_idx must lie in [{-self.indices}, {self.indices}), got {padding}"
                )
            self.padding_idx = padding % self.indices
        given = initializers.normal(1.0) if weight_init is None else weight_init
        init = initializers.get(given, "weight_init of Embedding")
        if self.padding_idx is not None and not isinstance(weight_init, np.ndarray):
            init = functools.partial(_with_zero_row, init, self.padding_idx)
        self.weight_init = init

    def parameters(self) -> Specs:
        """``weight`` (count, features)."""
        return {"weight": ((self.indices, self.features), self.weight_init)}

    def output_features(self, inputs: int | None) -> int:
        """`features`; indices have none."""
        return self.features

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """An axis of features more than that of the indices."""
        return (*shape, self.features)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """Copies forward, sums backward."""
        return 0, math.prod(shape) * self.features

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record embedding_forward, and embedding_backward for later."""
        flat, weight = x.reshape(-1), params["weight"]
        y = tape.empty(self.output_shape(x.shape))
        tape.call("embedding_forward", weight, flat, y.reshape(-1, self.features))

        def backward(dy: Array, input_grad: bool) -> None:
            place = tape.empty((self.indices,), np.int64)
            chains = tape.empty((4, flat.size), np.int64)
            count = tape.empty((1,), np.int64)
            tape.call(
                "embedding_backward",
                flat,
                dy.reshape(-1, self.features),
                -1 if self.padding_idx is None else self.padding_idx,
                grads["weight"],
                place,
                chains,
                count,
                tape.status,
            )
            for used in (dy, place, chains, count):
                tape.release(used)

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; initial values are not part of it."""
        found: dict[str, Any] = {"count": self.indices, "features": self.features}
        if self.padding_idx is not None:
            found["padding_idx"] = self.padding_idx
        return found


class Flatten(Layer):
    """The vectors of all time steps as one: (N, steps, features) in, (N, steps * features) out.

    Parameters
    ----------
    steps, features : int
    """

    inputs: int

    def __init__(self, steps: int, features: int) -> None:
        self.steps = checks.count("steps", steps)
        self.inputs = checks.count("features", features)

    def output_features(self, inputs: int | None) -> int:
        """Those of all steps."""
        return self.steps * self.inputs

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(N, steps * features), for exactly (N, steps, features)."""
        if len(shape) != 3 or shape[1:] != (self.steps, self.inputs):
            raise ValueError(f"Flatten needs (N, {self.steps}, {self.inputs}), got shape {shape}")
        return shape[0], self.steps * self.inputs

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """None at all."""
        return 0, 0

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """Nothing: y is x in another shape."""
        return 0

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record nothing: the same numbers in another shape."""
        if tape.lengths is not None:
            raise ValueError(
                "Flatten would mix the padding of sequences with lengths into its features; a "
                "recurrent layer without return_sequences gives one vector for each sequence"
            )
        y = x.reshape(self.output_shape(x.shape))
        return y, lambda dy, input_grad: dy.reshape(x.shape)

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {"steps": self.steps, "features": self.inputs}


def _with_zero_row(
    init: initializers.InitFunction,
    row: int,
    shape: Sequence[int],
    rng: np.random.Generator,
    dtype: Any,
) -> Array:
    values = init(shape, rng, dtype)
    values[row] = 0
    return values
