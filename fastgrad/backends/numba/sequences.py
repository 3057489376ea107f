"""Sequences as steps: all rows of a time side by side, the longest sequences first.

design: threads share sequences, so that none writes where another does, whatever the direction.
"""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import copy, given, part, raise_flag
from fastgrad.backends.numba.sums import add_row, add_rows, all_finite
from fastgrad.backends.numba.team import Team, share

SUM_COLUMNS = 16  # a thread's least share of columns: a cache line of float32


@kernel
def sequence_plan(team: Team, lengths: Array, order: Array, offsets: Array) -> None:
    # a stable counting sort, from long to short
    last = len(offsets) - 1
    offsets[:] = 0
    for i in range(len(lengths)):
        offsets[lengths[i]] += 1
    longer = 0
    for t in range(last, -1, -1):  # where sequences of t steps start in the order
        count = offsets[t]
        offsets[t] = longer
        longer += count
    for i in range(len(lengths)):
        order[offsets[lengths[i]]] = i
        offsets[lengths[i]] += 1
    # offsets[t] is now the number of sequences of at least t steps; step t - 1 has as many rows
    rows = 0
    for t in range(1, last + 1):
        rows += offsets[t]
        offsets[t] = rows
    offsets[0] = 0


@inline
def length_of(offsets: Array, i: int, most: int) -> int:
    """Steps of sequence i of the order, which are `most` at most."""
    while most > 0 and offsets[most] - offsets[most - 1] <= i:
        most -= 1
    return most


@kernel(work="R * F")
def to_steps(
    team: Team, x: Array, start: int, order: Array, offsets: Array, reverse: int, y: Array
) -> None:
    sequences, steps, wide = x.shape
    columns, length = y.shape[1], steps
    low, high = share(team, sequences, 1)
    for i in range(low, high):
        length = length_of(offsets, i, length)
        for t in range(length):
            time = length - 1 - t if reverse else t
            row = part(x, (order[i] * steps + time) * wide + start, columns)
            copy(row, part(y, (offsets[t] + i) * columns, columns))


@kernel(work="R * F")
def from_steps(
    team: Team, x: Array, start: int, order: Array, offsets: Array, reverse: int, add: int, y: Array
) -> None:
    sequences, steps, wide = y.shape
    columns, length = x.shape[1], steps
    low, high = share(team, sequences, 1)
    for i in range(low, high):
        length = length_of(offsets, i, length)
        for t in range(length):
            time = length - 1 - t if reverse else t
            row = part(x, (offsets[t] + i) * columns, columns)
            to = part(y, (order[i] * steps + time) * wide + start, columns)
            if add:
                add_row(row, to)
            else:
                copy(row, to)
        if not add:
            for t in range(length, steps):
                to = part(y, (order[i] * steps + t) * wide + start, columns)
                for j in range(columns):
                    to[j] = 0


@kernel
def indices_to_steps(
    team: Team, x: Array, order: Array, offsets: Array, reverse: int, y: Array
) -> None:
    sequences, steps = x.shape
    length = steps
    for i in range(sequences):
        length = length_of(offsets, i, length)
        for t in range(length):
            y[offsets[t] + i] = x[order[i], length - 1 - t if reverse else t]
    for i in range(offsets[steps], len(y)):
        y[i] = -1


@kernel(work="N * F")
def last_steps(team: Team, x: Array, start: int, order: Array, offsets: Array, y: Array) -> None:
    sequences, wide = y.shape
    columns, length = x.shape[1], len(offsets) - 1
    low, high = share(team, sequences, 1)
    for i in range(low, high):
        length = length_of(offsets, i, length)
        row = sequences + offsets[length - 1] + i if length else i
        to = part(y, order[i] * wide + start, columns)
        copy(part(x, row * columns, columns), to)


@kernel(work="N * F")
def take_rows(team: Team, x: Array, start: int, order: Array, add: int, y: Array) -> None:
    wide, columns = x.shape[1], y.shape[1]
    low, high = share(team, len(y), 1)
    for i in range(low, high):
        row = part(x, order[i] * wide + start, columns)
        if add:
            add_row(row, part(y, i * columns, columns))
        else:
            copy(row, part(y, i * columns, columns))


@kernel(work="N * F")
def put_rows(team: Team, x: Array, order: Array, y: Array) -> None:
    columns = y.shape[1]
    low, high = share(team, len(y), 1)
    for i in range(low, high):
        copy(part(x, i * columns, columns), part(y, order[i] * columns, columns))


@kernel
def fill_rows(team: Team, row: Array | None, y: Array) -> None:
    columns = y.shape[1]
    for i in range(len(y)):
        to = part(y, i * columns, columns)
        if given(row):
            copy(row, to)
        else:
            for j in range(columns):
                to[j] = 0


@kernel(work="N * F")
def sum_rows(team: Team, x: Array, sums: Array, status: Array | None) -> None:
    low, high = share(team, len(sums), SUM_COLUMNS)
    own = part(sums, low, high - low)
    for j in range(high - low):
        own[j] = 0
    add_rows(x, x.shape[1], low, len(x), own)
    if not all_finite(own):
        raise_flag(status)
