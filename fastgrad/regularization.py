"""Layers that act in training only, against learning the training data by heart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.layers import Backward, Layer, rows_of
from fastgrad.program import Tape


class Dropout(Layer):
    """In training, each element becomes 0 with probability p, and ``x / (1 - p)`` otherwise.

    The expected output is x, which predictions pass on as it is (Srivastava et al., "Dropout: a
    simple way to prevent neural networks from overfitting", JMLR 2014, there with the factor in
    prediction). What is dropped depends on the model's ``rng``, the step, the layer and the
    element's place in the minibatch, and on nothing else: not on threads or processors.

    Parameters
    ----------
    p : float
        At least 0 and below 1.

    Examples
    --------
    >>> import fastgrad as fg
    >>> model = fg.Sequential(fg.Dense(64, 128, "relu"), fg.Dropout(0.5), fg.Dense(128, 10), rng=0)
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checks.number("p", p, 0, 1, open_high=True)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """A multiplication for each element, in training."""
        size = math.prod(shape) if self.p else 0
        return size, size * input_grad

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """y; without dropping it is x."""
        return super().activation_bytes(shape, itemsize) if self.p else 0

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record dropout, and for later the same on the gradient, with the same mask."""
        if not train or self.p == 0:
            return x, lambda dy, input_grad: dy
        number = tape.random_layer()
        y = tape.empty(x.shape)

        def drop(source: Array, out: Array) -> None:
            rows, dropped = rows_of(source), rows_of(out)
            tape.call("dropout", rows, self.p, tape.seed, number, tape.count, dropped)

        def backward(dy: Array, input_grad: bool) -> Array | None:
            if not input_grad:
                tape.release(dy)
                return None
            drop(dy, dy)
            return dy

        drop(x, y)
        return y, backward

    def config(self) -> dict[str, Any]:
        """The probability that makes this layer again."""
        return {"p": self.p}
