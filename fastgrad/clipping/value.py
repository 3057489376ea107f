"""Clipping of each element by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.clipping.base import Clip
from fastgrad.groups import Groups
from fastgrad.program import Tape


class ClipValue(Clip):
    """Each element into [-limit, limit]. Cheap, but it turns the gradient's direction.

    Parameters
    ----------
    limit : float
        Above 0.
    """

    def __init__(self, limit: float) -> None:
        self.limit = checks.number("limit", limit, 0, open_low=True)

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record clip_value."""
        blocks = Groups([0, grads.size]).blocks
        sums = np.zeros((len(blocks) - 1, 5))
        tape.call("clip_value", self.limit, blocks, grads, sums, state["report"][0])
