"""Gradients of recurrent weights: one product over all steps.

Rows behind the last step are multiplied, too, but as zeros: so the product may be anybody's.
"""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, rows
from fastgrad.backends.cuda.product import Product
from fastgrad.backends.cuda.steps import rows_of, state_before
from fastgrad.backends.cuda.target import cuda


@device
def _previous(m: Memory, w: int, k: int) -> None:
    """Rows of a step, and those that they follow, are neighbours each."""
    T, offsets, N, H = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    R, width, end = m.ints[w + 4], m.ints[w + 5], m.ints[offsets + T]
    found, dz = part(m.reals, m.ints[w + 7], R * H), part(m.reals, m.ints[w + 8], R * width)
    for t in range(cuda.blockIdx.x, T, cuda.gridDim.x):
        n, first = rows_of(m, offsets, T, t) * H, m.ints[offsets + t] * H
        h = part(m.reals, m.ints[w + 6] + state_before(m, offsets, N, t) * H, n)
        for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
            found[first + i] = h[i]
    for i in range(end * H + cuda.grid(1), R * H, cuda.gridsize(1)):
        found[i] = 0
    for i in range(end * width + cuda.grid(1), R * width, cuda.gridsize(1)):
        dz[i] = 0


def previous_states(offsets: Array, h: Array, dz: Array) -> tuple[Scratch, Phase]:
    """For each row of the steps the state before it; behind the last step dz becomes 0 as well."""
    steps, (R, width), H = len(offsets) - 1, dz.shape, h.shape[1]
    N, found = len(h) - R, Scratch(h.dtype, R, H)
    return found, rows(_previous, steps, N * H, steps, offsets, N, H, R, width, h, found, dz)


def weight_gradient(
    dz: Array, first: int, count: int, states: Array | Scratch, step: int, dw: Array,
    status: Array | None,
) -> Product:  # fmt: skip
    """The sum over all rows of dz' states; of dz, columns `first` to `first + count`."""
    (R, width), H = dz.shape, dw.shape[1]
    return Product(dz[:, first:], states, dw, count, H, R, (1, width), (step, 1), H, status=status)
