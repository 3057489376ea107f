"""What all clips share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgrad import configs
from fastgrad.arena import Array, Part
from fastgrad.clipping.report import ClipReport
from fastgrad.program import Tape


class Clip:
    """The base of all clips. Its attributes are the arguments of its constructor.

    What it remembers belongs to the trainer, so that one clip object may serve several of them.
    """

    def state(self, parts: Sequence[Part], layer_starts: Sequence[int]) -> dict[str, Array]:
        """Fresh arrays of what it remembers.

        ``"report"``, (2, 6), is the account as it is and as it was at the start of the epoch.

        Parameters
        ----------
        parts : sequence of Part
            Where in the flat gradient each tensor lies.
        layer_starts : sequence of int
            Where each layer with parameters starts.
        """
        return {"report": np.zeros((2, 6))}

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
        parts, layer_starts
            As for `state`.
        state : dict of str to ndarray
            What `state` returned; the recorded calls keep hold of these arrays.
        """
        raise NotImplementedError

    def begin_epoch(self, state: dict[str, Array]) -> None:
        """Have the account of an epoch start here."""
        state["report"][1] = state["report"][0]

    def read(self, state: dict[str, Array], epoch: bool = False) -> ClipReport:
        """What the account says, of all steps or of those of the epoch."""
        now, start = (ClipReport.of(row) for row in state["report"].tolist())
        return now.since(start) if epoch else now

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `clipping.from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({values})"
