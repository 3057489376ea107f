"""Norms in float64, whatever the sizes of the numbers are.

design: squares of float32 numbers stay within float64. Those of float64 do not: there, squares of
the numbers times 2^600 and times 2^-600 are added up beside them in the same pass, and it is chosen
between the three sums when all are there.
"""

from __future__ import annotations

from fastgrad.backends.cuda.device import block_sum, device
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory

UP, DOWN = 2.0**600, 2.0**-600
LEAST, MOST = 1e-280, 1e280  # between them a sum of squares has lost none of them

Squares = tuple[float, float, float]  # sums: plain, of what is lifted, of what is lowered


@device
def is_wide(m: Memory) -> bool:
    """Whether the program's dtype is float64; a constant to the compiler."""
    return m.reals.dtype == m.doubles.dtype


@device
def add_square(m: Memory, squares: Squares, x: float) -> Squares:
    """The square of a float64 more."""
    plain, lifted, lowered = squares
    if is_wide(m):
        lifted += (UP * x) * (UP * x)
        lowered += (DOWN * x) * (DOWN * x)
    return plain + x * x, lifted, lowered


@device
def block_norm(m: Memory, squares: Squares) -> tuple[float, float]:
    """The norm of what a block's threads have added up, each of which must come here.

    It is a product, scale times root, of which only the second is 0 or not finite.
    """
    plain, lifted, lowered = squares
    found, scale = block_sum(m, plain), 1.0
    if is_wide(m) and not LEAST < found < MOST:
        if found < 1:
            found, scale = block_sum(m, lifted), DOWN
        else:
            found, scale = block_sum(m, lowered), UP
    return scale, sqrt(found)
