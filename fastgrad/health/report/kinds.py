"""What a report asks of predictions and budgets, and how it lays measured values beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.verdicts import Verdict

FACTORS = ("weights", "activation", "normalization", "bypass")


class Prediction(Protocol):
    """Norms of parameter gradients for a loss gradient of norm 1 at the output."""

    @property
    def gradient_norms(self) -> Mapping[str, float]: ...


class BudgetRow(Protocol):
    """What one layer makes of the gradient: decades of |delta_in| / |delta_out|, by factor."""

    @property
    def layer(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def weights(self) -> float: ...
    @property
    def activation(self) -> float: ...
    @property
    def normalization(self) -> float: ...
    @property
    def bypass(self) -> float: ...
    @property
    def total(self) -> float: ...


class Budget(Protocol):
    """All layers in order, and their sum."""

    @property
    def rows(self) -> Sequence[BudgetRow]: ...
    @property
    def total(self) -> float: ...


def predicted_norms(measurements: Measurements, prediction: Prediction) -> Array:
    """The predicted gradient norm of each tensor at the first measured step, (S,).

    The prediction is for a loss gradient of norm 1 at the output; it is scaled by the one that was
    measured at the last layer, 1 where there is none. NaN for tensors without a prediction.
    """
    scale = 1.0
    if len(measurements) and measurements.layers:
        measured = float(measurements.delta_norms[0, -1])
        scale = measured if np.isfinite(measured) and measured > 0 else 1.0
    norms = prediction.gradient_norms
    return np.array([scale * norms.get(name, np.nan) for name in measurements.tensors])


def layer_of(tensor: str) -> str:
    """The layer that a tensor belongs to: "2.1" of "2.1.weight"."""
    return tensor.rpartition(".")[0] or tensor


def layer_norms(measurements: Measurements) -> dict[str, Array]:
    """The norm of all gradients of a layer over the steps, (K,), for each layer that has some."""
    found: dict[str, Array] = {}
    for name, norms in zip(measurements.tensors, measurements.gradient_norms.T, strict=True):
        layer = layer_of(name)
        # squares of very small and very large norms would be 0 or inf
        found[layer] = np.hypot(found[layer], norms) if layer in found else norms
    return found


def blamed(verdict: Verdict) -> str | None:
    """The layer that a verdict is about, or that its tensor belongs to."""
    if verdict.layer is not None:
        return verdict.layer
    return layer_of(verdict.tensor) if verdict.tensor else None


def is_along(name: str, verdict: Verdict) -> bool:
    """Whether a verdict blames this recurrent layer, level and direction ("0.l0")."""
    return blamed(verdict) in (name, name.rpartition(".l")[0] or name)
