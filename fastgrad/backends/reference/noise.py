"""Gradient noise, and the normal numbers that it is made of."""

from __future__ import annotations

import itertools

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.dropout import random_bits


def normals(seed: int, count: int, layer: int, places: Array, dtype: np.dtype) -> Array:
    """A normal number for each place (Box & Muller 1958), made of uniform ones of that dtype."""
    twice = 2 * places.astype(np.uint64)
    bits = random_bits(seed, count, layer, twice) >> np.uint32(1)
    more = random_bits(seed, count, layer, twice + np.uint64(1)).view(np.int32)
    u = (bits.astype(dtype) + dtype.type(0.5)) / dtype.type(2**31)
    h = (more.astype(dtype) + dtype.type(0.5)) / dtype.type(2**32)
    radius = np.sqrt(-2 * np.log(u.astype(np.float64)))
    return np.asarray(radius * np.sin(np.pi * h.astype(np.float64)))


def gradient_noise(
    eta: float,
    gamma: float,
    seed: int,
    layer: int,
    count: Array,
    blocks: Array,
    scale: Array,
    g: Array,
    report: Array,
) -> None:
    deviation = np.sqrt(eta / (1.0 + count[0]) ** gamma)
    for factor, (first, last) in zip(scale, itertools.pairwise(blocks), strict=True):
        if factor:
            places = np.arange(first, last)
            g[first:last] += (
                factor * deviation * normals(int(seed), int(count[0]), int(layer), places, g.dtype)
            )
    report[:2] += 1, deviation > 0
    report[2:] = np.nan, 1, report[0], 1
