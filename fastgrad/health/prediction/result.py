"""`Prediction`: what is expected of gradients before the first step, and measurements beside it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad.health.prediction.walk import Memory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_SPREAD = 0.05  # decades: what moments alone leave open, whatever the width
LEAST_DEAD = 1e-4  # units that are worth a number


@dataclass(frozen=True)
class Comparison:
    """A measured gradient norm beside the predicted one.

    Attributes
    ----------
    name : str
        Of the parameter.
    predicted, measured : float
    z : float
        ``log10(measured / predicted)`` in deviations of it, which are those of the finite width but
        at least 0.05 decades; -inf for a measured 0, NaN where nothing is predicted.
    """

    name: str
    predicted: float
    measured: float
    z: float


@dataclass(frozen=True, repr=False)
class Prediction:
    """What `predict` expects of a model's first backward pass. Layers go by their names, as "3.1".

    Attributes
    ----------
    gradient_norms : dict of str to float
        Of every parameter, in the median over draws of the weights, for a gradient of norm 1 at the
        outputs of the minibatch; NaN for parameters of layers that are not known.
    spread : dict of str to float
        Deviation of their log10 from draw to draw of the weights (Hanin & Nica 2018).
    q : dict of str to float
        Mean square of a layer's pre-activations, or of its outputs if it has none.
    chi : dict of str to float
        By how much a layer multiplies the gradient's squared norm on the way back, in the mean:
        ``sigma_w^2 E[phi'^2]`` of a dense one.
    delta : dict of str to float
        Norm of the gradient at the layer's output, in the median.
    depth_scale : float
        Layers over which the gradient's square changes by a factor of e: above 0 it vanishes on its
        way down, below 0 it explodes, inf where it keeps its size.
    depth : int
        Layers with weights, one after the other.
    dead : float
        Probability that nothing of an input's signal reaches the outputs (Lu et al. 2019).
    dead_units : dict of str to float
        Fraction of a layer's units without a slope at any row of the minibatch.
    memory : dict of str to Memory
        Of recurrent layers, by layer, level and direction: "0.l0".
    update_ratios : dict of str to float
        Norm of the first update over that of the parameter; empty without an optimizer.
    loss_gradient : float
        Norm of the loss's gradient at the outputs, 1 without a loss.
    trainable : bool
        Whether the depth is at most six times the depth scale (Schoenholz et al. 2017), inputs live
        and nothing explodes along time; and something can be learnt at all: weights have gradients,
        units of a layer are not all alike, and inputs are not all 0. For plain gradient descent:
        where gradients of weights differ by less than six decades, Adam may do better.
    sentence : str
        The same, with the numbers that say so, and what would change it.
    notes : tuple of str
        What had to be assumed.
    kinds : dict of str to str
        Kind of the layer of each parameter, "Dense".
    """

    gradient_norms: Mapping[str, float]
    spread: Mapping[str, float]
    q: Mapping[str, float]
    chi: Mapping[str, float]
    delta: Mapping[str, float]
    depth_scale: float
    depth: int
    dead: float
    dead_units: Mapping[str, float]
    memory: Mapping[str, Memory]
    update_ratios: Mapping[str, float]
    loss_gradient: float
    trainable: bool
    sentence: str
    notes: tuple[str, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)

    def compare(self, gradient_norms: Mapping[str, float]) -> tuple[Comparison, ...]:
        """Measured norms beside the predicted ones.

        Parameters
        ----------
        gradient_norms : mapping of str to float
            By names of parameters, some or all. They are taken relative to the norm of the
            gradient at the outputs: divide by it where it was not 1.

        Raises
        ------
        ValueError, TypeError
            If there is no such parameter, or a norm is negative or no number.
        """
        if not isinstance(gradient_norms, Mapping):
            kind = type(gradient_norms).__name__
            raise TypeError(f"gradient_norms: expected norms by names of parameters, got {kind}")
        return tuple(self._compared(name, value) for name, value in gradient_norms.items())

    def _compared(self, name: str, value: Any) -> Comparison:
        if name not in self.gradient_norms:
            known = ", ".join(self.gradient_norms)
            raise ValueError(f"gradient_norms: there is no parameter {name!r}, only {known}")
        if isinstance(value, bool) or not isinstance(value, numbers.Real | np.floating):
            kind = type(value).__name__
            raise TypeError(f"gradient_norms[{name!r}]: expected a number, got {kind}")
        value = float(value)
        if value < 0:
            raise ValueError(f"gradient_norms[{name!r}] must be at least 0, got {value}")
        predicted = self.gradient_norms[name]
        if math.isnan(predicted) or math.isnan(value):
            return Comparison(name, predicted, value, math.nan)
        if not predicted or not value:
            z = 0.0 if predicted == value else math.copysign(math.inf, value - predicted)
            return Comparison(name, predicted, value, z)
        off = math.log10(value) - math.log10(predicted)
        return Comparison(name, predicted, value, off / max(self.spread[name], LEAST_SPREAD))

    def table(self, gradient_norms: Mapping[str, float] | None = None) -> str:
        """Layers and parameters as text; beside these, measured norms and z where given."""
        heads = ["layer", "q", "chi", "|dL/dy|", "dead units"]
        rows = [
            [
                name,
                _shown(self.q.get(name)),
                _shown(self.chi.get(name)),
                _shown(self.delta.get(name)),
                _shown(_if_any(self.dead_units.get(name))),
            ]
            for name in self.chi
        ]
        parts = [_aligned([heads, *rows])]
        compared = {c.name: c for c in self.compare(gradient_norms or {})}
        heads = ["parameter", "|gradient|", "+- decades"]
        heads += ["update/weight"] if self.update_ratios else []
        heads += ["measured", "z"] if compared else []
        rows = []
        for name, norm in self.gradient_norms.items():
            row = [name, _shown(norm), f"{self.spread[name]:.2f}"]
            row += [_ratio(self.update_ratios[name])] if self.update_ratios else []
            if compared:
                found = compared.get(name)
                row += ["", ""] if found is None else [_shown(found.measured), f"{found.z:+.1f}"]
            rows.append(row)
        parts.append(_aligned([heads, *rows]))
        if self.memory:
            heads = ["over time", "gain a step", "1/e after", "1e-3 after", "forget gate"]
            rows = [
                [name, _shown(m.gain), _shown(m.horizon), _shown(m.far), _shown(m.forget)]
                for name, m in self.memory.items()
            ]
            parts.append(_aligned([heads, *rows]))
        parts.append("\n".join([self.sentence, *self.notes]))
        return "\n\n".join(parts)

    def plot(
        self, gradient_norms: Mapping[str, float] | None = None, axes: Axes | None = None
    ) -> Axes:
        """Draw predicted gradient norms from layer to layer, with their spread, and measured ones.

        Parameters
        ----------
        gradient_norms : mapping of str to float, optional
            Measured, as for `compare`.
        axes : matplotlib.axes.Axes, optional
            Of a new figure of pyplot by default.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.health.prediction.figure import norm_axes

        return norm_axes(self, gradient_norms or {}, axes)

    def __repr__(self) -> str:
        return f"<Prediction: {self.sentence}>"

    __str__ = table


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.3g}"


def _ratio(value: float) -> str:
    """A parameter that is 0, or has no known gradient, has none."""
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _if_any(fraction: float | None) -> float | None:
    return fraction if fraction and fraction >= LEAST_DEAD else None


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        right = [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return "\n".join(lines)
