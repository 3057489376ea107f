"""`Samples`: rows to train on, with targets, weights and lengths that fit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastgrad import checks, losses, padding
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

    def some(self, rows: Array) -> Samples:
        """Those of these numbers, in their order."""
        x, target, weight, lengths = (
            None if array is None else array[rows]
            for array in (self.x, self.target, self.weight, self.lengths)
        )
        assert x is not None
        assert target is not None
        return Samples(x, target, self.loss, weight, lengths)

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
        y = padding.cleared(checks.real_array("y", y), lengths)
    own_loss = losses.for_targets(loss, y, outputs)
    target = own_loss.targets(y, outputs, dtype)
    weight = None
    if sample_weight is not None:
        weight = _weights(sample_weight, outputs, dtype, lengths if sequences else None)
    return Samples(x, target, own_loss, weight, lengths)


def _weights(given: Any, outputs: tuple[int, ...], dtype: Any, lengths: Array | None) -> Array:
    """Of rows, or of all steps, 0 in the padding; `lengths` are those of outputs."""
    shapes = (outputs[:1], outputs[:2]) if len(outputs) > 2 else (outputs[:1],)
    values = padding.cleared(checks.real_array("sample_weight", given), lengths)
    none = lengths is not None and not lengths.any()
    weight = checks.weights("sample_weight", values, shapes, dtype, all_zero=none)
    if lengths is not None and not none and not weight[lengths > 0].any():
        raise ValueError("sample_weight is 0 for all sequences that have steps")
    return weight


def refuse_empty(outputs: tuple[int, ...], lengths: Array | None) -> None:
    """Raise ValueError where outputs are sequences of which no step counts."""
    if len(outputs) > 2 and lengths is not None and not lengths.any():
        raise ValueError("lengths are all 0: no step counts")
