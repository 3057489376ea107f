"""Dropout, and the bits that decide about each element."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array


def splitmix64(state: int) -> int:
    """Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def lowbias32(values: Array) -> Array:
    """C. Wellons, "Prospecting for hash functions", 2018; uint32, which wraps around."""
    mixed: Array = values ^ values >> np.uint32(16)
    mixed = mixed * np.uint32(0x7FEB352D)
    mixed = mixed ^ mixed >> np.uint32(15)
    mixed = mixed * np.uint32(0x846CA68B)
    mixed = mixed ^ mixed >> np.uint32(16)
    return mixed


def random_bits(seed: int, count: int, layer: int, places: Array) -> Array:
    """32 bits for each place in the array, places being uint64."""
    key = 0
    for part in (seed, count, layer):
        key = splitmix64(key + part)
    upper, lower = (half.astype(np.uint32) for half in np.divmod(places, np.uint64(2**32)))
    return lowbias32(lowbias32(lower ^ np.uint32(key % 2**32)) ^ upper ^ np.uint32(key >> 32))


def dropout(x: Array, p: float, seed: int, layer: int, count: Array, y: Array) -> None:
    places = np.arange(x.size, dtype=np.uint64).reshape(x.shape)
    threshold = min(round(p * 2**32), 2**32 - 1)
    kept = random_bits(int(seed), int(count[0]), int(layer), places) >= threshold
    y[...] = np.where(kept, x / (1 - p), 0)
