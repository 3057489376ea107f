"""Gradients of an LSTM's peepholes: sums over all rows of gates' gradients times cells."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, finite, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, over, rows
from fastgrad.backends.cuda.steps import rows_of, state_before
from fastgrad.backends.cuda.target import cuda


@device
def _of_steps(m: Memory, w: int, k: int) -> None:
    """A block adds up the rows of a step, each thread for units of its own."""
    T, offsets, N, H = m.ints[w], m.ints[w + 1], m.ints[w + 2], m.ints[w + 3]
    for t in range(cuda.blockIdx.x, T, cuda.gridDim.x):
        n, first = rows_of(m, offsets, T, t), m.ints[offsets + t]
        gates = part(m.reals, m.ints[w + 4] + first * 4 * H, n * 4 * H)
        before = part(m.reals, m.ints[w + 5] + state_before(m, offsets, N, t) * H, n * H)
        here = part(m.reals, m.ints[w + 5] + (N + first) * H, n * H)
        sums = part(m.reals, m.ints[w + 6] + t * 3 * H, 3 * H)
        for unit in range(cuda.threadIdx.x, H, cuda.blockDim.x):
            zero = number(m.reals, 0.0)
            of_i, of_f, of_o = zero, zero, zero
            for r in range(n):
                of_i += gates[r * 4 * H + unit] * before[r * H + unit]
                of_f += gates[(r * 4 + 1) * H + unit] * before[r * H + unit]
                of_o += gates[(r * 4 + 3) * H + unit] * here[r * H + unit]
            sums[unit], sums[H + unit], sums[2 * H + unit] = of_i, of_f, of_o


@device
def _of_all(m: Memory, w: int, k: int) -> None:
    T, H, status = m.ints[w], m.ints[w + 1], m.ints[w + 3]
    sums = part(m.reals, m.ints[w + 2], T * 3 * H)
    for i in range(cuda.grid(1), 3 * H, cuda.gridsize(1)):
        to = m.ints[w + 4 + i // H]
        if to != 0:
            total = number(m.reals, 0.0)
            for t in range(T):
                total += sums[t * 3 * H + i]
            m.reals[to + i % H] = total
            if status != 0 and not finite(total):
                m.ints[status] = 1


def peephole_gradients(
    offsets: Array, gates: Array, c: Array, dp_i: Array | None, dp_f: Array | None,
    dp_o: Array | None, status: Array | None,
) -> list[Phase]:  # fmt: skip
    """The phases that make those of them that are wanted."""
    if dp_i is None and dp_f is None and dp_o is None:
        return []
    T, (R, H) = len(offsets) - 1, (len(gates), c.shape[1])
    N, sums = len(c) - R, Scratch(c.dtype, T, 3, H)
    return [
        rows(_of_steps, T, 3 * N * H, T, offsets, N, H, gates, c, sums),
        over(_of_all, 3 * H, T, H, sums, status, dp_i, dp_f, dp_o, work=3 * T * H),
    ]
