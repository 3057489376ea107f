"""Dropout, y = x / (1 - p) where an element is kept, else 0: both passes, which draw one mask."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.device import device, number, part
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.noise import noise_key, random_bits
from fastgrad.backends.cuda.phase import Phase, kernel, over
from fastgrad.backends.cuda.target import cuda

WORK = 8  # of an element, in multiply-adds


@device
def _dropout(m: Memory, w: int, k: int) -> None:
    n, threshold = m.ints[w], np.uint32(m.ints[w + 1])
    x, y = part(m.reals, m.ints[w + 6], n), part(m.reals, m.ints[w + 7], n)
    grow, zero = number(m.reals, m.doubles[w + 2]), number(m.reals, 0.0)
    key = noise_key(m.ints[w + 3], m.ints[m.ints[w + 5]], m.ints[w + 4])
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        y[i] = grow * x[i] if random_bits(key, i) >= threshold else zero


@kernel
def dropout(x: Array, p: float, seed: int, layer: int, count: Array, y: Array) -> list[Phase]:
    threshold = min(round(p * 2**32), 2**32 - 1)
    words = x.size, threshold, float(1 / (1 - p)), seed, layer, count, x, y
    return [over(_dropout, x.size, *words, work=WORK * x.size)]
