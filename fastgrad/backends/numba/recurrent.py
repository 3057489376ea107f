"""What recurrent cells share: who does what, products of a step, the gradient of the weight, norms.

design: as src/recurrent.pxi.
 a) Threads share the sequences, each for all steps, with no wait in between. Where there are too
    few of them they share the units of a group of sequences as well, and wait at each step. A step
    that is not worth one is left to one thread.
 b) The recurrent weight is packed once a call, for all threads; its gradient is one product over
    all steps after the last of them.
 c) Step t has the rows of the sequences that are longer than t, which are the first ones, so that
    padding is neither stored nor computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.dense import share_output
from fastgrad.backends.numba.matrices import multiply, multiply_panels, pack, packed_size
from fastgrad.backends.numba.memory import copy, given, part, raise_flag
from fastgrad.backends.numba.sums import all_finite
from fastgrad.backends.numba.team import Team

TILE_ROWS = 8  # a thread's sequences are whole register tiles
UNITS = 16  # and its units whole vectors, on every processor
STEP_WORTH = 16384  # multiply-adds of a step for which a thread is worth a wait


class Share(NamedTuple):
    """A thread's sequences and units; which part of how many of the units these are."""

    r0: int
    r1: int
    u0: int
    u1: int
    part: int
    parts: int


@inline
def rows_of(offsets: Array, t: int) -> int:
    """Rows of step t; none before and after."""
    return offsets[t + 1] - offsets[t] if 0 <= t < len(offsets) - 1 else 0


@inline
def first_of(offsets: Array, sequences: int, group: int, groups: int) -> int:
    """The first sequence of a group: those before it have their share of the steps."""
    if group == groups:
        return sequences
    last = len(offsets) - 1
    equal = rows_of(offsets, last - 1) == sequences
    wanted, done, row = offsets[last] * group / groups, 0.0, 0
    while row < sequences and group > 0:
        following = min(row + TILE_ROWS, sequences)
        some = (following - row) * last if equal else 0
        if not equal:
            for t in range(last):
                rows = rows_of(offsets, t)
                some += min(rows, following) - min(rows, row)
        if done + some / 2 > wanted:
            break
        row = following
        done += some
    return row


@inline
def units(H: int, own: int, parts: int) -> tuple[int, int]:
    pieces = (H + UNITS - 1) // UNITS
    return pieces * own // parts * UNITS, min(H, pieces * (own + 1) // parts * UNITS)


@inline
def share_steps(
    team: Team, offsets: Array, sequences: int, blocks: int, H: int, by_units: bool
) -> Share:
    groups = max(1, min(team.used, sequences // TILE_ROWS))
    parts = 1
    if by_units:
        step = sequences * blocks * H * H
        parts = min(team.used // groups, step // groups // STEP_WORTH)
        parts = max(1, min(parts, (H + UNITS - 1) // UNITS))
    own, group = team.rank % parts, team.rank // parts
    if group >= groups:
        return Share(0, 0, 0, 0, own, parts)
    u0, u1 = units(H, own, parts)
    r0 = first_of(offsets, sequences, group, groups)
    return Share(r0, first_of(offsets, sequences, group + 1, groups), u0, u1, own, parts)


@inline
def must_pack(ready: Any, s: Share) -> bool:
    """Whether panels are not yet those of as many parts."""
    return ready[0] != s.parts if given(ready) else True


@inline
def packed_now(ready: Any, s: Share, team: Team) -> None:
    """All threads have packed, and all have asked whether they must."""
    if given(ready) and team.rank == 0:
        ready[0] = s.parts


# ---- products of a step ----------------------------------------------------------------------


@inline
def piece(s: Share, H: int, count: int, inputs: int) -> int:
    """Elements of the panels of `count` blocks of rows of a weight."""
    if s.parts == 1:
        return packed_size(inputs, count * H)
    each: int = packed_size(inputs, H)
    return count * each


@inline
def pack_forward(
    team: Team, s: Share, w: Array, first: int, count: int, H: int, panels: Array, start: int
) -> None:
    """Panels of `count` blocks of rows of w, from block `first` on."""
    inputs = w.shape[1]
    if s.parts == 1:
        pack(w[first * H : (first + count) * H].T, panels, start, team.rank, team.used)
        return
    for block in range(count):
        for own in range(s.parts):
            u0, u1 = units(H, own, s.parts)
            row = (first + block) * H
            at = start + block * packed_size(inputs, H) + u0 * inputs
            pack(w[row + u0 : row + u1].T, panels, at, team.rank, team.used)


@inline
def multiply_forward(
    s: Share,
    x: Array,
    panels: Array,
    start: int,
    H: int,
    count: int,
    bias: Array,
    accumulate: int,
    gates: Array,
    scratch: Array,
) -> None:
    """gates = bias + x w' of `count` blocks, or += x w' whatever the bias."""
    if s.parts == 1:
        multiply_panels(x, panels, start, bias, accumulate, gates, scratch)
        return
    inputs, n = x.shape[1], s.u1 - s.u0
    for block in range(count):
        at = block * H + s.u0
        panel = start + block * packed_size(inputs, H) + s.u0 * inputs
        own = gates[:, at : at + n]
        multiply_panels(x, panels, panel, part(bias, at, n), accumulate, own, scratch)


@inline
def pack_backward(
    team: Team, s: Share, w: Array, first: int, count: int, H: int, panels: Array, start: int
) -> None:
    for own in range(s.parts):
        u0, u1 = units(H, own, s.parts)
        rows = w[first * H : (first + count) * H]
        pack(rows[:, u0:u1], panels, start + u0 * count * H, team.rank, team.used)


@inline
def multiply_backward(
    s: Share, gates: Array, panels: Array, start: int, add: int, dh: Array, scratch: Array
) -> None:
    """This thread's units of dh = gates w, or += gates w."""
    at = start + s.u0 * gates.shape[1]
    multiply_panels(gates, panels, at, None, add, dh[:, s.u0 : s.u1], scratch)


# ---- the gradient through time ---------------------------------------------------------------


@inline
def input_panels(blocks: int, H: int, sequences: int) -> int:
    """Where those of w_ih lie, behind those of w and the spare rows."""
    start: int = spare_rows(blocks, H, sequences, 0)
    return start + 8 * sequences * H


@inline
def spare_rows(blocks: int, H: int, sequences: int, t: int) -> int:
    """Where those who share units put their parts of rows of dh, dc, and what is handed on."""
    wide = (H + UNITS - 1) // UNITS * UNITS
    return blocks * H * wide + (t % 2) * 4 * sequences * H


@inline
def zero_row(scratch: Array, n: int) -> Array:
    """Zeros at the end of scratch, where no product gets to."""
    zeros: Array = part(scratch, len(scratch) - n, n)
    for j in range(n):
        zeros[j] = 0
    return zeros


@inline
def start_back(s: Share, H: int, last: Array | None, carried: Array) -> None:
    """What comes from behind the last step: this thread's part of it."""
    n = s.u1 - s.u0
    for i in range(s.r0, s.r1):
        to = part(carried, i * H + s.u0, n)
        if given(last):
            copy(part(last, i * H + s.u0, n), to)
        else:
            for j in range(n):
                to[j] = 0


@inline
def weight_gradient(
    team: Team,
    offsets: Array,
    gates: Array,
    first: int,
    count: int,
    h: Array,
    dw: Array,
    status: Array | None,
) -> None:
    """The sum over all steps of gates' h in `count` blocks of dw; `first` is that of gates."""
    H, last, sequences = h.shape[1], len(offsets) - 1, len(h) - len(gates)
    r0, r1, c0, c1 = share_output(team, count * H, H)
    to = dw[r0:r1, c0:c1]
    add, t = 0, 0
    while t < last:
        # steps whose states before lie equally far from their gates
        row, shift = offsets[t], sequences - rows_of(offsets, t - 1) if t else 0
        while t < last and shift == (sequences - rows_of(offsets, t - 1) if t else 0):
            t += 1
        end = offsets[t]
        if end > row:
            dz = gates[row:end, first * H + r0 : first * H + r1]
            seen = h[row + shift : end + shift, c0:c1]
            multiply(dz.T, seen, None, add, to, count * H, team.scratch)
            add = 1
    for r in range(r0, r1):
        own = part(dw, r * H + c0, c1 - c0)
        if add == 0:
            for j in range(c1 - c0):
                own[j] = 0
        if not all_finite(own):
            raise_flag(status)
