"""The rules of layers without weights of their own, and of those that bring a signal to a scale."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fastgrad.batch_norm import BatchNorm
from fastgrad.embedding import Embedding, Flatten
from fastgrad.health.prediction.elementwise import log
from fastgrad.health.prediction.inputs import looked_up, rescaled, signal_of
from fastgrad.health.prediction.matrices import mean_square
from fastgrad.health.prediction.signal import Back, Flow, Signal
from fastgrad.health.prediction.walk import Walk, through
from fastgrad.layer_norm import LayerNorm, RMSNorm
from fastgrad.regularization import Dropout
from fastgrad.standardize import Standardize


@through.register
def _(layer: BatchNorm, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """In training; the gradient grows by what the batch's common part took (Yang et al. 2019)."""
    walk.normalized = True
    n = signal.rows
    variance = signal.apart * (n - 1) / n
    scale = 1 / (variance + layer.eps)
    # the mean of 1 / variance, over features of n normal rows
    heavy = (n - 1) / (n - 3) if n > 3 else 1.0
    power = variance * scale
    apart = power * n / max(n - 1, 1)
    centred = replace(signal, power=power, apart=apart, mean=0.0, degree=0.0)
    if signal.variances is not None:
        # the gradient's own part of each 1 / variance is undone by the row of the weight below
        variances = signal.variances / (signal.variances + layer.eps)
        known = signal.of_units(np.zeros(signal.features), variances)
        centred = replace(known, degree=0.0, spread=0.0, shared=0.0)
    up, weight2 = _affine(centred, name, walk)

    def back(flow: Flow) -> Flow:
        _affine_gradients(name, flow, centred, walk)
        common = (1 + flow.cross) / n
        left = max(1 - common - flow.alignment(centred) / n, 0.0)
        return replace(
            flow,
            log_power=flow.log_power + log(weight2 * scale * heavy * left),
            cross=-1.0,
            radial=1 / signal.features,
            aligned=None,
        )

    return up, back


@through.register(LayerNorm)
@through.register(RMSNorm)
def _(layer: LayerNorm | RMSNorm, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """Each row loses its mean and its size, and its gradient the part along both.

    What is left is over the row's own size: of rows that came out small it is large.
    """
    walk.normalized = True
    n = signal.features
    centre = isinstance(layer, LayerNorm)
    mean = signal.mean if signal.centre is None else float(signal.centre.mean())
    mean = mean if centre else 0.0
    variance = max(signal.power - mean * mean, 0.0)
    scale = 1 / (variance + layer.eps)
    if signal.centre is not None and signal.variances is not None:
        centred = signal.centre - mean
        known = signal.of_units(centred * math.sqrt(scale), signal.variances * scale)
        signal = replace(signal, centre=known.centre, variances=known.variances)
    normal = replace(
        signal,
        power=variance * scale,
        apart=signal.apart * scale,
        mean=signal.mean * math.sqrt(scale) if not centre else 0.0,
        spread=0.0,
        shared=0.0,
        uneven=0.0,
        degree=signal.degree * (1 - variance * scale),
    )
    up, weight2 = _affine(normal, name, walk)
    lost = variance * scale  # of the part along the row

    def back(flow: Flow) -> Flow:
        _affine_gradients(name, flow, normal, walk)
        left = max(1 - lost * flow.radial - centre / n, 0.0)
        below = replace(
            flow,
            log_power=flow.log_power + log(weight2 * scale * left),
            radial=0.0,
            aligned=None,
            steer=(1 - lost) * flow.steer - lost,
        )
        sizes, shares = signal.sizes
        if signal.centre is None or not left:
            return below
        return replace(below, sizes=np.ones(1)).resized(sizes ** (-2 * lost), shares)

    return up, back


@through.register
def _(layer: Dropout, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    """Masks of their own for each row: powers grow by ``1 / keep``, products of rows do not."""
    keep = 1 - layer.p
    power = signal.power / keep
    cosine = signal.product / power if power else 1.0
    variances = signal.variances
    if variances is not None and signal.centre is not None:
        variances = variances + (1 / keep - 1) * (np.square(signal.centre) + variances)
    up = replace(
        signal,
        power=power,
        apart=power - signal.product,
        alike=max(cosine**2, 1 / signal.features),
        variances=variances,
    )

    def back(flow: Flow) -> Flow:
        more = (1 / keep - 1) * 3 * flow.same / (flow.features + 2)
        return replace(
            flow,
            log_power=flow.log_power - math.log(keep),
            cross=flow.cross * keep,
            same=flow.same + more,
        )

    return up, back


@through.register
def _(layer: Flatten, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    rows, features = signal.rows // layer.steps, signal.features * layer.steps
    if walk.x is not None:
        walk.x = walk.x.reshape(len(walk.x), -1)
        up = signal_of(walk.x)
    else:
        up = replace(signal, rows=rows, features=features, steps=1)
        if signal.centre is not None and signal.variances is not None:
            centre, variances = (np.tile(v, layer.steps) for v in (signal.centre, signal.variances))
            up = up.of_units(centre, variances)
    return up, lambda flow: replace(flow, rows=signal.rows, features=signal.features)


@through.register
def _(layer: Embedding, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    table = walk.weight(name, "weight")
    if walk.x is None:
        up = looked_up(table, signal.rows, signal.steps)
        twice = 1 / layer.indices
    else:
        indices = walk.x.reshape(-1)
        walk.x = table[walk.x].astype("float64")
        up = signal_of(walk.x)
        counts = np.bincount(indices)
        twice = float((counts * (counts - 1.0)).sum()) / max(indices.size * (indices.size - 1), 1)

    def back(flow: Flow) -> Flow:
        # rows of the same index add up
        walk.sums(f"{name}.weight", replace(flow, cross=flow.cross * twice))
        return flow

    return up, back


@through.register
def _(layer: Standardize, name: str, signal: Signal, walk: Walk) -> tuple[Signal, Back]:
    mean, scale = walk.weight(name, "mean"), walk.weight(name, "scale")
    walk.x, up, factor = rescaled(walk.x, signal, mean, scale)
    return up, lambda flow: replace(flow, log_power=flow.log_power + log(factor))


def _affine(signal: Signal, name: str, walk: Walk) -> tuple[Signal, float]:
    """The signal times a weight for each feature, and a bias; and the weight's mean square."""
    weight, bias = walk.array(name, "weight"), walk.array(name, "bias")
    square = 1.0 if weight is None else mean_square(weight)
    more = mean_square(bias)
    mean = signal.mean * (1.0 if weight is None else float(weight.mean()))
    mean += 0.0 if bias is None else float(bias.mean())
    up = replace(signal, power=signal.power * square + more, apart=signal.apart * square, mean=mean)
    if signal.centre is not None and signal.variances is not None:
        w = np.ones(signal.features) if weight is None else np.asarray(weight, np.float64)
        centre = w * signal.centre
        if bias is not None:
            centre = centre + bias
        up = signal.of_units(centre, np.square(w) * signal.variances)
    cosine = up.product / up.power if up.power else 1.0
    return replace(up, alike=max(cosine**2, 1 / signal.features)), square


def _affine_gradients(name: str, flow: Flow, signal: Signal, walk: Walk) -> None:
    """``sum(delta y)`` over the rows, feature by feature, and ``sum(delta)``."""
    products = signal.power * flow.alignment(signal)
    walk.sums(f"{name}.weight", replace(flow, cross=0.0), products)
    walk.sums(f"{name}.bias", flow)
