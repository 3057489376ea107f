"""`Budget`: what each layer makes of the gradient on its way back, in decades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from fastgrad.arena import Array
from fastgrad.batch_norm import BatchNorm
from fastgrad.containers import Chain
from fastgrad.health.walk import Walk, walk
from fastgrad.layer_norm import LayerNorm, RMSNorm
from fastgrad.layers import Activation, Dense, Layer
from fastgrad.regularization import Dropout
from fastgrad.residual import Residual
from fastgrad.samples import Samples
from fastgrad.standardize import Standardize

if TYPE_CHECKING:
    from fastgrad.model import Sequential

_NORMS = (BatchNorm, LayerNorm, RMSNorm, Standardize)


@dataclass(frozen=True)
class BudgetRow:
    """What one layer makes of the norm of the gradient, in decades.

    Attributes
    ----------
    layer, kind : str
        Its name, and that of its class.
    weights : float
        By products with weights, and by the scale of a `Residual`.
    activation : float
        By the slopes of activations, and what `Dropout` does.
    normalization : float
        By layers that normalize.
    bypass : float
        What the way around the layers of a `Residual` adds to what they leave.
    """

    layer: str
    kind: str
    weights: float = 0.0
    activation: float = 0.0
    normalization: float = 0.0
    bypass: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.activation + self.normalization + self.bypass


FACTORS = tuple(f.name for f in fields(BudgetRow) if f.type == "float")


@dataclass(frozen=True, repr=False)
class Budget:
    """``log10(|delta_1| / |delta_L|)`` as a sum over layers and causes.

    delta_L is the gradient of the loss with respect to the model's outputs, delta_1 that with
    respect to what the activation of the first layer with parameters is given. Norms are over all
    rows of a minibatch.

    Attributes
    ----------
    rows : tuple of BudgetRow
        From the first layer to the last.
    total : float
        The measured ratio, in decades.
    """

    rows: tuple[BudgetRow, ...]
    total: float

    def blame(self) -> tuple[str, str, float] | None:
        """Layer, factor and decades of what changes the gradient most, the way that the total goes.

        None where the total is less than half a decade.
        """
        if not abs(self.total) >= 0.5:
            return None
        sign = math.copysign(1, self.total)
        found = [(sign * getattr(row, f), row.layer, f) for row in self.rows for f in FACTORS]
        size, layer, factor = max(found)
        return layer, factor, sign * size

    def by_factor(self) -> dict[str, float]:
        """The sum over layers of each factor."""
        return {f: math.fsum(getattr(row, f) for row in self.rows) for f in FACTORS}

    def __repr__(self) -> str:
        lines = [f"gradient budget: {self.total:+.2f} decades from the outputs to the first layer"]
        lines += [f"{'layer':>8} {'kind':<12}" + "".join(f"{name:>15}" for name in FACTORS)]
        for row in self.rows:
            values = "".join(f"{getattr(row, name):>+15.2f}" for name in FACTORS)
            lines.append(f"{row.layer:>8} {row.kind:<12}{values}")
        return "\n".join(lines)


def budget(model: Sequential, samples: Samples, seed: int = 0, count: int = 0) -> Budget:
    """The budget of one minibatch; see `walk` for the arguments."""
    seen, _ = walk(model, samples, _norm, seed, count)
    rows = _explained(model.layers, "", seen)
    last = seen.gradients[str(len(model.layers) - 1)]
    return Budget(tuple(reversed(rows)), _decades(_first(model.layers, "", seen), last))


def _norm(x: Array) -> float:
    top = float(np.abs(x).max(initial=0))
    if not 0 < top < math.inf:
        return top
    return top * math.sqrt(float(np.square(x / top, dtype=np.float64).sum()))


def _decades(after: float | None, before: float | None) -> float:
    """0 where one of them is not there, or is 0: nothing is made of it then."""
    if not after or not before:
        return 0.0
    return math.log10(after) - math.log10(before)


def _explained(layers: Sequence[Layer], prefix: str, seen: Walk) -> list[BudgetRow]:
    """Rows of all layers that a gradient gets to, from the last to the first."""
    rows = []
    for i in reversed(range(len(layers))):
        name, below = f"{prefix}{i}", f"{prefix}{i - 1 if i else 'input'}"
        if name not in seen.gradients:
            break
        rows += _of_layer(layers[i], name, seen, seen.gradients[name], seen.gradients.get(below))
    return rows


def _of_layer(layer: Layer, name: str, seen: Walk, dy: float, dx: float | None) -> list[BudgetRow]:
    kind, whole = type(layer).__name__, _decades(dx, dy)
    if isinstance(layer, Chain):
        return _explained(layer.layers, f"{name}.", seen)
    if isinstance(layer, Residual):
        df = seen.gradients[f"{name}.{len(layer.layers) - 1}"]
        through = _decades(seen.gradients.get(f"{name}.input"), dy)
        around = whole - through if dx is not None else 0.0
        own = BudgetRow(name, kind, weights=_decades(df, dy), bypass=around)
        return [own, *_explained(layer.layers, f"{name}.", seen)]
    if isinstance(layer, Dense):
        dz = seen.inner_gradients[name]
        weights, activation = _decades(dx, dz), _decades(dz, dy)
        return [BudgetRow(name, kind, weights=weights, activation=activation)]
    if isinstance(layer, (Activation, Dropout)):
        return [BudgetRow(name, kind, activation=whole)]
    if isinstance(layer, _NORMS):
        return [BudgetRow(name, kind, normalization=whole)]
    return [BudgetRow(name, kind, weights=whole)]


def _first(layers: Sequence[Layer], prefix: str, seen: Walk) -> float:
    """The norm of the gradient where it ends."""
    i = min(i for i in range(len(layers)) if f"{prefix}{i}" in seen.gradients)
    name, layer = f"{prefix}{i}", layers[i]
    if isinstance(layer, (Chain, Residual)):
        return _first(layer.layers, f"{name}.", seen)
    known = seen.inner_gradients if name in seen.inner_gradients else seen.gradients
    return float(known[name])
