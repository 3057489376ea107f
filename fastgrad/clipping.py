"""Clipping, and the floor for gradients that are too small.

Coefficients are exact, computed in float64 without an epsilon: a gradient of norm n > max_norm
comes out with norm max_norm, one below it is not touched. Each clip keeps an account in
`ClipReport`. Several clips given as a list act one after the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.program import Tape

_BLOCK = 4096  # elements whose squares are summed in one go; the order of sums hangs on it


@dataclass(frozen=True)
class ClipReport:
    """How often a clip acted.

    Attributes
    ----------
    steps, acted : int
        Steps seen, and those in which it changed anything.
    last_norm : float
        Norm before the last step's clipping; the largest group's, where there are several.
        NaN for `ClipValue`.
    last_factor : float
        What the last step's gradient was multiplied with; for several groups, the factor farthest
        from 1; for `ClipValue` the fraction of elements left alone.
    """

    steps: int
    acted: int
    last_norm: float
    last_factor: float

    @property
    def fraction(self) -> float:
        """The fraction of steps in which it acted."""
        return self.acted / self.steps if self.steps else 0.0


class Clip:
    """The base of all clips."""

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record the clipping of a flat gradient.

        Parameters
        ----------
        tape : Tape
        grads, params : ndarray, (P,)
        parts : sequence of Part
            Where in them each parameter lies.
        layer_starts : sequence of int
            Where in them each layer starts.
        state : dict of str to ndarray
            What the clip remembers; ``"report"`` is its account.
        """
        raise NotImplementedError

    def read(self, report: Array) -> ClipReport:
        """What the kernel's account says."""
        steps, acted, norm, factor = report.tolist()
        return ClipReport(int(steps), int(acted), norm, factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{v:g}' for v in vars(self).values())})"


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
        tape.call("clip_value", self.limit, grads, state["report"])

    def read(self, report: Array) -> ClipReport:
        """What the kernel's account says."""
        steps, acted, outside, seen = report.tolist()
        kept = 1 - outside / seen if seen else 1.0
        return ClipReport(int(steps), int(acted), float("nan"), kept)


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
        """Record clip_norm over one group."""
        _record_norms(tape, grads, [0], 0.0, self.max_norm, state["report"])


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
        """Record clip_norm over the layers."""
        _record_norms(tape, grads, layer_starts, 0.0, self.max_norm, state["report"])


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
        """Record clip_norm over the layers, from below."""
        _record_norms(tape, grads, layer_starts, self.min_norm, np.inf, state["report"])


def _record_norms(
    tape: Tape, grads: Array, starts: Sequence[int], low: float, high: float, report: Array
) -> None:
    """Cut each group into blocks of its own and record clip_norm over them."""
    blocks: list[int] = []
    groups = [0]
    for start, stop in itertools.pairwise([*starts, grads.size]):
        blocks.extend(range(start, stop, _BLOCK))
        groups.append(len(blocks))
    blocks.append(grads.size)
    tape.call(
        "clip_norm",
        low,
        high,
        np.array(blocks, np.int64),
        np.array(groups, np.int64),
        grads,
        np.zeros(len(blocks) - 1),
        np.zeros((len(groups) - 1, 2)),
        report,
    )


def get(clip: Any) -> tuple[Clip, ...]:
    """None, a clip or a sequence of clips, as a tuple."""
    clips = () if clip is None else tuple(clip) if isinstance(clip, (list, tuple)) else (clip,)
    for one in clips:
        if not isinstance(one, Clip):
            raise TypeError(
                f"clip must be a Clip such as ClipNorm(1.0), or a list of them, got {one!r}"
            )
    return clips
