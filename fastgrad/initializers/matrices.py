"""Matrices with a structure of their own: orthogonal, sparse, and the identity."""

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


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Draw from N(0, std^2), then set a share of each column to 0: ``torch.nn.init.sparse_``.

    A column holds the weights of one input to all units. Martens 2010, who proposed it, limits the
    weights into a unit instead, which is a row.

    Parameters
    ----------
    sparsity : float
        In [0, 1]; ``ceil(sparsity * rows)`` entries of each column are 0, others in each.
    std : float
        At least 0.

    Raises
    ------
    ValueError
        Also for a shape of other than 2 dimensions.
    """
    sparsity, std = number("sparsity", sparsity, minimum=0.0), number("std", std, minimum=0.0)
    if sparsity > 1.0:
        raise ValueError(f"sparsity: expected at most 1, got {sparsity}")

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"shape: sparse needs 2 dimensions, got {shape}")
        values = std * rng.standard_normal(shape)
        zeros = np.zeros(shape, bool)
        zeros[: math.ceil(sparsity * shape[0])] = True
        values[rng.permuted(zeros, axis=0)] = 0.0
        return values

    return Initializer("sparse", (("sparsity", sparsity), ("std", std)), draw)
