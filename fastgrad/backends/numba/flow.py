"""Norms of the gradient at every step, out of squares of rows that the cells note on their way."""

from __future__ import annotations

import math

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.memory import given, number, part
from fastgrad.backends.numba.recurrent import Share, rows_of, spare_rows
from fastgrad.backends.numba.sums import squares


@inline
def note(offsets: Array, notes: Array, t: int, i: int, dh: Array, carried: Array) -> None:
    """Squares of row i of step t; `carried` is what the step after hands on to this one."""
    notes[offsets[t] + i, 0] = squares(dh)
    if i < rows_of(offsets, t + 1):
        notes[offsets[t + 1] + i, 2] = squares(carried)


@inline
def note_cell(offsets: Array, notes: Array, t: int, i: int, dc: Array, dc_on: Array) -> None:
    """The same of c, with what is handed on to the step before."""
    notes[offsets[t] + i, 1] = squares(dc)
    notes[offsets[t] + i, 3] = squares(dc_on)


@inline
def note_rows(
    s: Share,
    low: int,
    high: int,
    offsets: Array,
    t: int,
    panels: Array,
    blocks: int,
    sequences: int,
    H: int,
    cells: bool,
    notes: Array,
) -> None:
    """The squares of rows that several threads have put together."""
    plane = sequences * H
    for i in range(low, high):
        if i % s.parts == s.part:
            at = spare_rows(blocks, H, sequences, t) + i * H
            note(offsets, notes, t, i, part(panels, at, H), part(panels, at + 2 * plane, H))
            if cells:
                dc, dc_on = part(panels, at + plane, H), part(panels, at + 3 * plane, H)
                note_cell(offsets, notes, t, i, dc, dc_on)
            else:
                notes[offsets[t] + i, 1] = notes[offsets[t] + i, 3] = 0


@inline
def finish_flow(
    offsets: Array,
    initial: int,
    dh0: Array,
    dc_last: Array | None,
    cells: bool,
    notes: Array,
    flow: Array,
) -> None:
    """The norms of every step out of the squares of its rows; see the contract.

    Without `cells` there is no c, whatever dc_last is.
    """
    H = dh0.shape[1]
    for i in range(rows_of(offsets, 0)):
        notes[i, 2] = squares(part(dh0, i * H, H))
    for t in range(len(offsets) - 1):
        zero = number(flow, 0.0)
        dh, dc, came, went = zero, zero, zero, zero
        for i in range(rows_of(offsets, t)):
            here = offsets[t] + i
            dh += notes[here, 0]
            dc += notes[here, 1]
            went += notes[here, 2] + notes[here, 3]
            if i < rows_of(offsets, t + 1):
                came += notes[offsets[t + 1] + i, 3]
            elif cells and given(dc_last):
                came += squares(part(dc_last, i * H, H))
        flow[t, 0] = math.sqrt(dh)
        flow[t, 1] = math.sqrt(dc)
        flow[t, 2] = math.sqrt(went / (dh + came)) if t or initial else math.nan
