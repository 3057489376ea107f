"""Layer norm and RMS norm."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def layer_norm_forward(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    center: int,
    eps: float,
    offsets: Array | None,
    y: Array,
    mean: Array,
    scale: Array,
) -> None:
    if offsets is not None:
        x, y, mean, scale = (array[: offsets[-1]] for array in (x, y, mean, scale))
    exact = x.astype(np.float64)
    mean[...] = exact.mean(axis=1) if center else 0
    scale[...] = 1 / np.sqrt(((exact - mean[:, None]) ** 2).mean(axis=1) + eps)
    z = (exact - mean[:, None]) * scale[:, None]
    if weight is not None:
        z *= weight
    if bias is not None:
        z += bias
    y[...] = z


def layer_norm_backward(
    x: Array,
    weight: Array | None,
    center: int,
    mean: Array,
    scale: Array,
    dy: Array,
    offsets: Array | None,
    dx: Array | None,
    dweight: Array | None,
    dbias: Array | None,
    status: Array | None,
) -> None:
    rows = len(x) if offsets is None else offsets[-1]
    x, mean, scale, dy = x[:rows], mean[:rows], scale[:rows], dy[:rows]
    v = (x.astype(np.float64) - mean[:, None]) * scale[:, None]
    g = dy.astype(np.float64)
    for gradient, terms in ((dweight, g * v), (dbias, g)):
        if gradient is not None:
            gradient[...] = terms.sum(axis=0)
            check_finite(gradient, status)
    if dx is None:
        return
    if weight is not None:
        g *= weight
    along = v * (g * v).mean(axis=1, keepdims=True)
    shift = g.mean(axis=1, keepdims=True) if center else 0
    dx[:rows] = scale[:, None] * (g - shift - along)
