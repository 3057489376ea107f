"""The signal that a model is given: of data, or of none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.signal import Signal

_NUMBERS = 1 << 20  # of one-hot vectors, so many tell enough


def signal_of(values: Array) -> Signal:
    """Moments of the rows of (N, F) or (N, T, F)."""
    x = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    n, features = x.shape
    squares = np.square(x).sum(axis=1)
    power = float(squares.mean()) / features
    if n > 1:
        apart = float(x.var(axis=0, ddof=1).sum()) / features
        units = x / np.sqrt(np.maximum(squares, np.finfo(np.float64).tiny))[:, None]
        gram = units.T @ units if features < n else units @ units.T
        alike = (float(np.square(gram).sum()) - n) / (n * (n - 1))
    else:
        apart, alike = 0.0, 1.0
    return Signal(
        features,
        n,
        power,
        apart,
        float(x.mean()),
        min(max(alike, 0.0), 1.0),
        # as if it were log-normal, whatever a few rows do that are far larger than the others
        spread=math.expm1(min(float(np.log(squares[squares > 0]).var()), 3.0)) if power else 0.0,
        uneven=float((squares / squares.mean()).var()) if power else 0.0,
        steps=values.shape[1] if values.ndim == 3 else 1,
        steady=1.0,
        lasting=_lasting(values),
        centre=x.mean(axis=0),
        variances=x.var(axis=0),
    )


def _lasting(values: Array) -> float:
    """Correlation of one step with the next, of what differs from the mean of all rows."""
    if values.ndim < 3 or values.shape[1] < 2:
        return 0.0
    rest = np.asarray(values, np.float64)
    rest = rest - rest.mean(axis=(0, 1))
    squares = float(np.square(rest).mean())
    both = float((rest[:, 1:] * rest[:, :-1]).mean())
    return min(max(both / squares, 0.0), 0.999) if squares else 0.0


def standardized(features: int, rows: int, steps: int = 1) -> Signal:
    """Independent features of mean 0 and variance 1."""
    found = Signal(features, rows, 1.0, 0.0, 0.0, 1 / features, steps=steps)
    if rows == 1:  # of which nothing is known
        return found
    return found.of_units(np.zeros(features), np.ones(features))


def looked_up(table: Array, rows: int, steps: int) -> Signal:
    """Rows of a table of vectors, each as likely as the others."""
    w = np.asarray(table, np.float64)
    power = float(np.square(w).mean())
    product = float(np.square(w.mean(axis=0)).mean())
    features = w.shape[1]
    alike = max(1 / features, 1 / len(w), (product / power) ** 2 if power else 1.0)
    found = Signal(features, rows, power, power - product, float(w.mean()), alike, steps=steps)
    return found.of_units(w.mean(axis=0), w.var(axis=0))


def one_hot(indices: Array, classes: int) -> Signal:
    """Moments of indices (N, T) as vectors that are 0 but for a 1."""
    count = max(2, min(len(indices), _NUMBERS // (classes * indices.shape[1])))
    some = np.linspace(0, len(indices) - 1, count).astype(np.int64)
    found = signal_of(np.eye(classes)[indices[some]])
    return replace(found, rows=indices.size)


def rescaled(
    x: Array | None, signal: Signal, mean: Array, scale: Array
) -> tuple[Array | None, Signal, float]:
    """What Standardize makes of x, and by how much it multiplies a gradient's squared norm.

    Without statistics of its own it is taken to get those of x.
    """
    fitted = bool(scale.all())
    if x is None:
        factor = float(np.square(1 / scale.astype(np.float64)).mean()) if fitted else 1.0
        return None, signal, factor
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    if not fitted:
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > math.sqrt(np.finfo(np.float64).tiny), scale, 1.0)
    found = (rows - mean) / scale
    found = found.reshape(x.shape)
    return found, signal_of(found), float(np.square(1 / scale).mean())
