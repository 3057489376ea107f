"""What the first step of training will be: the loss's gradient at birth, and the update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array, aligned
from fastgrad.health.prediction.signal import Flow, Signal, random_flow
from fastgrad.losses import Loss
from fastgrad.model import Sequential
from fastgrad.optimizers import LBFGS, Optimizer
from fastgrad.program import Tape, Workspace

_ROWS = 2048  # of outputs drawn at random; of pairs of rows, those of so many at most
_SEED = 0


@dataclass(frozen=True)
class Birth:
    """The loss's gradient at the outputs before the first step.

    Attributes
    ----------
    norm : float
    cross, kin, near : float
        See `Flow`.
    overlap : float or None
        Mean squared cosine between rows, where they are known.
    """

    norm: float
    cross: float
    kin: float = 0.0
    near: float = 1.0
    overlap: float | None = None

    def flow(self, outputs: Signal) -> Flow:
        """It, but of norm 1."""
        flow = random_flow(outputs.features, outputs.rows, self.cross)
        overlap = flow.overlap if self.overlap is None else self.overlap
        return replace(flow, kin=self.kin, near=self.near, overlap=overlap)


def expected_gradient(loss: Loss, outputs: Signal) -> Birth:
    """Of outputs as the signal says, and targets that have nothing to do with them.

    Those are classes that are equally frequent, or normal numbers of variance 1.
    """
    rng = np.random.default_rng(_SEED)
    n, features = _ROWS, outputs.features
    target = (
        rng.integers(max(features, 2), size=n)
        if loss.labels
        else _real_targets(loss, rng, n, features)
    )
    return _born(_gradient(loss, outputs, rng, target, n), outputs)


def known_gradient(loss: Loss, outputs: Signal, target: Array, x: Array | None) -> Birth:
    """Of outputs as the signal says, and targets such as these of rows such as x.

    What the outputs will be is not looked at. Rows whose targets agree resemble each other.
    """
    rng = np.random.default_rng(_SEED)
    birth = _born(_gradient(loss, outputs, rng, target, len(target)), outputs)
    n = min(len(target), _ROWS)
    if x is None or n < 3 or not birth.norm:
        return birth
    every = np.linspace(0, len(target) - 1, n).astype(int)
    rows = np.asarray(x[every], np.float64).reshape(n, -1)
    dz = _gradient(loss, outputs, rng, target[every], n)
    pairs = ~np.eye(n, dtype=bool)
    agree, alike = (dz @ dz.T), rows @ rows.T
    sizes = np.diag(agree)
    cosines = agree[pairs] ** 2 / np.maximum(np.outer(sizes, sizes)[pairs], 1e-300)
    apart = np.diag(alike)[:, None] / 2 + np.diag(alike) / 2 - alike
    usual = float(apart[pairs].mean())
    if not usual:
        return birth
    more = agree[pairs] - agree[pairs].mean()
    # of so many pairs as the minibatch has
    scale = (outputs.rows - 1) / (n - 1) / float(sizes.sum())
    kin = -float((more * apart[pairs]).sum()) * scale / usual
    near = float(apart[pairs][more > 0].mean()) / usual if (more > 0).any() else 1.0
    return replace(birth, kin=kin, near=min(near, 1.0), overlap=float(cosines.mean()))


def _born(dz: Array, outputs: Signal) -> Birth:
    """Of a minibatch of another size, from means over rows and pairs of rows."""
    n, square = len(dz), float(np.square(dz).sum())
    if not square:
        return Birth(0.0, 0.0)
    cosine = (float(np.square(dz.sum(axis=0)).sum()) / square - 1) / (n - 1) if n > 1 else 0.0
    return Birth(math.sqrt(square * n / outputs.rows), cosine * (outputs.rows - 1))


def _gradient(
    loss: Loss, outputs: Signal, rng: np.random.Generator, target: Array, n: int
) -> Array:
    features = outputs.features
    if outputs.centre is not None and outputs.variances is not None:
        common, rest = outputs.centre, np.sqrt(outputs.variances)
    else:
        common = math.sqrt(max(outputs.product, 0.0)) * rng.standard_normal(features)
        rest = np.full(features, math.sqrt(max(outputs.apart, 0.0)))
    z = common + rest * rng.standard_normal((n, features))
    tape, status = _tape()
    target = loss.targets(target, z.shape, z.dtype)
    dz = loss.record(tape, z, target, None, np.zeros(1, np.float64))
    _run(tape, status)
    return dz


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
