"""Errors of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastgrad.health import Provenance


class GradientError(ArithmeticError):
    """Training met a loss or gradient that is not finite.

    The model keeps the parameters of the last good step.

    Attributes
    ----------
    step : int
        Optimizer steps done before.
    layer : int or None
        The first layer whose output is not finite, or whose gradient is not.
    tensor : str or None
        The gradient that is not finite ("2.weight"), or None where the forward pass failed first.
    time_step : int or None
        Where that layer is recurrent, or has recurrent ones in it: the first time step at which
        its output is not finite; of gradients, which come from the last step, the last one.
    provenance : Provenance or None
        Where the first number that is not finite came from, found by running the step once more;
        None where that was finite, as it may be with layers that are written in Python.
    """

    def __init__(
        self,
        message: str,
        step: int,
        layer: int | None,
        tensor: str | None,
        time_step: int | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        super().__init__(message)
        self.step = step
        self.layer = layer
        self.tensor = tensor
        self.time_step = time_step
        self.provenance = provenance

    def __reduce__(self) -> tuple[object, ...]:
        where = self.step, self.layer, self.tensor, self.time_step
        return type(self), (str(self), *where, self.provenance)
