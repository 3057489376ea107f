"""Activations on their own, and elementary functions: a thread for each element."""

from __future__ import annotations

import functools
from typing import Any

from fastgrad.arena import Array
from fastgrad.backends import contract
from fastgrad.backends.cuda.activations import derivative_of, erf, forward_of, sigmoid, slope_of
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.elementary import exp, expm1, log, log1p, tanh
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.target import cuda
from fastgrad.custom import UserActivation

EXP, EXPM1, TANH, SIGMOID, ERF, LOG1P, LOG = range(len(contract.FUNCTIONS))
FORWARD, BACKWARD, FUNCTION = 16, 4, 16  # multiply-adds that an element takes, about


@functools.cache
def _forward(activation: str | UserActivation) -> Any:
    f, slope_at = forward_of(activation), slope_of(activation)

    @device
    def forward(m: Memory, w: int, k: int) -> None:
        n, wanted = m.ints[w], m.ints[w + 4] != 0
        x, y = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 3], n)
        alpha = number(m.reals, m.doubles[w + 2])
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            z = x[i]
            found = f(m, z, alpha)
            y[i] = found
            if wanted:
                m.reals[m.ints[w + 4] + i] = slope_at(m, z, found, alpha)

    return forward


@kernel
def activation_forward(
    x: Array, activation: str | UserActivation, alpha: float, y: Array, slope: Array | None
) -> list[Phase]:
    kept = slope if contract.needs_slope(activation) else None
    words = x.size, x, float(alpha), y, kept
    return [over(_forward(activation), x.size, *words, work=FORWARD * x.size)]


@functools.cache
def _backward(activation: str | UserActivation) -> Any:
    derivative, kept = derivative_of(activation), contract.needs_slope(activation)

    @device
    def backward(m: Memory, w: int, k: int) -> None:
        n = m.ints[w]
        y, dy = part(m.reals, m.ints[w + 1], n), part(m.reals, m.ints[w + 3], n)
        slope = part(m.reals, m.ints[w + 2], n) if kept else y
        dx = part(m.reals, m.ints[w + 5], n)
        alpha = number(m.reals, m.doubles[w + 4])
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            dx[i] = dy[i] * derivative(m, y[i], slope[i], alpha)

    return backward


@kernel
def activation_backward(
    y: Array, slope: Array | None, dy: Array, activation: str | UserActivation, alpha: float,
    dx: Array,
) -> list[Phase]:  # fmt: skip
    words = y.size, y, slope, dy, float(alpha), dx
    return [over(_backward(activation), y.size, *words, work=BACKWARD * y.size)]


@device
def _value(m: Memory, function: int, x: float) -> float:
    if function == EXP:
        return exp(x)
    if function == EXPM1:
        return expm1(x)
    if function == TANH:
        return tanh(x)
    if function == SIGMOID:
        return sigmoid(m, x)
    if function == ERF:
        return erf(m, x)
    if function == LOG1P:
        return log1p(x)
    return log(x)


@device
def _elementwise(m: Memory, w: int, k: int) -> None:
    n, function = m.ints[w], m.ints[w + 1]
    x, out = part(m.reals, m.ints[w + 2], n), part(m.reals, m.ints[w + 3], n)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        out[i] = _value(m, function, x[i])


@kernel
def elementwise(function: str, x: Array, out: Array) -> list[Phase]:
    words = x.size, contract.FUNCTIONS.index(function), x, out
    return [over(_elementwise, x.size, *words, work=FUNCTION * x.size)]
