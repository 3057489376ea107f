"""Large products, which are left to cuBLAS.

A tile of our own reaches about half of what the GPU can do in float32, and is worth it where a
product is so small that starting one alone takes longer than the product. Those that are larger are
calls of cuBLAS between two launches, where nvmath-python is installed.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.memory import everything, index
from fastgrad.backends.cuda.phase import Scratch
from fastgrad.backends.cuda.target import SIMULATED

LARGE = 2e8  # multiply-adds that are worth a call; about ten microseconds of a large GPU

Steps = tuple[int, int]


class LargeProduct:
    """c = a b + beta c by cuBLAS, in the place of a phase.

    Parameters
    ----------
    a, b, c : ndarray or Scratch
    M, N, K : int
    a_steps, b_steps : (int, int)
        Elements from row to row and from column to column, one of which is 1.
    c_step : int
        From row to row.
    accumulate : bool
    """

    def __init__(
        self, a: Any, b: Any, c: Any, M: int, N: int, K: int, a_steps: Steps, b_steps: Steps,
        c_step: int, accumulate: bool,
    ) -> None:  # fmt: skip
        self.words = a, b, c
        self.sizes, self.steps = (M, N, K), (a_steps, b_steps, c_step)
        self.beta = float(accumulate)
        self.work, self.repeat = float(M) * N * K, 1

    def run(self, place: Callable[[Array | Scratch], int], tf32: bool) -> None:
        """Start it; `place` says at what address the device has an array."""
        a, b, c = (place(word) for word in self.words)
        dtype = self.words[0].dtype
        if SIMULATED:
            _simulated(dtype, a, b, c, self.sizes, self.steps, self.beta)
            return
        from fastgrad.backends.cuda import cublas

        cublas.multiply(dtype, a, b, c, self.sizes, self.steps, self.beta, tf32)


@functools.cache
def installed() -> bool:
    """Whether there is a binding of cuBLAS."""
    return SIMULATED or importlib.util.find_spec("nvmath") is not None


def worth(M: int, N: int, K: int) -> bool:
    """Whether a product of these sizes is cuBLAS's."""
    return float(M) * N * K >= LARGE and installed()


def _simulated(
    dtype: np.dtype[Any], a: int, b: int, c: int, sizes: tuple[int, int, int],
    steps: tuple[Steps, Steps, int], beta: float,
) -> None:  # fmt: skip
    M, N, K = sizes
    memory, size = everything(dtype), dtype.itemsize

    def matrix(address: int, shape: Steps, step: Steps) -> Array:
        start = memory[index(address, size) :]
        strides = step[0] * size, step[1] * size
        return np.lib.stride_tricks.as_strided(start, shape, strides)

    result = matrix(c, (M, N), (steps[2], 1))
    with np.errstate(all="ignore"):
        found = matrix(a, (M, K), steps[0]) @ matrix(b, (K, N), steps[1])
        result[...] = found + (result if beta else 0)
