"""Rows of a table by their indices, and the gradient of that table.

design: as src/embedding.pxi. Occurrences of an index are chained in the order of the batch, and the
sum over a chain runs in float64; threads share columns. Rows of the table that no index names are
cleared where there is something in them. Used rows are a sparse set, so that `place` needs no
clearing (Briggs & Torczon, "An efficient representation for sparse sets", 1993).
"""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import bits, doubles, number, part, raise_flag
from fastgrad.backends.numba.sums import all_finite
from fastgrad.backends.numba.team import Team, share, wait

COLUMNS = 16  # a thread's least share: a cache line of float32
BLOCK = 64  # columns
ROWS = 64  # of the table


@kernel(work="N * F")
def embedding_forward(team: Team, w: Array, x: Array, y: Array) -> None:
    rows, columns = y.shape
    low, high = share(team, rows, 1)
    for i in range(low, high):
        if x[i] >= 0:  # not behind the last step of a batch of sequences
            source, target = part(w, x[i] * columns, columns), part(y, i * columns, columns)
            for j in range(columns):
                target[j] = source[j]


@inline
def _chain(x: Array, padding: int, place: Array, chains: Array, count: Array) -> None:
    """chains: used rows of the table, where in the batch each is first and last; what follows."""
    n = len(x)
    row, first, last, following = (
        part(chains, 0, n),
        part(chains, n, n),
        part(chains, 2 * n, n),
        part(chains, 3 * n, n),
    )
    used = 0
    for i in range(n):
        r = x[i]
        if r == padding or r < 0:
            continue
        u = place[r]
        if 0 <= u < used and row[u] == r:
            following[last[u]] = i
        else:
            u = used
            used += 1
            place[r], row[u], first[u] = u, r, i
        last[u] = i
    count[0] = used


@inline
def _any_bit(words: Array) -> bool:
    found = words[0] & 0
    for i in range(len(words)):
        found |= words[i]
    return bool(found != 0)


@kernel(work="(N + V / 4) * F")
def embedding_backward(
    team: Team,
    x: Array,
    dy: Array,
    padding: int,
    dw: Array,
    place: Array,
    chains: Array,
    count: Array,
    status: Array | None,
) -> None:
    size, columns = dw.shape
    n = len(x)
    if columns == 0:
        return
    if team.rank == 0:
        _chain(x, padding, place, chains, count)
    zero = number(dw, 0.0)
    low, high = share(team, size, ROWS)
    for r in range(low, high):
        own = part(dw, r * columns, columns)
        if _any_bit(bits(own)):
            for j in range(columns):
                own[j] = zero
    wait(team)

    row, first, last, following = (
        part(chains, 0, n),
        part(chains, n, n),
        part(chains, 2 * n, n),
        part(chains, 3 * n, n),
    )
    low, high = share(team, columns, COLUMNS)
    for u in range(count[0]):
        for c in range(low, high, BLOCK):
            width = min(BLOCK, high - c)
            sums = part(doubles(team.scratch), 0, width)
            for j in range(width):
                sums[j] = 0
            i = first[u]
            while True:
                gradient = part(dy, i * columns + c, width)
                for j in range(width):
                    sums[j] += gradient[j]
                if i == last[u]:
                    break
                i = following[i]
            own = part(dw, row[u] * columns + c, width)
            for j in range(width):
                own[j] = sums[j]
            if not all_finite(own):
                raise_flag(status)
