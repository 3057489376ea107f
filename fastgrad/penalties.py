"""Penalties on the size of weights, which are minimized along with the loss.

A penalty and its gradient are added before clips act, and are part of the loss that `Trainer.step`,
`Trainer.epoch` and ``history["loss"]`` report: what is minimized. `Trainer.evaluate` and
``history["val_loss"]`` are the loss alone. For weight decay that is no part of the gradient see
`AdamW`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastgrad import checks, configs
from fastgrad.arena import Array
from fastgrad.blocks import blocks_of
from fastgrad.model import Sequential
from fastgrad.naming import checked, of_weights
from fastgrad.program import Tape


class Penalty:
    """The base of the penalties: a strength, which may differ between layers."""

    def __init__(self, strength: float, per_layer: Mapping[str, float] | None = None) -> None:
        self.strength = checks.number("strength", strength, 0)
        self.per_layer = checked(per_layer, lambda name, value: checks.number(name, value, 0))

    def factors(self, strengths: Array) -> tuple[Array, Array]:
        """What the kernel multiplies ``sum(|w|)`` and ``sum(w^2)`` with."""
        raise NotImplementedError

    def strengths(self, params: Mapping[str, Array]) -> dict[str, float]:
        """The strength for each parameter that is penalized; ValueError for a key without one."""
        found = of_weights(self.strength, self.per_layer, params)
        return {name: strength for name, strength in found.items() if strength}

    def record(self, tape: Tape, model: Sequential, loss: Array) -> None:
        """Record what is added to the loss, and to the gradients of the model."""
        blocks, strengths = blocks_of(model.parts, self.strengths(model.params))
        tape.call(
            "penalty",
            model.flat_params,
            blocks,
            *self.factors(strengths),
            model.flat_grads,
            np.zeros(len(strengths)),
            loss,
            tape.status,
        )

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `penalties.from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        values = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if value)
        return f"{type(self).__name__}({values})"


class L1(Penalty):
    """Adds ``strength * sum(|w|)`` to the loss, which draws weights of little use towards 0.

    The gradient of |w| at 0 is taken to be 0.

    Parameters
    ----------
    strength : float
        At least 0.
    per_layer : mapping of str to float, optional
        Other strengths, for layers (``"2"``) or single parameters (``"0.weight"``); the longest
        name decides. Penalized are weights, the parameters of two or more axes: the ``weight`` of
        `Dense`, not biases nor the scales of norms, unless they are named in full (``"0.bias"``).

    Examples
    --------
    >>> import fastgrad as fg
    >>> regularizers = [fg.L1(1e-5), fg.L2(1e-4, per_layer={"2": 0.0, "0.weight": 1e-3})]
    """

    def factors(self, strengths: Array) -> tuple[Array, Array]:
        """The strengths, and 0."""
        return strengths, np.zeros_like(strengths)


class L2(Penalty):
    """Adds ``strength * sum(w^2)`` to the loss, as in Keras: its gradient is ``2 strength w``.

    With plain SGD it is the same as a `weight_decay` of ``2 strength``; with Adam the penalty's
    gradient is divided by the root mean square as all of it is, and the decay of `AdamW` is not.

    Parameters
    ----------
    strength : float
        At least 0.
    per_layer : mapping of str to float, optional
        As for `L1`.
    """

    def factors(self, strengths: Array) -> tuple[Array, Array]:
        """0, and the strengths."""
        return np.zeros_like(strengths), strengths


def get(regularizers: Any, model: Sequential) -> tuple[Penalty, ...]:
    """None, a penalty or a sequence of them, as a tuple; the layers they name are there."""
    several = isinstance(regularizers, (list, tuple))
    found = () if regularizers is None else tuple(regularizers) if several else (regularizers,)
    for one in found:
        if not isinstance(one, Penalty):
            raise TypeError(f"regularizers must be L1 or L2, or a list of them, got {one!r}")
        one.strengths(model.params)
    return found


def from_config(config: Mapping[str, Any]) -> Penalty:
    """Make the penalty that `Penalty.config` described."""
    return configs.rebuilt("penalty", {"L1": L1, "L2": L2}, config)
