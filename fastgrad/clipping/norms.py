"""Clips that keep norms within constant bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.clipping.base import Clip
from fastgrad.groups import Groups
from fastgrad.program import Tape


class ClipNorm(Clip):
    """The whole gradient as one vector, its norm at most `max_norm` (Pascanu et al. 2013).

    Parameters
    ----------
    max_norm : float
        Above 0.
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = checks.number("max_norm", max_norm, 0, open_low=True)

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record one group."""
        _bound(tape, grads, [0], 0.0, self.max_norm, state)


class ClipPerLayer(ClipNorm):
    """The gradient of each layer (its weight and bias together), its norm at most `max_norm`."""

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record a group for each layer."""
        _bound(tape, grads, layer_starts, 0.0, self.max_norm, state)


class ClipPerTensor(ClipNorm):
    """The gradient of each tensor by itself, its norm at most `max_norm` (Keras's `clipnorm`)."""

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record a group for each tensor."""
        _bound(tape, grads, [part.start for part in parts], 0.0, self.max_norm, state)


class GradFloor(Clip):
    """The gradient of each layer, its norm at least `min_norm`: the counterpart of clipping.

    It keeps early layers moving where gradients vanish. A gradient of exactly 0 has no direction
    and stays 0. Near a minimum the floor amplifies noise; it is a cure to compare others with
    (initialization, normalization, residual connections), rarely the best one.

    Parameters
    ----------
    min_norm : float
        Above 0.
    """

    def __init__(self, min_norm: float) -> None:
        self.min_norm = checks.number("min_norm", min_norm, 0, open_low=True)

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record a group for each layer, bounded from below."""
        _bound(tape, grads, layer_starts, self.min_norm, np.inf, state)


def _bound(
    tape: Tape,
    grads: Array,
    starts: Sequence[int],
    low: float,
    high: float,
    state: dict[str, Array],
) -> None:
    """Record groups that start there, and whose norms are to lie in [low, high]."""
    groups = Groups([*starts, grads.size])
    norms = groups.norms(tape, grads)
    groups.rescale(tape, grads, norms, groups.bounds(low, high), state["report"][0])
