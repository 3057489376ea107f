"""Adaptive gradient clipping: bounds that follow the size of the parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.clipping.base import Clip
from fastgrad.groups import Groups
from fastgrad.program import Tape


class AGC(Clip):
    """Adaptive gradient clipping (Brock et al. 2021, equation 3): no unit may change too much.

    A unit's gradient of norm above ``factor * max(norm of its parameters, eps)`` is scaled down to
    that norm. The units of a weight are its rows, (outputs, inputs); a vector or a scalar, such as
    a bias, is one unit as a whole. So it is in the authors' code and in timm, whose 1e-6 below the
    gradient's norm is not needed here.

    Parameters
    ----------
    factor : float
        Lambda, above 0. The paper uses 0.01 for large batches, and up to 0.16 for small ones.
    eps : float
        Above 0; what the norm of parameters counts as at least, so that a row of zeros can move.
    exclude_last : bool
        Whether the last layer with parameters is left alone, as the paper does with a classifier.
        For a loss whose gradient has no bound (mse) that layer needs a clip too.

    Raises
    ------
    ValueError
        From `Trainer`, if the last layer is the only one: nothing would be clipped.
    """

    def __init__(self, factor: float = 0.01, eps: float = 1e-3, exclude_last: bool = True) -> None:
        self.factor = checks.number("factor", factor, 0, open_low=True)
        self.eps = checks.number("eps", eps, 0, open_low=True)
        self.exclude_last = checks.flag("exclude_last", exclude_last)

    def state(self, parts: Sequence[Part], layer_starts: Sequence[int]) -> dict[str, Array]:
        """The account alone."""
        if self.exclude_last and len(layer_starts) == 1:
            raise ValueError(
                f"{self} would clip nothing: the model has 1 layer with parameters, which is the "
                "last one; use exclude_last=False"
            )
        return super().state(parts, layer_starts)

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record a group for each unit."""
        stop = layer_starts[-1] if self.exclude_last and layer_starts else grads.size
        starts: list[int] = []
        for part in parts:
            if part.start < stop:
                unit = math.prod(part.shape[1:]) if len(part.shape) > 1 else part.size
                starts.extend(range(part.start, part.stop, max(unit, 1)))
                starts.append(part.stop)  # what lies between two tensors is of neither
        groups = Groups([*starts, stop])
        sizes, bounds = groups.norms(tape, params), groups.bounds()
        tape.call("relative_bounds", sizes, self.factor, self.eps, bounds)
        groups.rescale(tape, grads, groups.norms(tape, grads), bounds, state["report"][0])
