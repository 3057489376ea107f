"""Batch normalization: every column over the rows of the batch."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def _affine(normed: Array, weight: Array | None, bias: Array | None) -> Array:
    scaled = normed if weight is None else normed * weight
    return scaled if bias is None else scaled + bias


def batch_norm_forward(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    y: Array,
    mean: Array,
    var: Array,
) -> None:
    wide = x.astype(np.float64)
    mean[...] = wide.mean(axis=0)
    var[...] = wide.var(axis=0)
    y[...] = _affine((wide - mean) / np.sqrt(var + eps), weight, bias)


def batch_norm_backward(
    x: Array,
    weight: Array | None,
    mean: Array,
    var: Array,
    dy: Array,
    eps: float,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
    status: Array | None,
) -> None:
    normed = (x - mean) / np.sqrt(var + eps)
    wide = dy.astype(np.float64)
    # to the mean and the variance goes what lies along (1, ..., 1) and along the normed column
    along = wide.mean(axis=0) + normed * (wide * normed).mean(axis=0)
    for gradient, terms in ((dweight, wide * normed), (dbias, wide)):
        if gradient is not None:
            gradient[...] = terms.sum(axis=0)
            check_finite(gradient, status)
    if dx is not None:
        dx[...] = (1 if weight is None else weight) / np.sqrt(var + eps) * (wide - along)


def batch_norm_update(
    mean: Array, var: Array, rows: int, momentum: float, running_mean: Array, running_var: Array
) -> None:
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + momentum * var * rows / (rows - 1)


def batch_norm_predict(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    eps: float,
    y: Array,
) -> None:
    root = np.sqrt(running_var.astype(np.float64) + eps)
    y[...] = _affine((x - running_mean) / root, weight, bias)
