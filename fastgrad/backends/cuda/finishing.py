"""What a product of cuBLAS still lacks: bias, activation, sums of its left factor, status."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, finite, number
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, over
from fastgrad.backends.cuda.states import sum_rows
from fastgrad.backends.cuda.target import cuda


@functools.cache
def _finish(activation: Callable[..., Any] | None, slope: Any) -> Callable[..., None]:
    if activation is None:

        @device
        def finish(m: Memory, w: int, k: int) -> None:
            rows, columns, c, step, status = (
                m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3], m.ints[w + 5],
            )  # fmt: skip
            for i in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
                row, column = i // columns, i % columns
                value = m.reals[c + row * step + column]
                if m.ints[w + 4] != 0:
                    value += m.reals[m.ints[w + 4] + column]
                    m.reals[c + row * step + column] = value
                if status != 0 and not finite(value):
                    m.ints[status] = 1

        return finish

    @device
    def finish_activated(m: Memory, w: int, k: int) -> None:
        rows, columns, c, step = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
        alpha = number(m.reals, m.doubles[w + 7])
        for i in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
            row, column = i // columns, i % columns
            value = m.reals[c + row * step + column]
            if m.ints[w + 4] != 0:
                value += m.reals[m.ints[w + 4] + column]
            y = activation(m, value, alpha)
            m.reals[c + row * step + column] = y
            if m.ints[w + 6] != 0:
                m.reals[m.ints[w + 6] + row * step + column] = slope(m, value, y, alpha)

    return finish_activated


def phases(
    a: Any, c: Any, sizes: tuple[int, int, int], c_step: int, bias: Array | None,
    ones: Array | None, status: Array | None, slope: Array | None, alpha: float,
    activation: Callable[..., Any] | None, slope_of_it: Callable[..., Any] | None,
) -> list[Phase]:  # fmt: skip
    """The phases behind a `LargeProduct` that make it a `Product`."""
    M, N, K = sizes
    found = []
    if bias is not None or status is not None or activation is not None:
        words = M, N, c, c_step, bias, status, slope, alpha
        found.append(over(_finish(activation, slope_of_it), M * N, *words))
    if ones is not None:
        found += sum_rows(a.reshape(K, M), ones, status).phases
    return found
