"""Sums and means of whole flat vectors."""

from __future__ import annotations

from fastgrad.arena import Array


def blend(x: Array, keep: float, add: float, y: Array) -> None:
    kept = keep * y if keep else 0
    y[...] = kept + add * x


def average(p: Array, decay: float, step: Array, mean: Array) -> None:
    if step[0] == 0:
        mean[...] = p
    else:
        mean += (1 - decay) / (1 - decay ** (step[0] + 1)) * (p - mean)
