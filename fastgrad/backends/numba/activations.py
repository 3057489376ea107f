"""Activations, their slopes, and elementary functions.

design:
 a) One loop for each, free of branches that LLVM cannot turn into selections, so that it makes
    vectors of them.
 b) A number of 4096 or more is no name's: it is the address of a function that a user has written,
    compiled for this dtype.
 c) Comparisons are written so that NaN passes through.
"""

from __future__ import annotations

import math as exact
from typing import Any

from numba import carray, types

from fastgrad.arena import Array
from fastgrad.backends import contract
from fastgrad.backends.numba import math
from fastgrad.backends.numba.calling import FIRST_ADDRESS, call_activation
from fastgrad.backends.numba.compiling import external, inline, overload, service
from fastgrad.backends.numba.denormals import keep_denormals, set_mode
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import copy, given, number, part, pointer
from fastgrad.backends.numba.team import Team, share

(
    IDENTITY, RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, SOFTPLUS, SOFTSIGN, TANH, SIGMOID,
) = range(len(contract.ACTIVATIONS))  # fmt: skip
EXP, EXPM1, TANH_OF, SIGMOID_OF, ERF, LOG1P, LOG = range(len(contract.FUNCTIONS))
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
SQRT_HALF = exact.sqrt(0.5)
NORMAL_PEAK = 1 / exact.sqrt(2 * exact.pi)
SQRT_2_PI = exact.sqrt(2 / exact.pi)
GRAIN = 64  # elements of a share: whole cache lines
SOME = 4096  # elements that stay in L1 between two loops


@inline
def _activate(kind: int, alpha: float, y: Array, slope: Array | None) -> None:
    n = len(y)
    one, half, a = number(y, 1.0), number(y, 0.5), number(y, alpha)
    scale, scaled = number(y, SELU_SCALE), number(y, SELU_SCALE * SELU_ALPHA)
    c, cubic = number(y, SQRT_2_PI), number(y, 0.044715)
    triple, root, peak = number(y, 3 * 0.044715), number(y, SQRT_HALF), number(y, NORMAL_PEAK)
    zero = number(y, 0.0)
    if kind >= FIRST_ADDRESS:
        call_activation(kind, y, slope)
    elif kind == RELU:
        for i in range(n):
            y[i] = zero if y[i] < zero else y[i]
    elif kind == LEAKY_RELU:
        for i in range(n):
            y[i] = a * y[i] if y[i] < zero else y[i]
    elif kind == ELU:
        for i in range(n):
            below = a * math.expm1(y[i])
            y[i] = below if y[i] < zero else y[i]
    elif kind == SELU:
        for i in range(n):
            below = scaled * math.expm1(y[i])
            y[i] = below if y[i] < zero else scale * y[i]
    elif kind == TANH:
        for i in range(n):
            y[i] = math.tanh(y[i])
    elif kind == SIGMOID:
        for i in range(n):
            y[i] = math.sigmoid(y[i])
    elif kind == SOFTPLUS:
        for i in range(n):
            t = math.log1p(math.exp(-abs(y[i])))
            y[i] = (zero if y[i] < zero else y[i]) + t
    elif kind == SOFTSIGN:
        for i in range(n):
            y[i] = y[i] / (one + abs(y[i]))
    elif kind == SILU:
        if given(slope):
            for i in range(n):
                z = y[i]
                s = math.sigmoid(z)
                y[i] = z * s
                slope[i] = s + z * s * (one - s)
        else:
            for i in range(n):
                y[i] = y[i] * math.sigmoid(y[i])
    elif kind == GELU:
        if given(slope):
            for i in range(n):
                z = y[i]
                s = half * (one + math.erf(root * z))
                y[i] = z * s
                slope[i] = s + z * peak * math.exp(-half * z * z)
        else:
            for i in range(n):
                y[i] = half * y[i] * (one + math.erf(root * y[i]))
    elif kind == GELU_TANH:
        if given(slope):
            for i in range(n):
                z = y[i]
                t = math.tanh(c * (z + cubic * z * z * z))
                y[i] = half * z * (one + t)
                inner = c * (one + triple * z * z)
                slope[i] = half * (one + t) + half * z * (one - t * t) * inner
        else:
            for i in range(n):
                z = y[i]
                y[i] = half * z * (one + math.tanh(c * (z + cubic * z * z * z)))


@service(
    lambda real: types.void(types.int64, types.float64, *[types.CPointer(real)] * 2, types.int64)
)
def activation(kind: int, alpha: float, y: Any, slope: Any, n: int) -> None:
    _activate(kind, alpha, carray(y, n), carray(slope, n))


def activate(kind: int, alpha: float, y: Array, slope: Array | None) -> None:
    """y: z on entry, f(z) on return. slope, where given: f'(z) of those that need one."""
    _activate(kind, alpha, y, slope)


@overload(activate)
def _overload_activate(kind: Any, alpha: Any, y: Any, slope: Any) -> Any:
    call = external("activation", y.dtype)
    return lambda kind, alpha, y, slope: call(kind, alpha, pointer(y), pointer(slope), len(y))


@inline
def _times_slope(kind: int, alpha: float, y: Array, slope: Any, dz: Array) -> None:
    n = len(y)
    one, a, zero = number(y, 1.0), number(y, alpha), number(y, 0.0)
    scale, scaled = number(y, SELU_SCALE), number(y, SELU_SCALE * SELU_ALPHA)
    if kind >= FIRST_ADDRESS or kind in (GELU, GELU_TANH, SILU):
        for i in range(n):
            dz[i] *= slope[i]
    elif kind == RELU:
        for i in range(n):
            dz[i] = dz[i] if y[i] > zero else zero
    elif kind == LEAKY_RELU:
        for i in range(n):
            dz[i] = dz[i] if y[i] > zero else a * dz[i]
    elif kind == ELU:
        for i in range(n):
            dz[i] *= one if y[i] > zero else y[i] + a
    elif kind == SELU:
        for i in range(n):
            dz[i] *= scale if y[i] > zero else y[i] + scaled
    elif kind == TANH:
        for i in range(n):
            dz[i] *= one - y[i] * y[i]
    elif kind == SIGMOID:
        for i in range(n):
            dz[i] *= y[i] * (one - y[i])
    elif kind == SOFTPLUS:
        for i in range(n):
            dz[i] *= -math.expm1(-y[i])
    elif kind == SOFTSIGN:
        for i in range(n):
            t = one - abs(y[i])
            dz[i] *= t * t


@service(
    lambda real: types.void(types.int64, types.float64, *[types.CPointer(real)] * 3, types.int64)
)
def slopes(kind: int, alpha: float, y: Any, slope: Any, dz: Any, n: int) -> None:
    _times_slope(kind, alpha, carray(y, n), carray(slope, n), carray(dz, n))


def times_slope(kind: int, alpha: float, y: Array, slope: Array | None, dz: Array) -> None:
    """dz *= f'(z); in place, for of an array that may be the same LLVM makes no vectors."""
    _times_slope(kind, alpha, y, slope, dz)


@overload(times_slope)
def _overload_times_slope(kind: Any, alpha: Any, y: Any, slope: Any, dz: Any) -> Any:
    call = external("slopes", y.dtype)
    return lambda kind, alpha, y, slope, dz: call(
        kind, alpha, pointer(y), pointer(slope), pointer(dz), len(y)
    )


@kernel(work="8 * n")
def activation_forward(
    team: Team, x: Array, activation: int, alpha: float, y: Array, slope: Array | None
) -> None:
    low, high = share(team, len(x), GRAIN)
    own = part(y, low, high - low)
    copy(part(x, low, high - low), own)
    activate(activation, alpha, own, part(slope, low, high - low))


@kernel(work="4 * n")
def activation_backward(
    team: Team, y: Array, slope: Array | None, dy: Array, activation: int, alpha: float, dx: Array
) -> None:
    low, high = share(team, len(y), GRAIN)
    for at in range(low, high, SOME):
        n = min(SOME, high - at)
        own = part(dx, at, n)
        copy(part(dy, at, n), own)
        times_slope(activation, alpha, part(y, at, n), part(slope, at, n), own)


@kernel(work="16 * n")
def elementwise(team: Team, function: int, x: Array, out: Array) -> None:
    low, high = share(team, len(x), GRAIN)
    mode = keep_denormals()  # the functions' error bound holds for them too
    if function == EXP:
        for i in range(low, high):
            out[i] = math.exp(x[i])
    elif function == EXPM1:
        for i in range(low, high):
            out[i] = math.expm1(x[i])
    elif function == TANH_OF:
        for i in range(low, high):
            out[i] = math.tanh(x[i])
    elif function == SIGMOID_OF:
        for i in range(low, high):
            out[i] = math.sigmoid(x[i])
    elif function == ERF:
        for i in range(low, high):
            out[i] = math.erf(x[i])
    elif function == LOG1P:
        for i in range(low, high):
            out[i] = math.log1p(x[i])
    else:
        for i in range(low, high):
            out[i] = math.log(x[i])
    set_mode(mode)
