"""`Measurements`: what the probe has seen of some steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastgrad.arena import Array

OF_TENSORS = (
    "gradient_norms",
    "gradient_max",
    "gradient_zeros",
    "gradient_denormals",
    "gradient_nonfinite",
    "weight_norms",
    "update_norms",
)
OF_LAYERS = ("output_means", "output_stds", "saturated", "dead", "delta_norms")


@dataclass(frozen=True, repr=False)
class Measurements:
    """Statistics of K steps, S parameter tensors and L layers, all sums of them in float64.

    Attributes
    ----------
    steps : ndarray of int64, (K,)
        Optimizer steps that were done before each of them.
    losses : ndarray, (K,)
        Before the update; of a step's last minibatch where several make one.
    rates : ndarray, (K,)
        Learning rates.
    tensors : tuple of str
        Names of the parameters.
    sizes : ndarray of int64, (S,)
        Their elements.
    gradient_norms, gradient_max : ndarray, (K, S)
        Euclidean norm and largest size of an element, before clips, regularizers included.
    gradient_zeros, gradient_denormals, gradient_nonfinite : ndarray, (K, S)
        Numbers of elements that are 0, smaller than the smallest normal number of the dtype, and
        infinite or NaN.
    weight_norms, update_norms : ndarray, (K, S)
        Norms of the parameters before the update, and of what the update has changed them by.
    layers : tuple of str
        Names of the layers whose outputs are looked at, in the order in which they run.
    output_means, output_stds : ndarray, (K, L)
        Over all elements of the step's last minibatch.
    saturated : ndarray, (K, L)
        Fraction of the elements at which the slope of the activation is less than a hundredth of
        its largest one; NaN where the layer has no such activation.
    dead : ndarray, (K, L)
        Fraction of the units of which all elements of the minibatch are of that kind.
    delta_norms : ndarray, (K, L)
        Norm of the gradient of the loss with respect to all outputs of the layer.
    through_time : dict of str to ndarray, (K', T, 3)
        Of the last K' of these steps, K' <= K: for each recurrent layer, level and direction
        ("0.l0") the norms of dL/dh_t and dL/dc_t, and the gain of each step, as
        `Sequential.time_gradients` has them.
    """

    steps: Array
    losses: Array
    rates: Array
    tensors: tuple[str, ...]
    sizes: Array
    gradient_norms: Array
    gradient_max: Array
    gradient_zeros: Array
    gradient_denormals: Array
    gradient_nonfinite: Array
    weight_norms: Array
    update_norms: Array
    layers: tuple[str, ...]
    output_means: Array
    output_stds: Array
    saturated: Array
    dead: Array
    delta_norms: Array
    through_time: Mapping[str, Array]

    @classmethod
    def empty(
        cls, tensors: Sequence[str], sizes: Sequence[int], layers: Sequence[str]
    ) -> Measurements:
        """Those of no steps."""
        of_tensors = {name: np.zeros((0, len(tensors))) for name in OF_TENSORS}
        of_layers = {name: np.zeros((0, len(layers))) for name in OF_LAYERS}
        return cls(
            steps=np.zeros(0, np.int64),
            losses=np.zeros(0),
            rates=np.zeros(0),
            tensors=tuple(tensors),
            sizes=np.array(sizes, np.int64),
            layers=tuple(layers),
            through_time={},
            **of_tensors,
            **of_layers,
        )

    def __repr__(self) -> str:
        steps = f"{len(self)} steps"
        if len(self):
            steps += f" ({self.steps[0]} to {self.steps[-1]})"
        counts = f"{len(self.tensors)} tensors and {len(self.layers)} layers"
        return f"<Measurements of {steps}, {counts}>"

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def total_gradient_norm(self) -> Array:
        """(K,): the norm of the whole gradient."""
        return np.asarray(np.linalg.norm(self.gradient_norms, axis=1))

    @cached_property
    def update_ratios(self) -> Array:
        """(K, S): update over weight norm; NaN where the weights are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.update_norms / self.weight_norms
        return np.where(self.weight_norms > 0, found, np.nan)

    def __getitem__(self, rows: slice) -> Measurements:
        """Some of the steps; of consecutive ones, views."""
        start, stop, stride = rows.indices(len(self))
        if stride != 1:
            return self.take(np.arange(start, stop, stride))
        found: dict[str, Any] = {name: getattr(self, name)[start:stop] for name in _BY_STEP}
        through_time = {}
        for name, array in self.through_time.items():
            first = len(self) - len(array)
            through_time[name] = array[max(start - first, 0) : max(stop - first, 0)]
        return replace(self, **found, through_time=through_time)

    def take(self, rows: Array) -> Measurements:
        """The steps of these numbers, counted from the first, in their order."""
        found: dict[str, Any] = {name: getattr(self, name)[rows] for name in _BY_STEP}
        through_time = {}
        for name, array in self.through_time.items():
            first = len(self) - len(array)
            through_time[name] = array[rows[rows >= first] - first]
        return replace(self, **found, through_time=through_time)

    def copy(self) -> Measurements:
        """The same in arrays of its own."""
        return self.take(np.arange(len(self)))

    def then(self, *later: Measurements) -> Measurements:
        """One after the other; of the same tensors and layers."""
        parts = self, *later
        found: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _BY_STEP
        }
        through_time = {name: _last(name, parts) for name in parts[-1].through_time}
        return replace(self, **found, through_time=through_time)


def _last(name: str, parts: Sequence[Measurements]) -> Array:
    """The gradients through time of the last steps; what they are not known of ends them."""
    last = parts[-1].through_time[name]
    found = []
    for part in reversed(parts):
        array = part.through_time.get(name)
        if array is None or array.shape[1:] != last.shape[1:]:
            break
        found.append(array)
        if len(array) < len(part):
            break
    return np.concatenate(found[::-1])


_CONSTANT = ("tensors", "sizes", "layers", "through_time")
_BY_STEP = tuple(f.name for f in fields(Measurements) if f.name not in _CONSTANT)
