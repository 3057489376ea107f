"""Some columns of a wider array, and columns with a scale of their own."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import address, part
from fastgrad.backends.numba.team import Team, share


@kernel(work="N * F")
def put_columns(team: Team, x: Array, start: int, y: Array) -> None:
    rows, columns = x.shape
    low, high = share(team, rows, 1)
    for i in range(low, high):
        source = part(x, i * columns, columns)
        target = part(y, i * y.shape[1] + start, columns)
        for j in range(columns):
            target[j] = source[j]


@kernel(work="N * F")
def take_columns(team: Team, y: Array, start: int, x: Array) -> None:
    rows, columns = x.shape
    low, high = share(team, rows, 1)
    for i in range(low, high):
        source = part(y, i * y.shape[1] + start, columns)
        target = part(x, i * columns, columns)
        for j in range(columns):
            target[j] = source[j]


@kernel(work="N * F")
def standardize_forward(team: Team, x: Array, mean: Array, scale: Array, y: Array) -> None:
    rows, columns = x.shape
    low, high = share(team, rows, 1)
    for i in range(low, high):
        source, target = part(x, i * columns, columns), part(y, i * columns, columns)
        for j in range(columns):
            target[j] = (source[j] - mean[j]) / scale[j]


@kernel(work="N * F")
def standardize_backward(team: Team, dy: Array, scale: Array, dx: Array) -> None:
    rows, columns = dy.shape
    low, high = share(team, rows, 1)
    for i in range(low, high):
        source, target = part(dy, i * columns, columns), part(dx, i * columns, columns)
        if address(dy) == address(dx):  # as one array, or else LLVM makes no vectors
            for j in range(columns):
                target[j] = target[j] / scale[j]
        else:
            for j in range(columns):
                target[j] = source[j] / scale[j]
