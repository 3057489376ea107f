"""Inputs brought to mean 0 and deviation 1, by statistics of the training data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.layers import Backward, Layer, rows_of
from fastgrad.program import Tape

_BLOCK = 4096  # rows that are widened to float64 at a time


class Standardize(Layer):
    """``y = (x - mean) / scale``: each input less its mean, divided by its standard deviation.

    `fit` takes both from the rows it trains on, before the first epoch, unless the model has them
    already; with a `Trainer` call ``model.fit_input(X)`` once. They are buffers, ``mean`` and
    ``scale`` of shape (features,), saved and loaded with the model. It takes the model's input
    only.

    Parameters
    ----------
    features : int
        Length of the last axis of x, of shape (N, features) or (N, T, features); statistics are
        those of all rows, and of all time steps.

    Notes
    -----
    Statistics are taken in float64, in two passes over differences to the first row: columns as
    1e8 plus noise keep their digits. A column that does not vary by more than the smallest normal
    number has scale 1.
    """

    inputs: int
    first_only = True

    def __init__(self, features: int) -> None:
        self.inputs = checks.count("features", features)

    def buffers(self) -> Specs:
        """``mean`` and ``scale``, both (features,), and zeros until they are fitted."""
        shape = (self.inputs,)
        return {name: (shape, initializers.zeros()) for name in ("mean", "scale")}

    def fit_input(self, x: Array, params: Mapping[str, Array], again: bool) -> None:
        """Set mean and scale to those of the rows x.

        Raises
        ------
        ValueError
            Where values lie so far apart that their deviation is not finite.
        """
        if params["scale"].all() and not again:
            return
        rows = rows_of(x)
        start = rows[0].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            shift = _column_mean(rows, start, 1)
            mean = start + shift
            scale = np.sqrt(_column_mean(rows, mean, 2))
        if not np.isfinite(scale).all():
            column = int(np.argmin(np.isfinite(scale)))
            low, high = rows[:, column].min(), rows[:, column].max()
            raise ValueError(
                f"column {column} of X reaches from {low} to {high}: too far to be standardized"
            )
        scale[scale < np.finfo(params["scale"].dtype).tiny] = 1
        params["mean"][...] = mean
        params["scale"][...] = scale

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A difference and a quotient; backward, the quotient."""
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
        """Record standardize_forward, and standardize_backward for later."""
        mean, scale = params["mean"], params["scale"]
        if not scale.all():
            raise RuntimeError(
                "Standardize has not been fitted: call model.fit_input(X) with the training rows, "
                "or train with fastgrad.fit, which does"
            )
        y = tape.empty(x.shape)
        tape.call("standardize_forward", rows_of(x), mean, scale, rows_of(y))

        def backward(dy: Array, input_grad: bool) -> Array | None:
            if not input_grad:
                tape.release(dy)
                return None
            tape.call("standardize_backward", rows_of(dy), scale, rows_of(dy))
            return dy

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again; what was fitted is saved as buffers."""
        return {"features": self.inputs}


def _column_mean(rows: Array, center: Array, power: int) -> Array:
    """Mean over rows of ``(rows - center)^power``, a block of rows after the other."""
    total = np.zeros(center.shape)
    for i in range(0, len(rows), _BLOCK):
        total += ((rows[i : i + _BLOCK] - center) ** power).sum(axis=0)
    return total / len(rows)
