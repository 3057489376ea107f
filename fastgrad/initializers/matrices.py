"""Matrices with a structure of their own: orthogonal, and the identity."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.initializers.base import Initializer
from fastgrad.initializers.checks import Array, number


def orthogonal(gain: float = 1.0) -> Initializer:
    """Draw `gain` times a uniformly (Haar) random matrix: Saxe et al. 2013, arXiv:1312.6120.

    Its rows are orthonormal, or its columns where those are fewer. A receptive field counts as
    columns. ValueError for a shape of fewer than 2 dimensions.
    """
    gain = number("gain", gain)

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"shape: orthogonal needs at least 2 dimensions, got {shape}")
        rows, cols = shape[0], math.prod(shape[1:])
        q = rng.standard_normal((min(rows, cols), max(rows, cols)))
        # Gram-Schmidt with every projection done twice: orthogonal to rounding (Giraud et al.
        # 2005), and uniform because norms are positive (a QR must fix its signs, Mezzadri 2007).
        # LAPACK's QR takes 0.4 of the time, but its last bits depend on the number of BLAS threads;
        # einsum calls no BLAS.
        for k in range(len(q)):
            row = q[k]
            for _ in range(2):
                row -= np.einsum("i,ij->j", np.einsum("ij,j->i", q[:k], row), q[:k])
            row /= math.sqrt(np.einsum("j,j->", row, row))
        return gain * (q if rows <= cols else q.T).reshape(shape)

    return Initializer("orthogonal", (("gain", gain),), draw)


def identity(gain: float = 1.0) -> Initializer:
    """Set the main diagonal to `gain`, the rest to 0: Le et al. 2015, arXiv:1504.00941.

    ValueError for a shape of other than 2 dimensions.
    """
    gain = number("gain", gain)

    def draw(shape: tuple[int, ...], _: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"shape: identity needs 2 dimensions, got {shape}")
        return gain * np.eye(*shape)

    return Initializer("identity", (("gain", gain),), draw)
