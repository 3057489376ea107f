"""The losses, and their gradients."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.custom import LossFunction


def _weighted_mean(
    row_losses: Array,
    row_gradients: Array,
    weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    share = np.ones(len(rows)) if weight is None else weight.astype(np.float64)
    share = share / (share.sum() or np.inf)  # rows without weight: no loss and no gradient
    rows[...] = row_losses
    loss[0] = (share * rows).sum()
    dz[...] = row_gradients * share[:, None]
    check_finite(loss, status)


def mse(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    d = (z - target).astype(np.float64)
    _weighted_mean((d**2).mean(axis=1), 2 * d / z.shape[1], sample_weight, dz, rows, loss, status)


def mae(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    d = (z - target).astype(np.float64)
    each, slope = np.abs(d), np.sign(d)
    _weighted_mean(each.mean(axis=1), slope / z.shape[1], sample_weight, dz, rows, loss, status)


def huber(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    delta: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    d = (z - target).astype(np.float64)
    a = np.abs(d)
    each = np.where(a <= delta, d**2 / 2, delta * (a - delta / 2))
    slope = np.clip(d, -delta, delta)
    _weighted_mean(each.mean(axis=1), slope / z.shape[1], sample_weight, dz, rows, loss, status)


def elementwise_loss(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    formula: LossFunction,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    each, slope = formula.evaluated(z.astype(np.float64), target.astype(np.float64))
    with np.errstate(over="ignore"):  # of slopes that are infinite in float32
        _weighted_mean(each.mean(axis=1), slope / z.shape[1], sample_weight, dz, rows, loss, status)


def _smoothed(target: Array, smoothing: float, classes: int) -> Array:
    return (1 - smoothing) * target.astype(np.float64) + smoothing / classes


def binary_cross_entropy(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    smoothing: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    z64, t = z.astype(np.float64), _smoothed(target, smoothing, 2)
    each = np.maximum(z64, 0) - z64 * t + np.log1p(np.exp(-np.abs(z64)))
    slope = sigmoid(z64) - t
    _weighted_mean(each.mean(axis=1), slope / z.shape[1], sample_weight, dz, rows, loss, status)


def _log_softmax(z: Array) -> Array:
    shifted = z.astype(np.float64) - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _entropy(target: Array, log_p: Array) -> Array:
    """Of each row; a class that neither is nor can be adds nothing."""
    return np.asarray(-(target * np.where(target == 0, 0, log_p)).sum(axis=1))


def cross_entropy(
    z: Array,
    target: Array,
    class_weight: Array | None,
    sample_weight: Array | None,
    smoothing: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    classes = z.shape[1]
    log_p = _log_softmax(z)
    soft = _smoothed(np.eye(classes)[target], smoothing, classes)
    share = np.ones(len(z)) if sample_weight is None else sample_weight.astype(np.float64)
    total = share
    if class_weight is not None:
        total = share * class_weight[target]
        if smoothing:  # then every class of a row counts with its own weight
            soft *= class_weight
        else:
            share = total
    rows[...] = _entropy(soft, log_p)
    share = share / (total.sum() or np.inf)
    loss[0] = (share * rows).sum()
    dz[...] = share[:, None] * (np.exp(log_p) * soft.sum(axis=1, keepdims=True) - soft)
    check_finite(loss, status)


def soft_cross_entropy(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    smoothing: float,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    log_p = _log_softmax(z)
    soft = _smoothed(target, smoothing, z.shape[1])
    gradient = np.exp(log_p) * soft.sum(axis=1, keepdims=True) - soft
    each = _entropy(soft, log_p)
    _weighted_mean(each, gradient, sample_weight, dz, rows, loss, status)
