"""Measurements, verdicts and a budget as runs leave them, made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.health import Measurements, Verdict


def measured(
    layers=3, steps=60, recurrent=0, times=0, decades_per_layer=0.4, bad=False, rng=0, stride=1
):
    """A run in which gradients shrink from the last layer to the first one, and through time.

    With `bad` the first layer has no gradient, and the last steps are not finite.
    """
    draw = np.random.default_rng(rng)
    names = [f"{i}.{kind}" for i in range(layers) for kind in ("weight", "bias")]
    depth = np.repeat(np.arange(layers) - layers + 1, 2) * decades_per_layer
    noise = np.cumsum(draw.normal(0, 0.03, (steps, 2 * layers)), axis=0)
    norms = 10 ** (depth + noise + draw.normal(0, 0.1, (steps, 2 * layers)))
    norms[:, 1::2] *= 0.2
    if bad:
        norms[:, :2] = 0
        norms[-max(steps // 10, 1) :] = np.nan
        norms[-1, -1] = np.inf
    weights = np.full((steps, 2 * layers), 11.0)
    weights[0, 1::2] = 0  # biases before the first update
    weights[1:, 1::2] = 0.3
    saturated = np.clip(draw.normal(0.1, 0.02, (steps, layers)), 0, 1)
    saturated[:, -1] = np.nan
    losses = 2.3 * 0.98 ** np.arange(steps) + draw.uniform(0, 0.1, steps)
    if bad:
        losses[-max(steps // 10, 1) :] = np.nan
    drift = np.linspace(0, 1, steps)[:, None]
    kept = min(steps, 40)
    along = np.linspace(-3, 0, times)[:, None] + draw.normal(0, 0.1, (recurrent, kept, times, 1))
    return Measurements(
        steps=np.arange(steps) * stride,
        losses=losses,
        rates=np.full(steps, 1e-3),
        tensors=tuple(names),
        sizes=np.tile([128 * 128, 128], layers),
        gradient_norms=norms,
        gradient_max=norms / 10,
        gradient_zeros=np.tile([0, 13], (steps, layers)),
        gradient_denormals=np.zeros_like(norms),
        gradient_nonfinite=(~np.isfinite(norms)).astype(float),
        weight_norms=weights,
        update_norms=np.where(np.isfinite(norms), 10 ** draw.normal(-2, 0.3, norms.shape), np.nan),
        layers=tuple(map(str, range(layers))),
        output_means=draw.normal(0, 0.05, (steps, layers)) + 0.3 * drift,
        output_stds=np.exp(draw.normal(0, 0.05, (steps, layers))) * 0.97 ** np.arange(layers),
        saturated=saturated,
        dead=saturated / 3,
        delta_norms=10 ** np.repeat(depth[::2][None], steps, 0),
        through_time={f"{i}.l0": 10 ** np.repeat(along[i], 3, axis=-1) for i in range(recurrent)},
    )


def verdicts(layers=3):
    """One of each severity, the worst last."""
    return (
        Verdict(
            "ratio_low", "update_ratio", "info", "updates of the bias are small.", layer="1",
            tensor="1.bias", first_step=5,
        ),
        Verdict(
            "saturation",
            "saturated",
            "warning",
            "a tenth of layer 0 <is saturated> & does not learn.",
            ("normalize the inputs", "start with smaller weights"),
            {"saturated": 0.12},
            layer="0",
            first_step=7,
        ),
        Verdict(
            "depth",
            "vanishing",
            "critical",
            f"the gradient of the first layer is {0.4 * (layers - 1):.1f} decades smaller than "
            "that of the last one.",
            ("start with He's initializer", "add BatchNorm", "add residual connections"),
            {"decades": -0.4 * (layers - 1), "chi": 0.158},
            tensor="0.weight",
            first_step=20,
        ),
    )  # fmt: skip


@dataclass
class Row:
    layer: str
    kind: str
    weights: float
    activation: float
    normalization: float
    bypass: float
    total: float


@dataclass
class Budget:
    rows: list[Row]
    total: float


def budget(layers=3):
    draw = np.random.default_rng(2)
    rows = []
    for i in range(layers):
        parts = [0.3, -0.5, 0.2 if i % 3 == 2 else 0.0, 0.1 if i % 4 == 1 else 0.0]
        parts = [part * draw.uniform(0.7, 1.3) for part in parts]
        rows.append(Row(str(i), "Dense", *parts, sum(parts)))
    return Budget(rows, sum(row.total for row in rows))


@dataclass
class Comparison:
    name: str
    predicted: float
    measured: float
    z: float


@dataclass
class Prediction:
    """Of which one deviation is a tenth of a decade."""

    gradient_norms: dict[str, float]
    sentence: str = "Trainable <at its depth> & said so."
    notes: tuple[str, ...] = ("assumed: <much> & more",)

    def compare(self, gradient_norms):
        found = []
        for name, norm in gradient_norms.items():
            known = self.gradient_norms[name]
            z = 10 * float(np.log10(norm / known)) if norm and known else np.inf * (norm - known)
            found.append(Comparison(name, known, norm, 0.0 if norm == known else z))
        return found


def prediction(layers=3):
    norms = {}
    for i in range(layers):
        norms[f"{i}.weight"] = 10 ** (0.38 * (i - layers + 1))
        norms[f"{i}.bias"] = 0.25 * norms[f"{i}.weight"]
    return Prediction(norms)
