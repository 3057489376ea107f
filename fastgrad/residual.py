"""Layers with a way around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import (
    Specs,
    buffers_of,
    features_of,
    listed,
    own,
    parameters_of,
    placed,
    record_all,
)
from fastgrad.layers import Backward, Layer, Rows, rows_of
from fastgrad.program import Tape


class Residual(Layer):
    """Layers with a way around them, ``y = x + scale * f(x)`` (He et al. 2016).

    The gradient reaches x by the way around whatever the layers do to it, so depth alone can no
    longer make it vanish. The variance of the outputs grows with every block, unless the scale is
    small: of the order of one over the root of the number of blocks, or learned from 0, with which
    a block starts as the identity (SkipInit, De & Smith 2020; ReZero, Bachlechner et al. 2021).

    Parameters
    ----------
    *layers : Layer
        f; as many features must come out as go in.
    scale : float
        Constant, or the first value of the parameter ``scale``, of shape (1,).
    learn_scale : bool
        Whether the scale is a parameter.

    Examples
    --------
    >>> import fastgrad as fg
    >>> block = fg.Residual(fg.Dense(64, 64, "relu"), fg.Dense(64, 64), scale=0, learn_scale=True)
    """

    def __init__(self, *layers: Layer, scale: float = 1.0, learn_scale: bool = False) -> None:
        self.layers = checks.layers(layers)
        self.scale = checks.number("scale", scale)
        self.learn_scale = bool(learn_scale)
        self.inputs, outputs = features_of(self.layers)
        self.first_only = self.layers[0].first_only
        if self.layers[0].indices is not None:
            raise ValueError("a Residual adds its input to what comes out: it takes no indices")
        if self.inputs is not None and outputs != self.inputs:
            raise ValueError(
                f"the layers of a Residual must give as many features as they take: "
                f"{self.inputs} go in, {outputs} come out"
            )

    def parameters(self) -> Specs:
        """Those of the layers, named by their number, and ``scale`` where it is learned."""
        own: Specs = {}
        if self.learn_scale:
            own["scale"] = ((1,), initializers.constant(self.scale))
        return own | parameters_of(self.layers)

    def buffers(self) -> Specs:
        """Those of the layers, named by their number."""
        return buffers_of(self.layers)

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Have the first of the layers do it."""
        self.layers[0].fit_input(rows, own(params, 0), again)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A multiply-add forward; backward, a product, the gradients of scale, and of x a sum."""
        size = math.prod(shape)
        scaled = bool(input_grad or self.parameters())
        return 2 * size, size * (scaled + 2 * self.learn_scale + input_grad)

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
        """Record the layers between the two kernels that lead around them."""
        f, _, backward_of_layers = record_all(self.layers, tape, x, params, grads, train)
        if f.shape != x.shape:
            raise ValueError(f"the layers of a Residual turned shape {x.shape} into {f.shape}")
        y = tape.empty(x.shape)
        scale, dscale = params.get("scale"), grads.get("scale")
        tape.call("residual_forward", rows_of(x), rows_of(f), scale, self.scale, rows_of(y))

        def backward(dy: Array, input_grad: bool) -> Array | None:
            df = tape.empty(x.shape)
            sums = tape.empty((len(rows_of(x)),), np.float64)
            tape.call(
                "residual_backward",
                rows_of(f),
                rows_of(dy),
                scale,
                self.scale,
                rows_of(df),
                dscale,
                sums,
                tape.status,
            )
            tape.release(sums)
            dx = backward_of_layers(df, input_grad)
            if input_grad:
                assert dx is not None
                tape.call("add", rows_of(dy), rows_of(dx))
            tape.release(dy)
            return dx if input_grad else None

        return y, backward

    def config(self) -> dict[str, Any]:
        """The layers and the scale that make this block again."""
        found: dict[str, Any] = {"layers": self.layers}
        if self.scale != 1:
            found["scale"] = self.scale
        if self.learn_scale:
            found["learn_scale"] = True
        return found

    def __repr__(self) -> str:
        options = {key: value for key, value in self.config().items() if key != "layers"}
        told = "".join(f", {key}={value!r}" for key, value in options.items())
        return f"Residual({listed(self.layers)}{told})"
