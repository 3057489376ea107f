"""What the inputs of a recurrent layer add to its gates, for all steps at once, and its biases."""

from __future__ import annotations

from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.dense import COLUMNS, ROWS, share_output
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.matrices import multiply
from fastgrad.backends.numba.memory import given, part, raise_flag
from fastgrad.backends.numba.sums import add_rows, all_finite
from fastgrad.backends.numba.team import Team, share

FEW_INPUTS = 8
PIECE = 256  # columns of the turned gradient


@kernel(work="R * I * O")
def gate_inputs_forward(
    team: Team, x: Array, w: Array, bias: Array, offsets: Array, turned: int, z: Array
) -> None:
    outputs, wide, all_rows = len(w), z.shape[1], len(x)
    low, high = share(team, offsets[len(offsets) - 1], ROWS)
    if low == high:
        return
    own, scratch = outputs - turned, team.scratch
    to = z[low:high, turned:outputs]
    multiply(x[low:high], w[:own].T, part(bias, turned, own), 0, to, all_rows, scratch)
    if turned:
        to = z[low:high, :turned]
        multiply(x[low:high], w[own:].T, part(bias, 0, turned), 0, to, all_rows, scratch)
        last = part(bias, outputs, turned)
        for r in range(low, high):
            row = part(z, r * wide + outputs, turned)
            for j in range(turned):
                row[j] = last[j]


@kernel(work="R * I * O")
def gate_inputs_backward(
    team: Team,
    x: Array,
    w: Array,
    dz: Array,
    offsets: Array,
    turned: int,
    dx: Any,
    dw: Array,
    status: Array | None,
) -> None:
    outputs, all_rows, rows = len(w), len(x), offsets[len(offsets) - 1]
    own = outputs - turned
    _gates_to_weight(team, x, dz, turned, own, dw, 0, rows, status)
    if turned:
        _gates_to_weight(team, x, dz, 0, turned, dw, own, rows, status)
    low, high = share(team, rows, ROWS)
    if given(dx) and low < high:
        to = dx[low:high]
        multiply(dz[low:high, turned:outputs], w[:own], None, 0, to, all_rows, team.scratch)
        if turned:
            multiply(dz[low:high, :turned], w[own:], None, 1, to, all_rows, team.scratch)


@inline
def _gates_to_weight(
    team: Team,
    x: Array,
    dz: Array,
    column: int,
    count: int,
    dw: Array,
    row: int,
    rows: int,
    status: Array | None,
) -> None:
    """`count` rows of dw, from `row` on, out of as many columns of dz, from `column` on."""
    inputs = x.shape[1]
    if inputs <= FEW_INPUTS:
        _gates_to_few(team, x, dz, column, count, dw, row, rows, status)
        return
    r0, r1, c0, c1 = share_output(team, count, inputs)
    left = dz[:rows, column + r0 : column + r1].T
    to = dw[row + r0 : row + r1, c0:c1]
    multiply(left, x[:rows, c0:c1], None, 0, to, count, team.scratch)
    for r in range(row + r0, row + r1):
        if not all_finite(part(dw, r * inputs + c0, c1 - c0)):
            raise_flag(status)


@inline
def _gates_to_few(
    team: Team,
    x: Array,
    dz: Array,
    column: int,
    count: int,
    dw: Array,
    row: int,
    rows: int,
    status: Array | None,
) -> None:
    """The same for a few inputs, which would fill but a part of a vector: turned, in pieces."""
    inputs, scratch = x.shape[1], team.scratch
    low, high = share(team, count, COLUMNS)
    # the end of scratch, where products keep what this one does not have: copies of a left side
    room = part(scratch, len(scratch) - FEW_INPUTS * PIECE, FEW_INPUTS * PIECE)
    for at in range(low, high, PIECE):
        n = min(PIECE, high - at)
        piece = room[: inputs * n].reshape(inputs, n)
        right = dz[:rows, column + at : column + at + n]
        multiply(x[:rows].T, right, None, 0, piece, inputs, scratch)
        to = part(dw, (row + at) * inputs, n * inputs)
        for j in range(n):
            for i in range(inputs):
                to[j * inputs + i] = piece[i, j]
    if not all_finite(part(dw, (row + low) * inputs, (high - low) * inputs)):
        raise_flag(status)


@kernel
def gate_bias(team: Team, b_ih: Array, b_hh: Array, turned: int, apart: int, bias: Array) -> None:
    outputs = len(b_ih)
    own = outputs - turned
    for i in range(own):
        bias[turned + i] = b_ih[i] + b_hh[i]
    for i in range(turned):
        if apart:
            bias[i] = b_ih[own + i]
            bias[outputs + i] = b_hh[own + i]
        else:
            bias[i] = b_ih[own + i] + b_hh[own + i]
            bias[outputs + i] = 0


@kernel(work="R * G")
def gate_bias_backward(
    team: Team,
    dz: Array,
    offsets: Array,
    turned: int,
    apart: int,
    db_ih: Array,
    db_hh: Array,
    status: Array | None,
) -> None:
    outputs, wide = len(db_ih), dz.shape[1]
    separate = apart != 0 and turned > 0
    low, high = share(team, wide, COLUMNS)
    sums = part(team.scratch, 0, wide)
    for i in range(low, high):
        sums[i] = 0
    add_rows(dz, dz.shape[1], low, offsets[len(offsets) - 1], part(sums, low, high - low))
    for i in range(low, high):
        to = i if turned == 0 else outputs - turned + i if i < turned else i - turned
        if i < outputs:
            db_ih[to] = sums[i]
        if i < outputs and (i >= turned or not separate):
            db_hh[to] = sums[i]
        if i >= outputs and separate:
            db_hh[i - turned] = sums[i]
    end = min(high, wide if separate else outputs)
    if not all_finite(part(sums, low, max(0, end - low))):
        raise_flag(status)


@kernel(work="V * G")
def gate_table(team: Team, w: Array, bias: Array, turned: int, table: Array) -> None:
    outputs, count = w.shape
    low, high = share(team, table.shape[1], COLUMNS)
    for i in range(low, high):
        if i < outputs:
            row = _turned_back(i, turned, outputs)
            for v in range(count):
                table[v, i] = w[row, v] + bias[i]
        else:
            for v in range(count):
                table[v, i] = bias[i]


@kernel(work="V * G")
def gate_table_backward(
    team: Team, dtable: Array, turned: int, dw: Array, status: Array | None
) -> None:
    outputs, count = dw.shape
    low, high = share(team, outputs, COLUMNS)
    for i in range(low, high):
        own = part(dw, _turned_back(i, turned, outputs) * count, count)
        for v in range(count):
            own[v] = dtable[v, i]
        if not all_finite(own):
            raise_flag(status)


@inline
def _turned_back(column: int, turned: int, outputs: int) -> int:
    """The row of w of a column of gates."""
    row = column - turned
    return row if row >= 0 else row + outputs
