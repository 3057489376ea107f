"""The dense layer: one phase forward, and backward one for f' and one for all products."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastgrad.arena import Array
from fastgrad.backends.contract import needs_slope
from fastgrad.backends.cuda.activations import derivative_of, forward_of, slope_of
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import kernel, over
from fastgrad.backends.cuda.product import Phases, Product, make
from fastgrad.backends.cuda.target import cuda
from fastgrad.custom import UserActivation

Activation = str | UserActivation


@kernel
def dense_forward(
    x: Array, w: Array, b: Array | None, activation: Activation, alpha: float, y: Array,
    slope: Array | None,
) -> Phases:  # fmt: skip
    (rows, inputs), units = x.shape, len(w)
    kept = slope if needs_slope(activation) else None
    product = Product(
        x, w, y, rows, units, inputs, (inputs, 1), (1, inputs), units, bias=b, slope=kept,
        alpha=alpha,
    )  # fmt: skip
    if activation == "identity":
        return make([product])
    return make([product], forward_of(activation), slope_of(activation))


@functools.cache
def _through(activation: Activation) -> Callable[..., None]:
    derivative = derivative_of(activation)

    @device
    def through(m: Memory, w: int, k: int) -> None:
        """The gradient, through the activation."""
        n, slopes = m.ints[w], m.ints[w + 3]
        dy, y = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 2], n)
        alpha, slope = number(m.reals, m.doubles[w + 4]), number(m.reals, 0.0)
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            if slopes != 0:
                slope = m.reals[slopes + i]
            dy[i] *= derivative(m, y[i], slope, alpha)

    return through


@kernel
def dense_backward(
    x: Array, w: Array, y: Array, slope: Array | None, activation: Activation, alpha: float,
    dy: Array, dx: Array | None, dw: Array, db: Array | None, status: Array | None,
) -> Phases:  # fmt: skip
    (rows, inputs), units = x.shape, len(w)
    phases: Phases = []
    if activation != "identity":
        words = dy.size, dy, y, slope, float(alpha)
        phases.append(over(_through(activation), dy.size, *words))
    to_weights = Product(
        dy, x, dw, units, inputs, rows, (1, units), (inputs, 1), inputs, ones=db, status=status
    )
    if dx is None:
        return phases + make([to_weights])
    to_inputs = Product(dy, w, dx, rows, inputs, units, (units, 1), (inputs, 1), inputs)
    return phases + make([to_weights, to_inputs])
