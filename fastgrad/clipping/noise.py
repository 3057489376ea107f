"""Noise on the gradient."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad import checks
from fastgrad.arena import Array, Part
from fastgrad.blocks import blocks_of
from fastgrad.clipping.base import Clip
from fastgrad.program import Tape


class GradientNoise(Clip):
    """Adds to each element of the gradient a number from ``N(0, eta / (1 + t)^gamma)``.

    t counts the steps done, from 0 (Neelakantan et al. 2015, "Adding gradient noise improves
    learning for very deep networks", equation 1; with a variance, not a deviation, that falls). It
    is one of the clips, and acts where it stands among them. What is added depends on the model's
    and the trainer's ``rng``, the step and the element's place, and on nothing else: not on threads
    or processors, but for the last bits. Elements whose gradient is always 0 get it like all
    others, as those of the padding row of an `Embedding`.

    Parameters
    ----------
    eta : float
        Variance at the first step, at least 0; the paper tries 0.01, 0.3 and 1.
    gamma : float
        At least 0; 0 keeps the variance constant.

    Examples
    --------
    >>> import fastgrad as fg
    >>> clip = [fg.ClipNorm(1.0), fg.GradientNoise(eta=0.01)]
    """

    def __init__(self, eta: float = 0.3, gamma: float = 0.55) -> None:
        self.eta = checks.number("eta", eta, 0)
        self.gamma = checks.number("gamma", gamma, 0)

    def record(
        self,
        tape: Tape,
        grads: Array,
        params: Array,
        parts: Sequence[Part],
        layer_starts: Sequence[int],
        state: dict[str, Array],
    ) -> None:
        """Record gradient_noise on all parts, and nothing between them."""
        blocks, scale = blocks_of(parts, {part.name: 1.0 for part in parts})
        tape.call(
            "gradient_noise",
            self.eta,
            self.gamma,
            tape.seed,
            -1 - tape.random_layer(),  # where dropout counts upwards from 0
            tape.count,
            blocks,
            scale,
            grads,
            state["report"][0],
        )
