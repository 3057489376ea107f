"""Products of matrices, and panels of a right-hand side for products to come.

design: `product` does the work. Here are its arrays, and what NumPy does where nothing is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.backends.numba.compiling import external, overload
from fastgrad.backends.numba.machine import VECTOR_BYTES
from fastgrad.backends.numba.memory import address, pointer
from fastgrad.backends.numba.product import DEPTH, bytes_of, pack_panel, vectors_of_panel


def multiply(
    a: Any, b: Any, bias: Any, accumulate: int, c: Any, all_rows: int, scratch: Any
) -> None:
    """C = bias + A B, or C += A B, for matrices of which one distance is one element.

    `bias` may be left out. `all_rows` is that of the whole product, whose part this is.
    """
    # in this order, a row's sums do not depend on the others: no BLAS promises that
    sums = np.zeros_like(c)
    for k in range(a.shape[1]):
        sums += a[:, k, None] * b[k]
    if accumulate:
        c += sums
    else:
        c[...] = sums if bias is None else sums + bias


@overload(multiply)
def _overload_multiply(
    a: Any, b: Any, bias: Any, accumulate: Any, c: Any, all_rows: Any, scratch: Any
) -> Any:
    call = external("product", scratch.dtype)

    def run(
        a: Any, b: Any, bias: Any, accumulate: int, c: Any, all_rows: int, scratch: Any
    ) -> None:
        (a_row, a_col), (b_row, b_col) = a.strides, b.strides
        call(
            c.shape[0], c.shape[1], a.shape[1], address(a), a_row, a_col, address(b), b_row, b_col,
            address(c), c.strides[0], address(bias), accumulate, all_rows, 0, pointer(scratch),
        )  # fmt: skip

    return run


def packed_size(K: int, N: int) -> int:
    """Elements of the panels of B[K,N], at most."""
    return K * ((N + 15) // 16 * 16)


@overload(packed_size)
def _overload_packed_size(K: Any, N: Any) -> Any:
    return lambda K, N: K * ((N + 15) // 16 * 16)


def pack(b: Any, panels: Any, start: int, rank: int, used: int) -> None:
    """All panels of B for products to come; of `used` threads each makes its own of them."""
    if rank == 0:
        panels[start : start + b.size] = b.reshape(-1)


@overload(pack)
def _overload_pack(b: Any, panels: Any, start: Any, rank: Any, used: Any) -> Any:
    def run(b: Any, panels: Any, start: int, rank: int, used: int) -> None:
        lanes = VECTOR_BYTES // bytes_of(panels)
        to, item = address(panels) + start * bytes_of(panels), 0
        (K, N), (b_row, b_col) = b.shape, b.strides
        for k0 in range(0, K, DEPTH):
            deep = min(K - k0, DEPTH)
            n = 0
            while n < N:
                vectors = vectors_of_panel(N - n, lanes)
                columns = min(N - n, vectors * lanes)
                if item % used == rank:
                    source = address(b) + k0 * b_row + n * b_col
                    pack_panel(panels, deep, columns, source, b_row, b_col, to)
                item += 1
                to += deep * vectors * VECTOR_BYTES
                n += columns

    return run


def multiply_panels(
    a: Any, panels: Any, start: int, bias: Any, accumulate: int, c: Any, scratch: Any
) -> None:
    """C = bias + A B, or C += A B, for the B that `pack` has put from `start` on."""
    size = a.shape[1] * c.shape[1]
    multiply(
        a, panels[start : start + size].reshape(-1, c.shape[1]), bias, accumulate, c, 0, scratch
    )


@overload(multiply_panels)
def _overload_multiply_panels(
    a: Any, panels: Any, start: Any, bias: Any, accumulate: Any, c: Any, scratch: Any
) -> Any:
    call = external("product", scratch.dtype)

    def run(
        a: Any, panels: Any, start: int, bias: Any, accumulate: int, c: Any, scratch: Any
    ) -> None:
        b = address(panels) + start * bytes_of(panels)
        a_row, a_col = a.strides
        call(
            c.shape[0], c.shape[1], a.shape[1], address(a), a_row, a_col, b, 0, bytes_of(panels),
            address(c), c.strides[0], address(bias), accumulate, 0, 1, pointer(scratch),
        )  # fmt: skip

    return run
