"""What device code sees: all of memory as three long arrays, and one block's shared memory.

design: a kernel takes no arrays but these, which are the same in every launch. An array of a call
is the number of elements between the start of memory and its first one, so that calls are tables of
integers, and one launch can make any number of them. On a GPU the arrays lie in managed memory,
whose addresses are the same for host and device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastgrad.arena import Array

START = 64  # the first byte of memory that can be said: no array may lie at 0
SPACE = 1 << 56  # bytes that a process can address; slices end there


class Memory(NamedTuple):
    """What the functions of a phase are given.

    Attributes
    ----------
    reals : float32[..] or float64[..]
        All of memory, as numbers of the program's dtype.
    doubles, ints : float64[..], int64[..]
        All of memory.
    shared : float32[..] or float64[..]
        Shared memory of the block, as numbers of the program's dtype.
    sums : float64[..]
        The same memory.
    first : int
        The first repetition that this launch makes; before it, shared memory holds nothing.
    """

    reals: Array
    doubles: Array
    ints: Array
    shared: Array
    sums: Array
    first: int


def index(address: int, itemsize: int) -> int:
    """Where in the array of all memory that address is."""
    return (address - START) // itemsize


def size(itemsize: int) -> int:
    """Elements of the array of all memory."""
    return SPACE // itemsize - START


def everything(dtype: Any) -> Array:
    """All of memory as one array of that dtype, in the simulator."""
    kind = np.ctypeslib.as_ctypes_type(np.dtype(dtype))
    found: Array = np.ctypeslib.as_array(
        (kind * size(np.dtype(dtype).itemsize)).from_address(START)
    )
    return found
