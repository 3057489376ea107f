"""The losses, and their gradients."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import sigmoid
from fastgrad.backends.reference.gradients import check_finite


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
    share = share / (share.sum() or 1)  # rows without weight have no loss and no gradient
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


def binary_cross_entropy(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    z64 = z.astype(np.float64)
    each = np.maximum(z64, 0) - z64 * target + np.log1p(np.exp(-np.abs(z64)))
    slope = sigmoid(z64) - target
    _weighted_mean(each.mean(axis=1), slope / z.shape[1], sample_weight, dz, rows, loss, status)


def _log_softmax(z: Array) -> Array:
    shifted = z.astype(np.float64) - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(
    z: Array,
    target: Array,
    class_weight: Array | None,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    log_p = _log_softmax(z)
    weight = sample_weight
    if class_weight is not None:
        weight = class_weight[target] * (1 if sample_weight is None else sample_weight)
    one_hot = np.eye(z.shape[1])[target]
    gradient = np.exp(log_p) - one_hot
    _weighted_mean(-(one_hot * log_p).sum(axis=1), gradient, weight, dz, rows, loss, status)


def soft_cross_entropy(
    z: Array,
    target: Array,
    sample_weight: Array | None,
    dz: Array,
    rows: Array,
    loss: Array,
    status: Array | None,
) -> None:
    log_p = _log_softmax(z)
    mass = target.sum(axis=1, keepdims=True, dtype=np.float64)
    gradient = np.exp(log_p) * mass - target
    _weighted_mean(-(target * log_p).sum(axis=1), gradient, sample_weight, dz, rows, loss, status)
