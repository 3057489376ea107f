"""Products of matrices by address: C = bias + A B, or C += A B; `matrices` has those of arrays.

design:
 a) The blocks, panels and tiles are those of the compiled kernels, for the same reasons
    (src/fg_gemm.h): B in packed panels of a depth that stays in the cache, A in place.
 b) Every element of C is the sum of chains of multiply-adds over k in rising order, one chain for
    each panel, whatever the tile, so any split of C over threads gives the same bits.
 c) Inside, addresses are integers and distances bytes: one function for all ways round.
"""

from __future__ import annotations

from typing import Any

from numba import carray, types

from fastgrad.backends.numba.compiling import SUMS, inline, overload, service
from fastgrad.backends.numba.machine import VECTOR_BYTES
from fastgrad.backends.numba.memory import address, number, view
from fastgrad.backends.numba.tile import (
    ROWS,
    VECTORS,
    pack_rows,
    side_by_side,
    tile,
    transpose,
)

DEPTH = 512  # of a panel, at home in L2
HEIGHT = 288  # most rows of A between two packings of a panel
DEPTH_LONG, HEIGHT_LONG, NEAR_C = 64, 1024, 3 << 17  # for long sums over columns
NEAR_B = 1 << 16  # bytes of B up to which it is as good as its panels
PAD = 32
DOT_ROWS, DOT_ROWS_LONG, DOT_LONG = 2, 5, 512  # so few rows are dot products
SCRATCH = {
    real: VECTORS * VECTOR_BYTES // size * DEPTH + (HEIGHT + PAD) * (DEPTH + PAD)
    for real, size in ((types.float32, 4), (types.float64, 8))
}  # elements
MOST_1, MOST_2, MOST_3 = ROWS[1], ROWS[2], ROWS[3]


def bytes_of(a: Any) -> int:
    """Bytes of an element."""
    return int(a.itemsize)


@overload(bytes_of)
def _overload_bytes_of(a: Any) -> Any:
    size = a.dtype.bitwidth // 8  # a number that LLVM knows, unlike a.itemsize
    return lambda a: size


@inline
def vectors_of_panel(columns: int, lanes: int) -> int:
    """The last four vectors are two panels of two: one alone has little to multiply with."""
    left = (columns + lanes - 1) // lanes
    return 2 if left == VECTORS + 1 else min(left, VECTORS)


@inline
def _rows_of_tile(left: int, vectors: int) -> int:
    """The last two tiles share their rows."""
    most = MOST_3 if vectors == 3 else MOST_2 if vectors == 2 else MOST_1
    if left >= 2 * most or left == most:
        return most
    return (left + 1) // 2 if left > most else left


@inline
def pack_panel(like: Any, K: int, columns: int, b: int, b_row: int, b_col: int, panel: int) -> None:
    """K rows of a panel, of columns of b."""
    size = bytes_of(like)
    lanes = VECTOR_BYTES // size
    vectors = (columns + lanes - 1) // lanes
    if b_col == size:
        pack_rows(like, (K, columns, vectors, b, b_row, panel))
        return
    width = vectors * VECTOR_BYTES
    for v in range(vectors):
        filled = min(columns - v * lanes, lanes)
        source = b + v * lanes * b_col
        for k in range(0, K, lanes):
            target = panel + k * width + v * VECTOR_BYTES
            depth = min(K - k, lanes)
            transpose(like, (filled, depth, source + k * b_row, b_col, target, width))


@inline(fastmath=SUMS)
def _dot(a: Any, b: Any) -> Any:
    total = number(a, 0.0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@inline
def _dot_products(
    like: Any, M: int, N: int, K: int, a: int, a_row: int, b: int, b_col: int, c: int, c_row: int,
    bias: int, accumulate: int,
) -> None:  # fmt: skip
    for m in range(M):
        to = view(like, c + m * c_row, N)
        plus = view(like, bias, N)
        left = view(like, a + m * a_row, K)
        for n in range(N):
            total = _dot(left, view(like, b + n * b_col, K))
            if accumulate:
                to[n] += total
            elif bias:
                to[n] = total + plus[n]
            else:
                to[n] = total


@inline
def _vectors_of_row(left: int) -> int:
    """Vectors of columns of the next panels side by side; the last four are two panels."""
    for side in range(4, 1, -1):
        if left >= side * VECTORS and left != side * VECTORS + 1:
            return side * VECTORS
    return left if left < VECTORS + 2 else VECTORS


@inline
def _row_of_panels(
    like: Any, N: int, K: int, a: int, b: int, c: int, bias: int, accumulate: int
) -> None:
    size = bytes_of(like)
    lanes = VECTOR_BYTES // size
    k0 = 0
    while True:
        deep = min(K - k0, DEPTH)
        plus = c if accumulate or k0 else bias
        n = 0
        while n < N:
            vectors = _vectors_of_row((N - n + lanes - 1) // lanes)
            columns = min(N - n, vectors * lanes)
            add = plus + n * size if plus else 0
            side_by_side(like, (vectors, deep, a + k0 * size, b, c + n * size, columns, add))
            b += deep * vectors * VECTOR_BYTES
            n += columns
        k0 += deep
        if k0 >= K:
            break


def _signature(real: Any) -> Any:
    return types.void(*[types.int64] * 15, types.CPointer(real))


@service(_signature)
def product(
    M: int, N: int, K: int, a: int, a_row: int, a_col: int, b: int, b_row: int, b_col: int,
    c: int, c_row: int, bias: int, accumulate: int, all_rows: int, packed: int, scratch: Any,
) -> None:  # fmt: skip
    """C = bias + A B or C += A B, by address. One of A's distances, and one of B's, is an element.

    `all_rows` is that of the whole product, whose part this is: it decides the order of sums. With
    `packed` b is what `pack` has made.
    """
    like = carray(scratch, 1)
    size = bytes_of(like)
    lanes = VECTOR_BYTES // size
    wide = VECTORS * lanes
    panel = address(like)
    block = panel + wide * DEPTH * size
    if K == 0 and accumulate:
        return
    if packed and M == 1:
        _row_of_panels(like, N, K, a, b, c, bias, accumulate)
        return
    by_columns = a_col != size
    by_rows_b = b_col == size
    dot_rows = DOT_ROWS if K < DOT_LONG else DOT_ROWS_LONG
    if not packed and not by_rows_b and not by_columns and all_rows <= dot_rows:
        _dot_products(like, M, N, K, a, a_row, b, b_col, c, c_row, bias, accumulate)
        return
    stride = a_col if by_columns else a_row
    # B by rows is its own panel when few rows of A pass over it, or when all of it is near
    in_place = by_rows_b and (M <= MOST_3 or K * b_row <= NEAR_B)
    # a copy of A pays where many panels pass over rows that the cache cannot hold at once
    copies = N // wide >= 4 and (
        (K >= 64 and stride >= 1024) if by_columns else (K > DEPTH and stride % 1024 == 0)
    )
    # a long sum over columns: a block of C stays in the cache while A and B pass by once
    passes = by_columns and K > DEPTH and not packed
    depth = DEPTH_LONG if passes else DEPTH
    tiles = (M + MOST_3 - 1) // MOST_3
    fit = HEIGHT // MOST_3 // (2 if by_columns else 1)
    if passes and fit * MOST_3 * N * size < NEAR_C:
        fit = max(1, min(NEAR_C // (N * size), HEIGHT_LONG) // MOST_3)
    blocks = (tiles + fit - 1) // fit
    block_rows = (tiles + blocks - 1) // blocks * MOST_3 if blocks else 1
    for m0 in range(0, M, block_rows):
        height = min(M - m0, block_rows)
        ready = b
        k0 = 0
        while True:
            deep = min(K - k0, depth)
            plus, plus_row = (c, c_row) if accumulate or k0 else (bias, 0)
            left, left_row, left_col = a + m0 * a_row + k0 * a_col, a_row, a_col
            if copies:
                rows, length = (deep, height) if by_columns else (height, deep)
                distance = _copy(like, rows, length, left, stride, block)
                left = block
                if by_columns:
                    left_col = distance
                else:
                    left_row = distance
            n = 0
            while n < N:
                vectors = vectors_of_panel(N - n, lanes)
                columns = min(N - n, vectors * lanes)
                right, right_row = panel, vectors * VECTOR_BYTES
                if packed:
                    right = ready
                    ready += deep * right_row
                elif in_place and columns == vectors * lanes:
                    right, right_row = b + k0 * b_row + n * size, b_row
                else:
                    pack_panel(like, deep, columns, b + k0 * b_row + n * b_col, b_row, b_col, panel)
                m = 0
                while m < height:
                    rows = _rows_of_tile(height - m, vectors)
                    to = c + (m0 + m) * c_row + n * size
                    add = plus + (m0 + m) * plus_row + n * size if plus else 0
                    tile(
                        like,
                        (rows, vectors, deep, left + m * left_row, left_row, left_col, right,
                         right_row, to, c_row, columns, add, plus_row),
                    )  # fmt: skip
                    m += rows
                n += columns
            k0 += deep
            if k0 >= K:
                break


@inline
def _copy(like: Any, rows: int, length: int, a: int, stride: int, block: int) -> int:
    """A copy of rows of A and their new distance, an odd number of cache lines.

    Rows that lie a multiple of 1 KiB apart would throw each other out of the cache's sets.
    """
    size = bytes_of(like)
    distance = ((length * size + 63) // 64 | 1) * 64
    for r in range(rows):
        source = view(like, a + r * stride, length)
        target = view(like, block + r * distance, length)
        for i in range(length):
            target[i] = source[i]
    return int(distance)
