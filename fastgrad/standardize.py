"""Inputs brought to mean 0 and deviation 1, by statistics of the training data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, initializers
from fastgrad.arena import Array
from fastgrad.containers import Specs
from fastgrad.layers import Backward, Layer, Rows, rows_of
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
    Statistics are taken in float64, in two passes over each block of rows: columns as 1e8 plus
    noise keep their digits. A column that does not vary by more than the smallest normal
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

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Set mean and scale to those of the rows.

        Raises
        ------
        ValueError
            Where values lie so far apart that their deviation is not finite.
        """
        if params["scale"].all() and not again:
            return
        with np.errstate(over="ignore", invalid="ignore"):
            mean, variance = _statistics(rows, self.inputs)
            scale = np.sqrt(variance)
        if not np.isfinite(scale).all():
            column = int(np.argmin(np.isfinite(scale)))
            raise ValueError(
                f"column {column} of X has a standard deviation that is not finite, {scale[column]}"
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


def _statistics(rows: Rows, features: int) -> tuple[Array, Array]:
    """Mean and biased variance of each column, merged block by block.

    Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances", 1979.
    """
    origin: Array | None = None
    count, mean, squares = 0, np.zeros(features), np.zeros(features)
    for part in rows():
        flat = rows_of(part)
        for i in range(0, len(flat), _BLOCK):
            block = flat[i : i + _BLOCK].astype(np.float64)
            if origin is None:
                origin = block[0].copy()
            block -= origin  # now a constant column is 0, and of 1e8 and noise the noise is left
            center = block.mean(axis=0)
            block -= center
            apart = center - mean
            before, count = count, count + len(block)
            share = len(block) / count
            squares += (block**2).sum(axis=0) + apart**2 * (before * share)
            mean += apart * share
    assert origin is not None
    return origin + mean, squares / count
