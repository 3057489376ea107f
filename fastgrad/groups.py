"""Groups of a flat gradient whose norms are bounded: recording their norms and their rescaling."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fastgrad.arena import Array
from fastgrad.blocks import BLOCK
from fastgrad.program import Tape


class Groups:
    """Consecutive pieces of a flat vector, cut into blocks of their own.

    Parameters
    ----------
    edges : sequence of int
        Where each group starts, and at last where the last one ends.
    block : int
        Elements of a block at most.
    """

    def __init__(self, edges: Sequence[int], block: int = BLOCK) -> None:
        blocks: list[int] = []
        groups = [0]
        for start, stop in itertools.pairwise(edges):
            blocks.extend(range(start, stop, block))
            groups.append(len(blocks))
        blocks.append(edges[-1])
        self.blocks = np.array(blocks, np.int64)
        self.groups = np.array(groups, np.int64)

    def norms(self, tape: Tape, x: Array) -> Array:
        """Record the norms of x; they are in the array that is returned, (groups, 2), two factors
        of each norm."""
        sums = np.zeros((len(self.blocks) - 1, 2))
        norms = np.zeros((len(self.groups) - 1, 2))
        tape.call("group_norms", x, self.blocks, self.groups, sums, norms)
        return norms

    def bounds(self, low: float = 0.0, high: float = np.inf) -> Array:
        """The same bounds for the norm of each group, (groups, 2)."""
        return np.tile((low, high), (len(self.groups) - 1, 1))

    def rescale(self, tape: Tape, grads: Array, norms: Array, bounds: Array, report: Array) -> None:
        """Record the rescaling of gradients with these norms into these bounds."""
        tape.call("rescale", norms, bounds, self.blocks, self.groups, grads, report)
