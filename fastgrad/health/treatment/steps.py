"""Cures of the length of steps, and of what is put on the gradient on purpose."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fastgrad.clipping import ClipNorm, GradFloor
from fastgrad.errors import GradientError
from fastgrad.health.treatment.cure import Cure, Findings
from fastgrad.health.treatment.setup import Parts, Setup, remade
from fastgrad.layers import Layer
from fastgrad.optimizers import Adam
from fastgrad.regularization import Dropout


def suggested(findings: Findings, setup: Setup) -> float | None:
    """The learning rate that a range test suggests for a setup (Smith 2017)."""
    from fastgrad.range_test import lr_range_test  # which trains, and so knows of health

    material, rows = findings.material, findings.material.rows
    try:
        found = lr_range_test(
            setup.model,
            rows.X,
            rows.y,
            loss=material.loss,
            optimizer=setup.optimizer,
            clip=copy.deepcopy(setup.clip),
            steps=min(100, max(20, material.steps)),
            batch_size=material.batch_size,
            lengths=rows.lengths,
            rng=findings.seed,
        )
    except (GradientError, ValueError):
        return None
    return found.suggestion


def _rates(findings: Findings, larger: bool) -> Iterator[tuple[str, Setup]]:
    """What a range test suggests and a third of that, and fixed multiples: small ones where nothing
    is wrong, and the rate only has to suit what has been changed.

    Not more than it suggests: what lies close to divergence does well for some orders of rows only.
    """
    setup = findings.setup
    now = setup.optimizer.lr
    middle = suggested(findings, setup)
    rates = [] if middle is None else [middle, middle / 3]
    for factor in (3.0, 10.0) if findings.trial.ok else (10.0, 100.0):
        rates.append(now * factor if larger else now / factor)
    seen: list[float] = []
    for lr in rates:
        apart = all(abs(np.log(lr / other)) > 0.5 for other in (now, *seen))
        if apart and (lr > now) == larger:
            seen.append(lr)
            yield f"a learning rate of {lr:.2g} instead of {now:.2g}", setup.with_optimizer(lr=lr)


def _slower(findings: Findings) -> Iterator[tuple[str, Setup]]:
    yield from _rates(findings, larger=False)


def _faster(findings: Findings) -> Iterator[tuple[str, Setup]]:
    yield from _rates(findings, larger=True)


def _adam(findings: Findings) -> Iterator[tuple[str, Setup]]:
    setup = findings.setup
    if isinstance(setup.optimizer, Adam):
        return
    for lr in (1e-3, 3e-3, 1e-2, 3e-2):
        given = f"{type(setup.optimizer).__name__}({setup.optimizer.lr:.3g})"
        what = f"Adam({lr:g}) instead of {given}"
        yield what, replace(setup, optimizer=Adam(lr))


def _clipping(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """At the norms that there were: most of them, and the smallest.

    Those of a run that has broken off say little, and the limit is that of Pascanu et al. (2013).
    """
    norms = findings.trial.norms
    norms = norms[norms > 0]
    if not math.isfinite(findings.trial.loss):
        yield "clip the gradient's norm at 1", replace(findings.setup, clip=(ClipNorm(1.0),))
        return
    for percent in (90, 10):
        if len(norms):
            limit = float(f"{np.percentile(norms, percent):.2g}")
            what = f"clip the gradient's norm at {limit:g}, the {percent}th percentile measured"
            yield what, replace(findings.setup, clip=(ClipNorm(limit),))


def _no_clipping(findings: Findings) -> Iterator[tuple[str, Setup]]:
    if not findings.setup.clip:
        return
    yield "no clipping", replace(findings.setup, clip=())
    yield from _clipping(findings)


def _penalties(findings: Findings) -> Iterator[tuple[str, Setup]]:
    setup = findings.setup
    decay = getattr(setup.optimizer, "weight_decay", 0.0)
    if not setup.regularizers and not decay:
        return
    for factor, what in (
        (0.01, "a hundredth of the penalties"),
        (1e-4, "1e-4 of the penalties"),
    ):
        regularizers = tuple(copy.deepcopy(penalty) for penalty in setup.regularizers)
        for penalty in regularizers:
            penalty.strength *= factor
            penalty.per_layer = {k: factor * v for k, v in penalty.per_layer.items()}
        changed = replace(setup, regularizers=regularizers)
        yield what, changed.with_optimizer(weight_decay=factor * decay) if decay else changed
    bare = replace(setup, regularizers=())
    yield "no penalties", bare.with_optimizer(weight_decay=0.0) if decay else bare


def _dropout(findings: Findings) -> Iterator[tuple[str, Setup]]:
    if not any(isinstance(layer, Dropout) and layer.p for layer in findings.setup.named.values()):
        return
    for factor, what in ((0.5, "half the dropout"), (0.2, "a fifth of the dropout"),
                         (0.0, "no dropout")):  # fmt: skip

        def change(name: str, layer: Layer, factor: float = factor) -> Parts | None:
            kept = isinstance(layer, Dropout)
            return [(remade(layer, p=factor * layer.p), True)] if kept else None  # type: ignore[attr-defined]

        yield what, findings.setup.with_layers(change, findings.seed)


def _floor(findings: Findings) -> Iterator[tuple[str, Setup]]:
    """The last resort: it makes noise of the size of a gradient where there is none."""
    norms = findings.trial.norms
    if "vanishing" not in findings.families or not (norms > 0).any():
        return
    least = float(f"{0.1 * np.median(norms[norms > 0]):.2g}")
    what = f"raise each layer's gradient to a norm of at least {least:g}"
    yield what, replace(findings.setup, clip=(*findings.setup.clip, GradFloor(least)))


CURES = (
    Cure("smaller_learning_rate", 1, _slower),
    Cure("larger_learning_rate", 1, _faster),
    Cure("clipping", 1, _clipping),
    Cure("no_clipping", 1, _no_clipping),
    Cure("less_regularization", 1, _penalties),
    Cure("less_dropout", 2, _dropout),
    Cure("optimizer", 3, _adam),
    Cure("gradient_floor", 6, _floor),
)
