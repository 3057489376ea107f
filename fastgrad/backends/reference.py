"""Every kernel in the plainest NumPy: the specification, and the naive baseline of the benches.

The compiled backends are judged against this file, so it shares nothing with them. What each
argument is, `contract.CONTRACT` says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717

# ---- activations ----------------------------------------------------------------------------


def _sigmoid(z: Array) -> Array:
    t = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1, t) / (1 + t))


def _erf(z: Array) -> Array:
    return np.vectorize(math.erf, otypes=[z.dtype])(z) if z.size else z


def _leaky(z: Array, alpha: float) -> Array:
    return np.where(z < 0, alpha * z, z)


def _elu(z: Array, alpha: float) -> Array:
    return np.where(z < 0, alpha * np.expm1(np.minimum(z, 0)), z)


def _gelu_tanh_inner(z: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))


ACTIVATIONS: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda z, alpha: z,
    "relu": lambda z, alpha: np.maximum(z, 0),
    "leaky_relu": _leaky,
    "elu": _elu,
    "selu": lambda z, alpha: SELU_SCALE * _elu(z, SELU_ALPHA),
    "gelu": lambda z, alpha: z * (1 + _erf(z / math.sqrt(2))) / 2,
    "gelu_tanh": lambda z, alpha: z * (1 + _gelu_tanh_inner(z)) / 2,
    "silu": lambda z, alpha: z * _sigmoid(z),
    "softplus": lambda z, alpha: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
    "softsign": lambda z, alpha: z / (1 + np.abs(z)),
    "tanh": lambda z, alpha: np.tanh(z),
    "sigmoid": lambda z, alpha: _sigmoid(z),
}

# f'(z) as a function of y = f(z) ...
SLOPES_FROM_OUTPUT: dict[str, Callable[[Array, float], Array]] = {
    "identity": lambda y, alpha: np.ones_like(y),
    "relu": lambda y, alpha: np.where(y > 0, 1, 0),
    "leaky_relu": lambda y, alpha: np.where(y > 0, 1, alpha),
    "elu": lambda y, alpha: np.where(y > 0, 1, y + alpha),
    "selu": lambda y, alpha: np.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
    "softplus": lambda y, alpha: -np.expm1(-y),
    "softsign": lambda y, alpha: (1 - np.abs(y)) ** 2,
    "tanh": lambda y, alpha: 1 - y**2,
    "sigmoid": lambda y, alpha: y * (1 - y),
}


def _gelu_tanh_slope(z: Array) -> Array:
    t = _gelu_tanh_inner(z)
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
    return np.asarray((1 + t) / 2 + z / 2 * (1 - t**2) * inner)


# ... or of z, for those that are not monotone
SLOPES_FROM_INPUT: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda z: (
        (1 + _erf(z / math.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    ),
    "gelu_tanh": _gelu_tanh_slope,
    "silu": lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
}


def activation_forward(
    x: Array, activation: str, alpha: float, y: Array, slope: Array | None
) -> None:
    if slope is not None and activation in SLOPES_FROM_INPUT:
        slope[...] = SLOPES_FROM_INPUT[activation](x)
    y[...] = ACTIVATIONS[activation](x, alpha)


def activation_backward(
    y: Array, slope: Array | None, dy: Array, activation: str, alpha: float, dx: Array
) -> None:
    if activation in SLOPES_FROM_INPUT:
        dx[...] = dy * slope
    else:
        dx[...] = dy * SLOPES_FROM_OUTPUT[activation](y, alpha)


def elementwise(function: str, x: Array, out: Array) -> None:
    own = {"sigmoid": _sigmoid, "erf": _erf}
    compute = own[function] if function in own else getattr(np, function)
    with np.errstate(all="ignore"):
        out[...] = compute(x)


# ---- products -------------------------------------------------------------------------------


def _product(product: Array, bias: Array | None, accumulate: int, c: Array) -> None:
    if accumulate:
        c += product
    else:
        c[...] = product if bias is None else product + bias


def product_nn(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> None:
    _product(a @ b, bias, accumulate, c)


def product_nt(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> None:
    _product(a @ b.T, bias, accumulate, c)


def product_tn(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> None:
    _product(a.T @ b, bias, accumulate, c)


# ---- dense ----------------------------------------------------------------------------------


def dense_forward(
    x: Array,
    w: Array,
    b: Array | None,
    activation: str,
    alpha: float,
    y: Array,
    slope: Array | None,
) -> None:
    z = x @ w.T
    if b is not None:
        z += b
    activation_forward(z, activation, alpha, y, slope)


def dense_backward(
    x: Array,
    w: Array,
    y: Array,
    slope: Array | None,
    activation: str,
    alpha: float,
    dy: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    status: Array | None,
) -> None:
    activation_backward(y, slope, dy, activation, alpha, dy)
    dw[...] = dy.T @ x
    if db is not None:
        db[...] = dy.sum(axis=0)
    if dx is not None:
        dx[...] = dy @ w
    check_finite(dw, status)
    if db is not None:
        check_finite(db, status)


# ---- residual -------------------------------------------------------------------------------


def residual_forward(x: Array, f: Array, scale: Array | None, factor: float, y: Array) -> None:
    y[...] = x + (factor if scale is None else scale[0]) * f


def residual_backward(
    f: Array,
    dy: Array,
    scale: Array | None,
    factor: float,
    df: Array,
    dscale: Array | None,
    rows: Array,
    status: Array | None,
) -> None:
    df[...] = (factor if scale is None else scale[0]) * dy
    if dscale is not None:
        rows[...] = (f.astype(np.float64) * dy).sum(axis=1)
        dscale[0] = rows.sum()
        check_finite(dscale, status)


def add(x: Array, y: Array) -> None:
    y += x


# ---- losses ---------------------------------------------------------------------------------


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
    slope = _sigmoid(z64) - target
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


# ---- optimizers -----------------------------------------------------------------------------


def sgd(g: Array, hyper: Array, step: Array, p: Array, velocity: Array | None) -> None:
    lr, momentum, dampening, weight_decay, nesterov = hyper
    d = g + weight_decay * p
    if velocity is not None:
        velocity[...] = d if step[0] == 0 else momentum * velocity + (1 - dampening) * d
        d = d + momentum * velocity if nesterov else velocity
    p -= (lr * d).astype(p.dtype)


def rmsprop(
    g: Array, hyper: Array, step: Array, p: Array, square: Array, velocity: Array | None
) -> None:
    lr, alpha, eps, weight_decay, momentum = hyper
    d = g + weight_decay * p
    square[...] = alpha * square + (1 - alpha) * d**2
    d = d / (np.sqrt(square) + eps)
    if velocity is not None:
        velocity[...] = momentum * velocity + d
        d = velocity
    p -= (lr * d).astype(p.dtype)


def adam(g: Array, hyper: Array, step: Array, p: Array, mean: Array, square: Array) -> None:
    lr, beta1, beta2, eps, weight_decay, decoupled = hyper
    t = step[0] + 1
    d = g
    if decoupled:
        p *= 1 - lr * weight_decay
    else:
        d = g + weight_decay * p
    mean[...] = beta1 * mean + (1 - beta1) * d
    square[...] = beta2 * square + (1 - beta2) * d**2
    correction = math.sqrt(1 - beta2**t)
    p -= (lr / (1 - beta1**t) * mean / (np.sqrt(square) / correction + eps)).astype(p.dtype)


# ---- gradients ------------------------------------------------------------------------------


def check_finite(g: Array, status: Array | None) -> None:
    if status is not None and not np.isfinite(g).all():
        status[0] = 1


def clip_value(limit: float, g: Array, report: Array) -> None:
    outside = np.abs(g) > limit
    np.clip(g, -limit, limit, out=g)
    report[:2] += 1, outside.any()
    report[2:] = outside.sum(), g.size


def _norm(x: Array) -> tuple[float, float]:
    """The norm in two factors, whose product may leave float64 where neither does."""
    top = float(np.abs(x).max(initial=0))
    if top == 0 or not math.isfinite(top):
        return top, 1.0
    return top, math.sqrt(((x.astype(np.float64) / top) ** 2).sum())


def clip_norm(
    low: float,
    high: float,
    blocks: Array,
    groups: Array,
    g: Array,
    squares: Array,
    factors: Array,
    report: Array,
) -> None:
    largest, farthest = 0.0, 1.0
    for group, (first, last) in enumerate(itertools.pairwise(groups)):
        part = g[blocks[first] : blocks[last]]
        top, root = _norm(part)
        norm = top * root
        lift, factor = 1.0, 1.0
        if top > 0 and math.isfinite(top) and not low <= norm <= high:
            lift = 2.0**600 if top < 1e-290 else 1.0  # one float64 may not reach all the way
            factor = (high if norm > high else low) / (top * lift) / root
            part[...] = part.astype(np.float64) * lift * factor
        factors[group] = lift, factor
        largest = max(largest, norm)
        farthest = max(farthest, lift * factor, key=lambda f: abs(math.log(f)))
        for block in range(first, last):
            squares[block] = (g[blocks[block] : blocks[block + 1]].astype(np.float64) ** 2).sum()
    report[:2] += 1, (factors != 1).any()
    report[2:] = largest, farthest


# ---- minibatches ----------------------------------------------------------------------------


def gather_rows(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def gather_labels(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def end_step(loss: Array, rows: int, total: Array, cursor: Array, step: Array) -> None:
    total[0] += rows * loss[0]
    cursor[0] += rows
    step[0] += 1
