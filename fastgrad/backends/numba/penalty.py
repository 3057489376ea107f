"""A penalty on the size of parameters: added to the loss, its gradient to that of the loss.

design: as src/penalty.pxi. A block's sum is one sum in one order, and one thread adds them up. The
subgradient of |w| at 0 is 0.
"""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.memory import number, part, raise_flag
from fastgrad.backends.numba.sums import all_finite, sizes, squares
from fastgrad.backends.numba.team import Team, share, wait


@inline
def penalize(w: Array, g: Array, l1: float, l2: float) -> float:
    size, slope, zero = number(w, l1), number(w, 2 * l2), number(w, 0.0)
    found = 0.0
    if l1 != 0:
        found += l1 * sizes(w)
        for i in range(len(w)):
            # w itself where it is 0 or NaN
            below = -size if w[i] < zero else w[i]
            g[i] += size if w[i] > zero else below
    if l2 != 0:
        found += l2 * squares(w)
        for i in range(len(w)):
            g[i] += slope * w[i]
    return found


@kernel(work="4 * P")
def penalty(
    team: Team,
    w: Array,
    blocks: Array,
    l1: Array,
    l2: Array,
    g: Array,
    sums: Array,
    loss: Array,
    status: Array | None,
) -> None:
    low, high = share(team, len(l1), 1)
    for block in range(low, high):
        sums[block] = 0
        if l1[block] != 0 or l2[block] != 0:
            first, size = blocks[block], blocks[block + 1] - blocks[block]
            own = part(g, first, size)
            sums[block] = penalize(part(w, first, size), own, l1[block], l2[block])
            if not all_finite(own):
                raise_flag(status)
    wait(team)
    if team.rank == 0:
        total = 0.0
        for block in range(len(l1)):
            total += sums[block]
        loss[0] += total
        if not np.isfinite(loss[0]):
            raise_flag(status)
