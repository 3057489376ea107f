"""How recurrent layers go through the steps, forward and back, and what all of them do around it.

A cell is a device function that `share_of` calls for every row and unit of a step. Threads of all
blocks meet behind each step, so that a cell may use what any other has left at the step before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number
from fastgrad.backends.cuda.flow import Notes
from fastgrad.backends.cuda.gate_inputs import gate_inputs_forward
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Word
from fastgrad.backends.cuda.product import Phases
from fastgrad.backends.cuda.shares import share_of
from fastgrad.backends.cuda.step_product import (
    GATES,
    OFFSETS,
    OWN,
    SEQUENCES,
    STEPS,
    UNITS,
    WIDTH,
)
from fastgrad.backends.cuda.steps import rows_of, state_before

# the words that come next: of all cells, and of those that go back; behind them come a cell's own
Z, STATES = range(OWN, OWN + 2)
DY, DH_LAST, DH0, DH, HANDED_H = range(OWN + 2, OWN + 7)
FORWARD, BACK = OWN + 2, OWN + 7
# and, of those that have cells
C, DC_LAST, DC0, DC, HANDED_C = range(BACK, BACK + 5)
CELLS = BACK + 5


def back_words(
    gates: Array, h: Array, dy: Array | None, dh_last: Array | None, dh0: Array, notes: Notes
) -> tuple[Word, ...]:
    """As the functions below read them."""
    return gates, h, dy, dh_last, dh0, notes.dh, notes.handed_h


def cell_words(c: Array, dc_last: Array | None, dc0: Array, notes: Notes) -> tuple[Word, ...]:
    """Those of cells."""
    return c, dc_last, dc0, notes.dc, notes.handed_c


@functools.cache
def forward_through(cell: Callable[..., None], lanes: int) -> Callable[..., None]:
    """The function of a phase in which repetition k is step k: of h w' for all gates."""
    share = share_of(cell, lanes)

    @device
    def step(m: Memory, w: int, k: int) -> None:
        offsets, units = m.ints[w + OFFSETS], m.ints[w + UNITS]
        n = rows_of(m, offsets, m.ints[w + STEPS], k)
        h = m.ints[w + STATES] + state_before(m, offsets, m.ints[w + SEQUENCES], k) * units
        share(m, w, k, k, n, h, units, n, units, 0, m.ints[w + GATES], 0)

    return step


@functools.cache
def back_through(
    cell: Callable[..., None], lanes: int, blocks: int, skipped: int
) -> Callable[..., None]:
    """The same from the last step to the first, and to step -1, which is the initial state.

    Gates are so many blocks; their gradients at the step behind, but for the blocks skipped, times
    w are the sums that the cell finds.
    """
    share = share_of(cell, lanes)

    @device
    def step(m: Memory, w: int, k: int) -> None:
        offsets, steps, units = m.ints[w + OFFSETS], m.ints[w + STEPS], m.ints[w + UNITS]
        t = steps - 1 - k
        n = rows_of(m, offsets, steps, t) if t >= 0 else m.ints[w + SEQUENCES]
        behind = rows_of(m, offsets, steps, t + 1)
        dz = m.ints[w + Z] + (m.ints[offsets + t + 1] * blocks + skipped) * units
        share(m, w, k, t, n, dz, blocks * units, behind, m.ints[w + WIDTH], 0, 1, 0)

    return step


@device
def arriving(m: Memory, w: int, t: int, row: int, unit: int, at: int, kept: int) -> float:
    """The part of dL/dh that comes from behind, which it notes, for one row and unit of step t.

    `kept` is the place of what is added to the sum; or 0.
    """
    units = m.ints[w + UNITS]
    place = row * units + unit
    if at >= 0:
        value = m.shared[at]
        if kept != 0:
            value += m.reals[kept + place]
        m.reals[m.ints[w + HANDED_H] + m.ints[m.ints[w + OFFSETS] + t + 1] * units + place] = value
        return value
    last = m.ints[w + DH_LAST]
    return m.reals[last + place] if last != 0 else number(m.reals, 0.0)


@device
def with_above(m: Memory, w: int, now: int, unit: int, value: float) -> float:
    """All of dL/dh of that row and unit, which it notes."""
    place = now * m.ints[w + UNITS] + unit
    if m.ints[w + DY] != 0:
        value += m.reals[m.ints[w + DY] + place]
    m.reals[m.ints[w + DH] + place] = value
    return value


@device
def arriving_cell(m: Memory, w: int, row: int, unit: int, at: int) -> float:
    """The part of dL/dc that comes from behind."""
    place, last = row * m.ints[w + UNITS] + unit, m.ints[w + DC_LAST]
    if at >= 0:
        return m.reals[m.ints[w + DC0] + place]
    return m.reals[last + place] if last != 0 else number(m.reals, 0.0)


@device
def hand_on_cell(m: Memory, w: int, now: int, row: int, unit: int, dc: float, on: float) -> None:
    """Note dL/dc, and what of it goes on to the step before."""
    units = m.ints[w + UNITS]
    m.reals[m.ints[w + DC] + now * units + unit] = dc
    m.reals[m.ints[w + HANDED_C] + now * units + unit] = on
    m.reals[m.ints[w + DC0] + row * units + unit] = on


def input_phases(
    offsets: Array, x: Array | None, w_ih: Array | None, bias: Array | None, turned: int,
    gates: Array,
) -> Phases:  # fmt: skip
    """What makes gates of the inputs, where they are given."""
    if x is None:
        return []
    return gate_inputs_forward(x, w_ih, bias, offsets, turned, gates).phases
