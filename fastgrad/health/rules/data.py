"""What inputs and targets are like, and which loss they let one expect at the start."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastgrad import losses
from fastgrad.arena import Array

if TYPE_CHECKING:
    from fastgrad.train import Trainer

_ROWS, _NUMBERS = 4096, 1 << 20  # of many rows, so many tell enough, or so many as hold so much
_LEAST_ROWS = 256


@dataclass(frozen=True)
class InputFacts:
    """Statistics of each feature over rows, and over the time steps that count.

    Attributes
    ----------
    mean, std, low, high : ndarray, (F,)
    rows : ndarray of int, (R,)
        Which rows were looked at.
    sizes : ndarray, (R,)
        Root mean square of each of them.
    """

    mean: Array
    std: Array
    low: Array
    high: Array
    rows: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, X: Array, lengths: Array | None = None) -> InputFacts:
        """Those of (N, F), or of (N, T, F) with lengths (N,)."""
        chosen = _some(X)
        rows = np.asarray(X[chosen], np.float64)
        squares = np.mean(rows**2, axis=-1)
        if rows.ndim > 2:
            counts = np.full(len(rows), rows.shape[1]) if lengths is None else lengths[chosen]
            counted = np.arange(rows.shape[1]) < counts[:, None]
            rows = rows[counted]
            squares = np.sum(squares, axis=1, where=counted) / np.maximum(counts, 1)
        bounds = rows.mean(0), rows.std(0), rows.min(0), rows.max(0)
        return cls(*bounds, chosen, np.sqrt(squares))

    @property
    def rms(self) -> Array:
        """(F,): root mean square."""
        return np.hypot(self.mean, self.std)

    @property
    def size(self) -> float:
        """Root mean square of all features, those that are constant 0 left out."""
        used = self.rms > 0
        return float(np.sqrt(np.mean(self.rms[used] ** 2))) if used.any() else 0.0


def expected_losses(
    trainer: Trainer, X: Array, y: Array, lengths: Array | None
) -> tuple[float, float, float]:
    """The loss of the best constant outputs, that of outputs 0, and the targets' deviation.

    They are the trainer's own loss of such outputs, so that whatever it is multiplied with they
    are, too.
    """
    chosen = _some(X)
    rows, own = X[chosen], None if lengths is None else lengths[chosen]
    shape = trainer.model.output_shape(rows.shape)
    targets = y[chosen]
    if len(shape) < 3:
        own = None
    loss = losses.for_targets(trainer.loss, targets, shape)
    zeros = np.zeros(shape, trainer.model.dtype)
    if targets.shape != shape and not loss.labels:
        targets = targets.reshape(shape)
    counted = targets
    if own is not None:
        counted = targets[np.arange(shape[1]) < own[:, None]]
    best = _constant(loss, counted, shape[-1])
    std = math.nan
    if not isinstance(loss, _CLASSES):
        std = float(np.sqrt(np.mean(np.var(counted.reshape(-1, shape[-1]), axis=0))))
    of_zeros = trainer.loss_of(zeros, targets, lengths=own)
    of_best = trainer.loss_of(zeros + best.astype(zeros.dtype), targets, lengths=own)
    return min(of_best, of_zeros), of_zeros, std


_CLASSES = (losses.CrossEntropy, losses.SoftCrossEntropy, losses.BinaryCrossEntropy)


def _constant(loss: losses.Loss, targets: Array, outputs: int) -> Array:
    """Outputs (O,) that fit the targets best, or nearly so."""
    if loss.labels:
        share = np.bincount(targets.reshape(-1), minlength=outputs) / targets.size
        return np.log(np.maximum(share, 1e-9))
    flat = targets.reshape(-1, outputs).astype(np.float64)
    mean = flat.mean(axis=0)
    if isinstance(loss, losses.BinaryCrossEntropy):
        inside = np.clip(mean, 1e-9, 1 - 1e-9)
        return np.asarray(np.log(inside / (1 - inside)))
    if isinstance(loss, losses.SoftCrossEntropy):
        return np.asarray(np.log(np.maximum(mean, 1e-9)))
    if isinstance(loss, (losses.MAE, losses.Huber)):
        return np.asarray(np.median(flat, axis=0))
    return np.asarray(mean)


def _some(X: Array) -> Array:
    """Which rows are looked at, evenly spaced."""
    held = _NUMBERS // max(math.prod(X.shape[1:]), 1)
    count = min(len(X), _ROWS, max(held, _LEAST_ROWS))
    return np.linspace(0, len(X) - 1, count).astype(np.int64)
