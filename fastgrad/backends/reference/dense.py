"""Matrix products, and the dense layer made of them."""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.reference.activations import activation_backward, activation_forward
from fastgrad.backends.reference.gradients import check_finite
from fastgrad.custom import UserActivation


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


def dense_forward(
    x: Array,
    w: Array,
    b: Array | None,
    activation: str | UserActivation,
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
    activation: str | UserActivation,
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
