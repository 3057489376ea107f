"""`Samples`: rows to train on, with targets, weights and lengths that fit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import checks, losses
from fastgrad.arena import Array
from fastgrad.losses import Loss


@dataclass
class Samples:
    """Rows to train on and what belongs to each of them, all checked.

    Attributes
    ----------
    x : ndarray
        What the model takes.
    target : ndarray
        What the loss takes.
    loss : Loss
        That for targets of this kind.
    weight : ndarray, (N,) or (N, T), or None
        Of rows; of all steps, 0 in the padding, where outputs are sequences.
    lengths : ndarray of int64, (N,), or None
    """

    x: Array
    target: Array
    loss: Loss
    weight: Array | None = None
    lengths: Array | None = None

    @property
    def arrays(self) -> list[Array]:
        """Those that there are."""
        given = self.x, self.target, self.weight, self.lengths
        return [array for array in given if array is not None]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What recordings for such rows have in common, however many there are."""
        shapes = tuple(array.shape[1:] for array in self.arrays)
        return shapes, self.weight is None, self.lengths is None, type(self.loss)


def checked(
    loss: Loss,
    x: Array,
    outputs: tuple[int, ...],
    dtype: Any,
    y: Any,
    sample_weight: Any,
    lengths: Array | None,
) -> Samples:
    """Rows that are checked, with what belongs to them, which is checked here.

    Parameters
    ----------
    loss : Loss
    x : ndarray
    outputs : tuple of int
        The shape of what the model makes of x.
    dtype : float32 or float64
        The model's.
    y : array-like
        Targets, as the loss takes them; those of padding become 0, whatever they are.
    sample_weight : array-like, (N,) or, where outputs are sequences, (N, T); or None
    lengths : ndarray of int64, (N,), or None
        Checked already.
    """
    sequences = len(outputs) > 2
    if sequences and lengths is not None:
        if outputs[1] != x.shape[1]:
            raise ValueError(f"lengths are of {x.shape[1]} steps, but outputs have {outputs[1]}")
        y = _without_padding(checks.real_array("y", y), lengths)
    own_loss = losses.for_targets(loss, y, outputs)
    target = own_loss.targets(y, outputs, dtype)
    weight = None
    if sample_weight is not None:
        shapes = (outputs[:1], outputs[:2]) if sequences else (outputs[:1],)
        weight = checks.weights("sample_weight", sample_weight, shapes, dtype)
        if weight.ndim > 1 and lengths is not None:
            weight = _without_padding(weight, lengths)
    return Samples(x, target, own_loss, weight, lengths)


def _without_padding(values: Array, lengths: Array) -> Array:
    """Values (N, T, ...) with zeros for what lies behind the lengths; themselves if they have them.

    Values of another shape are left to those who say so.
    """
    if values.ndim < 2 or len(values) != len(lengths):
        return values
    padding = np.arange(values.shape[1]) >= lengths[:, None]
    if not values[padding].any():
        return values
    found = values.copy()
    found[padding] = 0
    return found
