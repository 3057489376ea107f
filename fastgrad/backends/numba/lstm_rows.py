"""A row of LSTM cells at one step, forward and backward, with and without peepholes."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba import math
from fastgrad.backends.numba.compiling import apart
from fastgrad.backends.numba.memory import number


@apart
def lstm_row(i: Array, f: Array, g: Array, o: Array, before: Array, cells: Array, h: Array) -> None:
    """Gates and states of one sequence at one step."""
    for k in range(len(i)):
        write, keep, new = math.sigmoid(i[k]), math.sigmoid(f[k]), math.tanh(g[k])
        out = math.sigmoid(o[k])
        cell = keep * before[k] + write * new
        i[k], f[k], g[k], o[k] = write, keep, new, out
        cells[k] = cell
        h[k] = out * math.tanh(cell)


@apart
def peephole_row(
    i: Array,
    f: Array,
    g: Array,
    o: Array,
    before: Array,
    cells: Array,
    h: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
) -> None:
    for k in range(len(i)):
        write = math.sigmoid(i[k] + p_i[k] * before[k])
        keep = math.sigmoid(f[k] + p_f[k] * before[k])
        new = math.tanh(g[k])
        cell = keep * before[k] + write * new
        out = math.sigmoid(o[k] + p_o[k] * cell)
        i[k], f[k], g[k], o[k] = write, keep, new, out
        cells[k] = cell
        h[k] = out * math.tanh(cell)


@apart
def back_row(
    i: Array,
    f: Array,
    g: Array,
    o: Array,
    before: Array,
    cells: Array,
    carried: Array,
    dy: Array,
    dc_on: Array,
    dh: Array,
    dc: Array,
) -> None:
    """Gates become the gradient of their sums, dc_on what is handed on; dh and dc came here."""
    one = number(i, 1.0)
    for k in range(len(i)):
        write, keep, new, out = i[k], f[k], g[k], o[k]
        seen = math.tanh(cells[k])
        d = carried[k] + dy[k]
        e = dc_on[k] + d * out * (one - seen * seen)
        dh[k], dc[k], dc_on[k] = d, e, e * keep
        i[k] = e * new * write * (one - write)
        f[k] = e * before[k] * keep * (one - keep)
        g[k] = e * write * (one - new * new)
        o[k] = d * seen * out * (one - out)


@apart
def peephole_back_row(
    i: Array,
    f: Array,
    g: Array,
    o: Array,
    before: Array,
    cells: Array,
    carried: Array,
    dy: Array,
    dc_on: Array,
    dh: Array,
    dc: Array,
    p_i: Array,
    p_f: Array,
    p_o: Array,
) -> None:
    one = number(i, 1.0)
    for k in range(len(i)):
        write, keep, new, out = i[k], f[k], g[k], o[k]
        seen = math.tanh(cells[k])
        d = carried[k] + dy[k]
        z_o = d * seen * out * (one - out)
        e = dc_on[k] + d * out * (one - seen * seen) + z_o * p_o[k]
        z_i, z_f = e * new * write * (one - write), e * before[k] * keep * (one - keep)
        dh[k], dc[k] = d, e
        dc_on[k] = e * keep + z_i * p_i[k] + z_f * p_f[k]
        i[k], f[k], g[k], o[k] = z_i, z_f, e * write * (one - new * new), z_o
