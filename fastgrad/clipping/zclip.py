"""Clipping of norms that stand out from their running mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.clipping.base import Clip
from fastgrad.groups import Groups
from fastgrad.program import Tape


class ZClip(Clip):
    """The whole gradient's norm, where it is a spike (Kumar et al. 2025, "ZClip").

    With the running mean m and standard deviation s of the norms, a norm n whose z = (n - m) / s is
    above `threshold` becomes ``m + threshold s / (z / threshold)``: the larger the spike, the
    closer to the mean. Then ``m = alpha m + (1 - alpha) n`` and, with the new m,
    ``s^2 = alpha s^2 + (1 - alpha) (n - m)^2``, both of the clipped n. They start as mean and
    deviation of the first `warmup` norms, which are not clipped.

    Norms that are not finite change neither. In a run without noise s goes to 0, everything above
    the mean would count as a spike, and the mean could not follow; therefore s counts as at least
    ``min_std m``, which takes the place of the 1e-6 that the authors' code adds to s.

    Parameters
    ----------
    threshold : float
        Above 0.
    alpha : float
        In (0, 1).
    warmup : int
        At least 1.
    max_norm : float, optional
        The norm is at most this in any case, in the warm-up too; m and s know nothing of it. The
        authors' code has 1.0 by default, the paper none.
    min_std : float
        At least 0; what s counts as at least, as a fraction of m.
    """

    def __init__(
        self,
        threshold: float = 2.5,
        alpha: float = 0.97,
        warmup: int = 25,
        max_norm: float | None = None,
        min_std: float = 0.1,
    ) -> None:
        self.threshold = checks.number("threshold", threshold, 0, open_low=True)
        self.alpha = checks.number("alpha", alpha, 0, 1, open_low=True, open_high=True)
        self.warmup = checks.count("warmup", warmup)
        self.max_norm = (
            None if max_norm is None else checks.number("max_norm", max_norm, 0, open_low=True)
        )
        self.min_std = checks.number("min_std", min_std, 0)

    def state(self, parts: Sequence[Part], layer_starts: Sequence[int]) -> dict[str, Array]:
        """The account; how many norms there were, their mean and standard deviation."""
        return {**super().state(parts, layer_starts), "moments": np.zeros(3)}

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record one group, bounded by mean and deviation."""
        groups = Groups([0, grads.size])
        norms, bounds = groups.norms(tape, grads), groups.bounds()
        most = np.inf if self.max_norm is None else self.max_norm
        settings = self.threshold, self.alpha, self.warmup, self.min_std, most
        tape.call("z_score_bounds", norms, *settings, bounds, state["moments"])
        groups.rescale(tape, grads, norms, bounds, state["report"][0])
