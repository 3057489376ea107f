"""A look at gradients and updates while an optimizer has them in registers.

It finds what see_gradient and see_update find, of a block of at most 8192 elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.backends.cuda.device import block_max, block_sum, device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.squares import Squares, add_square, block_norm, is_wide
from fastgrad.backends.cuda.target import cuda

# the smallest normal numbers
NORMAL_32, NORMAL_64 = float(np.finfo(np.float32).tiny), float(np.finfo(np.float64).tiny)
DENORMAL, BAD = 1 << 16, 1 << 32  # counts of both, and of zeros, are one number's digits

# squares of the gradient, its largest size, counts; squares of parameters, and of their steps
Watched = tuple[Squares, Any, int, Squares, Squares]


@device
def nothing_seen(m: Memory) -> Watched:
    """What `watch` starts with."""
    none = 0.0, 0.0, 0.0
    return none, number(m.reals, 0.0), 0, none, none


@device
def watch(m: Memory, watched: Watched, x: Any, before: Any, after: Any) -> Watched:
    """Add an element of the gradient, and of the parameters before and after the update."""
    squares, top, counts, weights, steps = watched
    size = abs(x)
    normal = number(m.reals, NORMAL_64 if is_wide(m) else NORMAL_32)
    if size < normal:
        counts += DENORMAL if size > 0 else 1
    if not finite(size):
        counts += BAD
    old = np.float64(before)
    return (
        add_square(m, squares, np.float64(x)),
        size if size > top else top,
        counts,
        add_square(m, weights, old),
        add_square(m, steps, np.float64(after) - old),
    )


@device
def say(m: Memory, watched: Watched, block: int, seen: int, moved: int) -> None:
    """Write the block's rows, where `seen` and `moved` lie; all of its threads must come here."""
    squares, top, counts, weights, steps = watched
    if seen != 0:
        row = part(m.doubles, seen + 5 * block, 5)
        scale, root = block_norm(m, squares)
        largest = block_max(m, top)
        found = int(block_sum(m, counts))
        if cuda.threadIdx.x == 0:
            row[0] = scale * root
            row[1] = row[0] if found >= BAD else largest
            row[2], row[3], row[4] = found % DENORMAL, found % BAD // DENORMAL, found // BAD
    if moved != 0:
        row = part(m.doubles, moved + 2 * block, 2)
        scale, root = block_norm(m, weights)
        step_scale, step_root = block_norm(m, steps)
        if cuda.threadIdx.x == 0:
            row[0], row[1] = scale * root, step_scale * step_root
