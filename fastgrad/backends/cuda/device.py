"""Functions that run on the device, and the few of them that all phases use.

In Numba's simulator they are plain Python functions. What holds in both, and is relied upon:

* `number` makes a number of the program's dtype; float32 and a literal together are float64.
* `part` is a slice; an array cannot be returned by a device function that is not inlined.
* Sums are made in an order that does not depend on how many blocks there are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.target import SIMULATED, cuda

F = TypeVar("F", bound=Callable[..., Any])

BLOCK = 4 if SIMULATED else 256  # threads of a block; a power of four, for tiles are squares


def device(function: F | None = None, *, inline: bool = False) -> Any:
    """Compile for the device, when it is called there; as decorator, with or without arguments."""
    if function is None:
        return functools.partial(device, inline=inline)
    if SIMULATED:
        return function
    return cuda.jit(device=True, inline="always" if inline else "never")(function)


@device(inline=True)
def part(x: Any, start: int, n: int) -> Any:
    """Elements start to start + n."""
    return x[start : start + n]


@device
def number(x: Any, value: float) -> Any:
    """That value as a number of x's dtype."""
    return x.dtype.type(value)


@device
def place(i: int) -> Any:
    """An index that is not negative, for loops that matter: of others Numba asks whether it is."""
    return np.uint64(i)


@device
def block_sum(m: Memory, value: float) -> float:
    """The sum over the threads of a block, of which each must come here; in float64."""
    i = cuda.threadIdx.x
    m.sums[i] = value
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half > 0:
        if i < half:
            m.sums[i] += m.sums[i + half]
        cuda.syncthreads()
        half //= 2
    total = m.sums[0]
    cuda.syncthreads()
    return total


@device
def block_max(m: Memory, value: float) -> float:
    """The largest of the threads' numbers; not NaN, unless all of them are."""
    i = cuda.threadIdx.x
    m.sums[i] = value
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half > 0:
        if i < half and (m.sums[i + half] > m.sums[i] or m.sums[i] != m.sums[i]):
            m.sums[i] = m.sums[i + half]
        cuda.syncthreads()
        half //= 2
    largest = m.sums[0]
    cuda.syncthreads()
    return largest


@device
def finite(x: float) -> bool:
    """Whether x is neither NaN nor infinite."""
    return x - x == 0
