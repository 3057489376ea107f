"""Outputs in the units of the targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.layers import Backward, Layer, rows_of
from fastgrad.program import Tape


class Rescale(Layer):
    """``y = mean + scale * x``, both fixed: the last layer where targets are far from 0 or from 1.

    With the mean and the standard deviation of the training targets the layers before it learn
    targets of mean 0 and deviation 1, as `Standardize` gives the first one such inputs, and
    predictions are in the targets' own units. The gradient is multiplied by the scale, and that of
    a mean square error is as many times larger itself: Adam and its like do not notice, plain SGD
    needs a learning rate divided by ``scale**2``.

    Parameters
    ----------
    mean, scale : array-like, (features,)
        Finite; the scale above 0.

    Examples
    --------
    >>> import fastgrad as fg
    >>> model = fg.Sequential(fg.Dense(3, 8, "relu"), fg.Dense(8, 1), fg.Rescale([52.0], [44.0]))
    """

    inputs: int

    def __init__(self, mean: Any, scale: Any) -> None:
        self.mean, self.scale = _vector("mean", mean), _vector("scale", scale)
        if len(self.mean) != len(self.scale):
            raise ValueError(
                f"mean and scale must be as long as each other, got {len(self.mean)} and "
                f"{len(self.scale)}"
            )
        if not (self.scale > 0).all():
            raise ValueError(f"scale must be above 0, got {self.scale.min()}")
        self.inputs = checks.count("features", len(self.mean))

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A multiply-add; backward, a product."""
        size = math.prod(shape)
        return 2 * size, size * input_grad

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record standardize_forward, whose inverse this is, and standardize_backward for later."""
        center = (-self.mean / self.scale).astype(tape.dtype)
        unit = (1 / self.scale).astype(tape.dtype)
        y = tape.empty(x.shape)
        tape.call("standardize_forward", rows_of(x), center, unit, rows_of(y))

        def backward(dy: Array, input_grad: bool) -> Array | None:
            if not input_grad:
                tape.release(dy)
                return None
            tape.call("standardize_backward", rows_of(dy), unit, rows_of(dy))
            return dy

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}


def _vector(name: str, value: Any) -> Array:
    found = np.array(value, np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite numbers, one for each feature, got {value!r}")
    return found
