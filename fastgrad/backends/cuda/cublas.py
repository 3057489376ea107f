"""cuBLAS, through NVIDIA's nvmath-python."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from nvmath.bindings import cublas

from fastgrad.backends.cuda.driver import STREAM

Steps = tuple[int, int]


@functools.cache
def _handle(tf32: bool) -> int:
    """A handle for our stream; products of float32 are made in float32 unless asked otherwise."""
    handle = cublas.create()
    cublas.set_stream(handle, int(STREAM))
    cublas.set_math_mode(
        handle, cublas.Math.TF32_TENSOR_OP_MATH if tf32 else cublas.Math.DEFAULT_MATH
    )
    return int(handle)


def multiply(
    dtype: np.dtype[Any], a: int, b: int, c: int, sizes: tuple[int, int, int],
    steps: tuple[Steps, Steps, int], beta: float, tf32: bool,
) -> None:  # fmt: skip
    """c = a b + beta c, of addresses on the device; see `library.LargeProduct`.

    cuBLAS has columns where we have rows: it is asked for c' = b' a'.
    """
    (M, N, K), (a_steps, b_steps, c_step) = sizes, steps
    function = cublas.sgemm if dtype == np.float32 else cublas.dgemm
    factors = np.array([1.0, beta], dtype)
    one, two = (factors[i:].ctypes.data for i in (0, 1))
    kinds = _operation(b_steps), _operation(a_steps)
    # where both steps are 1 there is a single row or column, and cuBLAS still asks for its length
    left = b, max(*b_steps, N if b_steps[1] == 1 else K)
    right = a, max(*a_steps, K if a_steps[1] == 1 else M)
    function(_handle(tf32), *kinds, N, M, K, one, *left, *right, two, c, c_step)


def _operation(steps: Steps) -> int:
    """How cuBLAS has to read a matrix whose rows, or columns, lie one after the other."""
    return int(cublas.Operation.N if steps[1] == 1 else cublas.Operation.T)
