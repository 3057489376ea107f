"""Clipping at a percentile of the norms seen before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.clipping.base import Clip
from fastgrad.groups import Groups
from fastgrad.program import Tape


class AutoClip(Clip):
    """The whole gradient's norm at most a percentile of the norms so far (Seetharaman et al. 2020).

    The percentile is exact, that of `numpy.percentile` over the norms of the last `window` steps,
    the present one before clipping included; so the first step is never clipped. The paper keeps
    all norms. Norms that are not finite, or 0, are not kept: no gradient is scaled to 0.

    Parameters
    ----------
    percentile : float
        In [0, 100]. The paper's 10 clips nine steps of ten.
    window : int
        How many norms are kept, 8 bytes each twice; a step takes time in proportion to it.
    """

    def __init__(self, percentile: float = 10.0, window: int = 1000) -> None:
        self.percentile = checks.number("percentile", percentile, 0, 100)
        self.window = checks.count("window", window)

    def state(self, parts: Sequence[Part], layer_starts: Sequence[int]) -> dict[str, Array]:
        """The account; the kept norms as a ring, and by size; the count of all norms."""
        return {
            **super().state(parts, layer_starts),
            "arrived": np.zeros(self.window),
            "ordered": np.zeros(self.window),
            "count": np.zeros(1, np.int64),
        }

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record one group, bounded by the history."""
        groups = Groups([0, grads.size])
        norms, bounds = groups.norms(tape, grads), groups.bounds()
        history = state["arrived"], state["ordered"], state["count"]
        tape.call("percentile_bounds", norms, self.percentile, bounds, *history)
        groups.rescale(tape, grads, norms, bounds, state["report"][0])
