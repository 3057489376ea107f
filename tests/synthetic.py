"""Measurements made up for tests of what reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgrad.health.measurements import Measurements
from fastgrad.health.rules import Facts
from fastgrad.health.rules.layers import LayerFacts, WeightFacts


def facts(depth=4, activation="relu", **changes):
    """Those of `depth` dense layers of 32 units, trained with cross entropy on ten classes."""
    names = [str(i) for i in range(depth)]
    layers = {
        name: LayerFacts(name, "Dense", "identity" if name == names[-1] else activation, 32, 32)
        for name in names
    }
    weights = {f"{name}.weight": WeightFacts(name, 0.25, 1.0, False, 0.0, 0.0) for name in names}
    loss = np.log(10.0)
    made = Facts(layers, weights, constant_loss=loss, first_loss=loss, rate=1e-3)
    return replace(made, **changes)


def measured(steps, known, **changes):
    """A run in which all is well, but for the arrays that are given.

    They are broadcast to (steps, tensors), (steps, layers) or (steps,).
    """
    layers, tensors = tuple(known.layers), tuple(known.weights)
    of_tensors, of_layers = np.ones((steps, len(tensors))), np.ones((steps, len(layers)))
    values = {
        "gradient_norms": 0.1 * of_tensors,
        "gradient_max": 0.01 * of_tensors,
        "gradient_zeros": 0 * of_tensors,
        "gradient_denormals": 0 * of_tensors,
        "gradient_nonfinite": 0 * of_tensors,
        "weight_norms": 8 * of_tensors,
        "update_norms": 0.02 * of_tensors,
        "output_means": 0.5 * of_layers,
        "output_stds": of_layers,
        "saturated": 0.1 * of_layers,
        "dead": 0.05 * of_layers,
        "delta_norms": 0.05 * of_layers,
        "losses": known.constant_loss * np.exp(-np.arange(steps) / 30),
        "rates": np.full(steps, known.rate),
    }
    for name, given in changes.items():
        if name in values:
            values[name] = np.broadcast_to(np.asarray(given, float), values[name].shape).copy()
    return Measurements(
        steps=np.arange(steps),
        tensors=tensors,
        sizes=np.full(len(tensors), 1024),
        layers=layers,
        through_time=changes.get("through_time", {}),
        **values,
    )
