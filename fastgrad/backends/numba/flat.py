"""Sums and means of whole flat vectors, and the values of a schedule."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import number, part
from fastgrad.backends.numba.team import Team, share

BLOCK = 4096  # elements: threads share whole blocks


@kernel(work="2 * P")
def blend(team: Team, x: Array, keep: float, add: float, y: Array) -> None:
    low, high = share(team, len(y), BLOCK)
    n = high - low
    own, into = part(x, low, n), part(y, low, n)
    kept, added = number(y, keep), number(y, add)
    if keep == 0:  # what is there may be no number
        for i in range(n):
            into[i] = added * own[i]
    else:
        for i in range(n):
            into[i] = kept * into[i] + added * own[i]


@kernel(work="3 * P")
def average(team: Team, p: Array, decay: float, step: Array, mean: Array) -> None:
    low, high = share(team, len(p), BLOCK)
    n = high - low
    own, into = part(p, low, n), part(mean, low, n)
    if step[0] == 0:
        for i in range(n):
            into[i] = own[i]
    else:
        weight = number(p, (1 - decay) / (1 - decay ** float(step[0] + 1)))
        for i in range(n):
            into[i] += weight * (own[i] - into[i])


@kernel
def schedule(
    team: Team, table: Array, places: Array, first: Array, step: Array, values: Array
) -> None:
    row = min(max(step[0] - first[0], 0), len(table) - 1)
    for c in range(len(places)):
        values[places[c]] = table[row, c]
