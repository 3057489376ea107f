"""What the first step of training will be: the loss's gradient at birth, and the update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array, aligned
from fastgrad.health.prediction.signal import Signal
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.optimizers import LBFGS, Optimizer
from fastgrad.program import Tape, Workspace

_ROWS = 256  # of outputs drawn at random
_SEED = 0


def loss_gradient(loss: Loss, outputs: Signal) -> tuple[float, float]:
    """Norm of the gradient at the outputs, and the sum of its rows' products over its square.

    Outputs are drawn as the signal says, targets independently of them: classes that are equally
    frequent, or normal numbers of variance 1.
    """
    rng = np.random.default_rng(_SEED)
    n, features = min(max(outputs.rows, 2), _ROWS), outputs.features
    common = math.sqrt(max(outputs.product, 0.0)) * rng.standard_normal(features)
    z = common + math.sqrt(max(outputs.apart, 0.0)) * rng.standard_normal((n, features))
    target = (
        np.resize(rng.permutation(max(features, 2)), n)
        if loss.labels
        else _real_targets(loss, rng, n, features)
    )
    tape, status = _tape()
    target = loss.targets(target, z.shape, z.dtype)
    value = np.zeros(1, np.float64)
    dz = loss.record(tape, z, target, None, value)
    _run(tape, status)
    square = float(np.square(dz).sum())
    cross = float(np.square(dz.sum(axis=0)).sum()) / square - 1 if square else 0.0
    # of a minibatch of another size: a mean over its rows
    cosine = cross / (n - 1)
    return math.sqrt(square * n / outputs.rows), cosine * (outputs.rows - 1)


def update_ratios(
    model: Sequential, optimizer: Optimizer, gradient_norms: Mapping[str, float]
) -> dict[str, float]:
    """Norm of the first update of each parameter over its own; inf for those that are 0.

    The optimizer's own kernel takes a step on copies, in float64, for gradients of normal numbers
    with these norms.
    """
    if isinstance(optimizer, LBFGS):  # its step is found by a line search on the loss
        return dict.fromkeys(gradient_norms, math.nan)
    rng = np.random.default_rng(_SEED)
    size = model.flat_params.size
    params, grads = aligned(size, np.dtype(np.float64)), aligned(size, np.dtype(np.float64))
    params[...] = model.flat_params
    grads[...] = 0
    for part in model.parts:
        g = rng.standard_normal(part.stop - part.start)
        norm = gradient_norms.get(part.name, 0.0)
        grads[part.start : part.stop] = g * (norm / np.linalg.norm(g)) if norm > 0 else 0.0
    before = params.copy()
    tape, status = _tape()
    parts = [replace(part) for part in model.parts]
    state = optimizer.state(params, parts)
    hyper = np.array(optimizer.hyper(), np.float64)
    optimizer.record(tape, grads, params, state, hyper, np.zeros(1, np.int64), parts)
    _run(tape, status)
    found = {}
    for part in model.parts:
        own = slice(part.start, part.stop)
        change = float(np.linalg.norm(params[own] - before[own]))
        norm = float(np.linalg.norm(before[own]))
        unknown = math.isnan(gradient_norms.get(part.name, math.nan))
        found[part.name] = math.nan if unknown else change / norm if norm else math.inf
    return found


def _real_targets(loss: Loss, rng: np.random.Generator, n: int, features: int) -> Array:
    if loss.name == "binary_cross_entropy":
        return rng.integers(2, size=(n, features)).astype(np.float64)
    if loss.name == "soft_cross_entropy":
        return np.eye(features)[np.resize(rng.permutation(features), n)]
    return rng.standard_normal((n, features))


def _tape() -> tuple[Tape, Array]:
    status = np.zeros(1, np.int64)
    return Tape(backends.active(), Workspace(), np.float64, status=status), status


def _run(tape: Tape, status: Array) -> None:
    tape.good()
    tape.backend.program([tape.take()], status, tape.keep).run([1], backends.num_threads())
