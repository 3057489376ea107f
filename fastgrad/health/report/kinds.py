"""What a report asks of predictions and budgets, and how it lays measured values beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.measurements import Measurements
from fastgrad.health.verdicts import Verdict

FACTORS = ("weights", "activation", "normalization", "bypass")


FAR = 3.0
"""Deviations from what was predicted that are worth a word."""

_ROUNDED = 1e-5  # of the gradient at the outputs; what adds up to 0 is no larger in float32


class Comparison(Protocol):
    """A measured norm beside the predicted one, and how many deviations it is off."""

    @property
    def name(self) -> str: ...
    @property
    def predicted(self) -> float: ...
    @property
    def measured(self) -> float: ...
    @property
    def z(self) -> float: ...


class Prediction(Protocol):
    """Norms of parameter gradients for a loss gradient of norm 1 at the output."""

    @property
    def gradient_norms(self) -> Mapping[str, float]: ...
    @property
    def sentence(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...
    def compare(self, gradient_norms: Mapping[str, float]) -> Sequence[Comparison]: ...


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
    scale = output_gradient(measurements) or 1.0
    norms = prediction.gradient_norms
    return np.array([scale * norms.get(name, np.nan) for name in measurements.tensors])


def output_gradient(measurements: Measurements) -> float | None:
    """Norm of the gradient at the outputs at the first measured step, where there is one."""
    if not (len(measurements) and measurements.layers):
        return None
    measured = float(measurements.delta_norms[0, -1])
    return measured if np.isfinite(measured) and measured > 0 else None


def compared(measurements: Measurements, prediction: Prediction) -> list[Comparison]:
    """Gradients of the first step beside the predicted ones, where these can be had.

    Both are relative to the gradient at the outputs; what is 0 but for rounding counts as 0.
    """
    scale = output_gradient(measurements)
    if scale is None:
        return []
    norms: dict[str, float] = {}
    for name, norm in zip(measurements.tensors, measurements.gradient_norms[0], strict=True):
        expected = prediction.gradient_norms.get(name, np.nan)
        if np.isfinite(expected) and np.isfinite(norm):
            nothing = expected == 0 and norm < _ROUNDED * scale
            norms[name] = 0.0 if nothing else float(norm) / scale
    return [*prediction.compare(norms)]


def distance(z: float) -> str:
    """How far off, in words; "" where it is not."""
    if not abs(z) > FAR:
        return ""
    return "far above" if z > 0 else "far below"


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
