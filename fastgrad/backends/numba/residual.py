"""The way around some layers, y = x + s f(x).

design: as src/residual.pxi. Threads share rows; the gradient of s is one sum over rows, in one
order.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import flat, given, number, part, raise_flag
from fastgrad.backends.numba.sums import dot
from fastgrad.backends.numba.team import Team, share, wait


@kernel(work="N * F")
def residual_forward(
    team: Team, x: Array, f: Array, scale: Array | None, factor: float, y: Array
) -> None:
    s = number(x, factor)
    if given(scale):
        s = scale[0]
    low, high = share(team, len(x), 1)
    way, added, target = flat(x, low, high), flat(f, low, high), flat(y, low, high)
    for i in range(len(target)):
        target[i] = way[i] + s * added[i]


@kernel(work="N * F")
def residual_backward(
    team: Team,
    f: Array,
    dy: Array,
    scale: Array | None,
    factor: float,
    df: Array,
    dscale: Array | None,
    rows: Array,
    status: Array | None,
) -> None:
    s = number(f, factor)
    if given(scale):
        s = scale[0]
    n, columns = dy.shape
    low, high = share(team, n, 1)
    source, target = flat(dy, low, high), flat(df, low, high)
    for i in range(len(target)):
        target[i] = s * source[i]
    if not given(dscale):
        return
    for i in range(low, high):
        rows[i] = dot(part(f, i * columns, columns), part(dy, i * columns, columns))
    wait(team)
    if team.rank == 0:
        total = 0.0
        for i in range(n):
            total += rows[i]
        dscale[0] = total
        if not np.isfinite(dscale[0]):
            raise_flag(status)


@kernel(work="N * F")
def add(team: Team, x: Array, y: Array) -> None:
    low, high = share(team, len(x), 1)
    source, target = flat(x, low, high), flat(y, low, high)
    for i in range(len(target)):
        target[i] += source[i]
