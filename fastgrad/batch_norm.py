"""Batch normalization: each feature over the rows of the minibatch."""

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


class BatchNorm(Layer):
    """Batch normalization (Ioffe & Szegedy 2015): each feature over the rows of the minibatch.

    ``y = weight * (x - mean) / sqrt(var + eps) + bias`` with the minibatch's own mean and biased
    variance in training, and with ``running_mean`` and ``running_var`` in prediction, which follow
    them by ``running += momentum * (batch - running)``; the variance is unbiased there. In
    sequences (N, T, features) the rows are those of all time steps.

    Parameters
    ----------
    features : int
    eps : float
        Added to the variance.
    momentum : float in [0, 1]
        Weight of the new minibatch in the running statistics.
    affine : bool
        Whether there are ``weight`` and ``bias``, of shape (features,).

    Notes
    -----
    A minibatch of one row has no variance: training on one raises ValueError. A step that fails
    leaves the running statistics as they were.
    """

    inputs: int

    def __init__(
        self, features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        self.inputs = checks.count("features", features)
        self.eps = checks.number("eps", eps, 0, open_low=True)
        self.momentum = checks.number("momentum", momentum, 0, 1)
        self.affine = bool(affine)

    def parameters(self) -> Specs:
        """``weight`` and ``bias``, both (features,), unless left out."""
        if not self.affine:
            return {}
        shape = (self.inputs,)
        return {
            "weight": (shape, initializers.ones()),
            "bias": (shape, initializers.zeros()),
        }

    def buffers(self) -> Specs:
        """``running_mean`` and ``running_var``, both (features,)."""
        shape = (self.inputs,)
        return {
            "running_mean": (shape, initializers.zeros()),
            "running_var": (shape, initializers.ones()),
        }

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """For each element: mean 1, variance 3, normalized 1, affine 2; backward, see below."""
        size = math.prod(shape)
        backward = 5 if self.affine or input_grad else 0  # normalized 2, the two sums 1 + 2
        return size * (5 + 2 * self.affine), size * (backward + 4 * input_grad)

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record batch_norm_forward or batch_norm_predict, and batch_norm_backward for later."""
        rows = rows_of(x)
        weight, bias = params.get("weight"), params.get("bias")
        running = params["running_mean"], params["running_var"]
        y = tape.empty(x.shape)
        if not train:
            tape.call("batch_norm_predict", rows, weight, bias, *running, self.eps, rows_of(y))
            return y, _no_way_back
        if tape.lengths is not None and x.ndim > 2:
            raise ValueError(
                "BatchNorm would take the padding of sequences with lengths into its statistics; "
                "LayerNorm looks at each step by itself"
            )
        if len(rows) < 2:
            raise ValueError(
                "BatchNorm needs at least 2 rows in every minibatch of training, got 1; choose a "
                "batch_size that does not leave one row over"
            )
        mean, var = (tape.empty((self.inputs,), np.float64) for _ in range(2))
        tape.call("batch_norm_forward", rows, weight, bias, self.eps, rows_of(y), mean, var)
        tape.call_when_good("batch_norm_update", mean, var, len(rows), self.momentum, *running)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            flat = rows_of(dy)
            tape.call(
                "batch_norm_backward",
                rows,
                weight,
                mean,
                var,
                flat,
                self.eps,
                flat if input_grad else None,
                grads.get("weight"),
                grads.get("bias"),
                tape.status,
            )
            if input_grad:
                return dy
            tape.release(dy)
            return None

        return y, backward

    def config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        found: dict[str, Any] = {
            "features": self.inputs,
            "eps": self.eps,
            "momentum": self.momentum,
        }
        if not self.affine:
            found["affine"] = False
        return found


def _no_way_back(dy: Array, input_grad: bool) -> Array | None:
    raise RuntimeError("a prediction has no backward pass")
