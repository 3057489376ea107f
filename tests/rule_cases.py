"""For each rule what it must find, and the same just within what is allowed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic import facts

from fastgrad.health.rules.data import InputFacts

STEPS = 120
STILL = np.full(STEPS, np.log(10.0))  # a loss that does not fall


def inputs(size):
    return InputFacts(np.zeros(4), np.full(4, size), np.full(4, -size), np.full(4, size))


def through_time(gain, times=40):
    gains = np.full((STEPS, times), gain)
    gains[:, 0] = np.nan
    norms = np.ones(times)
    norms[:-1] = np.cumprod(np.full(times - 1, gain))[::-1]
    h = np.broadcast_to(norms, (STEPS, times))
    return {"0.l0": np.stack([h, 0 * h, gains], 2)}


def weights(known, **changes):
    changed = {name: replace(one, **changes) for name, one in known.weights.items()}
    return replace(known, weights=changed)


def ends_in(activation, **changes):
    known = facts(**changes)
    last = replace(known.layers["3"], activation=activation)
    return replace(known, layers={**known.layers, "3": last})


DEPTH = facts()
CASES = {
    "vanishing_depth": (DEPTH, {"delta_norms": [1e-9, 1e-6, 1e-3, 1], "losses": STILL}),
    "exploding_depth": (DEPTH, {"delta_norms": [1e6, 1e4, 1e2, 1], "losses": STILL}),
    "nonfinite": (DEPTH, {"gradient_nonfinite": np.eye(STEPS)[7][:, None]}),
    "dead_units": (DEPTH, {"dead": [0.95, 0.1, 0.1, 0.1]}),
    "saturation": (facts(activation="tanh"), {"saturated": [0.1, 0.9, 0.1, 0.1], "losses": STILL}),
    "rate_too_large": (DEPTH, {"update_norms": 3.0, "losses": STILL}),
    "rate_too_small": (DEPTH, {"update_norms": 1e-6, "losses": STILL}),
    "unchanged": (DEPTH, {"update_norms": [1e-12, 0.02, 0.02, 0.02]}),
    "loss_stuck": (DEPTH, {"losses": STILL}),
    "loss_diverging": (DEPTH, {"losses": np.log(10) * (0.3 + (np.arange(STEPS) / 60) ** 4)}),
    "loss_oscillating": (facts(batch_size=64), {"losses": 2.3 + 2 * (-1.0) ** np.arange(STEPS)}),
    "spike": (DEPTH, {"gradient_norms": 0.1 + 1e3 * np.eye(STEPS)[100][:, None], "losses": STILL}),
    "initial_loss": (DEPTH, {"losses": 80 * np.exp(-np.arange(STEPS) / 100)}),
    "activated_logits": (ends_in("sigmoid", logits="3"), {}),
    "symmetry": (weights(DEPTH, constant=True, copies=0.97, column_copies=0.97), {}),
    "weight_scale": (weights(DEPTH, law=1e-3), {"losses": STILL}),
    "activation_scale": (DEPTH, {"output_stds": [1, 1e-3, 1e-6, 1e-9], "losses": STILL}),
    "inputs": (facts(inputs=inputs(255.0)), {}),
    "targets": (facts(target_std=400.0), {"losses": STILL}),
    "penalty": (facts(l2={"0.weight": 0.1}), {"losses": STILL + 0.1 * 64}),
    "weight_decay": (facts(decay=10.0), {"losses": STILL}),
    "always_clipped": (facts(max_norm=1e-5), {"losses": STILL}),
    "never_clipped": (facts(max_norm=1e5), {}),
    "vanishing_time": (DEPTH, {"through_time": through_time(0.5), "losses": STILL}),
    "exploding_time": (DEPTH, {"through_time": through_time(1.5), "losses": STILL}),
    "vanishing_trend": (
        DEPTH,
        {"delta_norms": 0.3 ** np.arange(STEPS)[:, None] ** [1, 0, 0, 0], "losses": STILL},
    ),
}


FALLS = np.log(10) * np.exp(-np.arange(STEPS) / 30)
# the same, just within what is allowed
NEAR = {
    "vanishing_depth": (DEPTH, {"delta_norms": [2e-3, 1e-2, 0.1, 1]}),
    "exploding_depth": (DEPTH, {"delta_norms": [60, 20, 4, 1], "losses": STILL}),
    "nonfinite": (DEPTH, {"gradient_max": 1e30}),
    "dead_units": (DEPTH, {"dead": [0.6, 0.1, 0.1, 0.1], "losses": STILL}),
    "saturation": (facts(activation="tanh"), {"saturated": [0.1, 0.45, 0.1, 0.1]}),
    "rate_too_large": (DEPTH, {"update_norms": 0.7, "losses": STILL}),
    "rate_too_small": (DEPTH, {"update_norms": 1e-3, "losses": STILL}),
    "unchanged": (DEPTH, {"update_norms": [1e-6, 0.02, 0.02, 0.02]}),
    "loss_stuck": (DEPTH, {"losses": 0.95 * STILL}),
    "loss_diverging": (DEPTH, {"losses": np.log(10) * np.linspace(0.3, 0.55, STEPS)}),
    "loss_oscillating": (facts(batch_size=64), {"losses": 2.3 + 0.6 * (-1.0) ** np.arange(STEPS)}),
    "spike": (DEPTH, {"gradient_norms": 0.1 + 5 * np.eye(STEPS)[100][:, None], "losses": STILL}),
    "initial_loss": (DEPTH, {"losses": 4.5 * FALLS}),
    "activated_logits": (ends_in("sigmoid"), {}),  # of a loss that takes outputs as they are
    "symmetry": (weights(DEPTH, copies=0.4, column_copies=0.4), {}),
    "weight_scale": (weights(DEPTH, law=0.3), {"losses": STILL}),
    "activation_scale": (DEPTH, {"output_stds": [1, 0.1, 0.01, 2e-3], "losses": STILL}),
    "inputs": (facts(inputs=inputs(3.5)), {}),
    "targets": (facts(target_std=9.0), {"losses": STILL}),
    "penalty": (facts(l2={"0.weight": 1e-4}), {"losses": STILL + 1e-4 * 64}),
    "weight_decay": (facts(decay=1.0), {"losses": STILL}),
    "always_clipped": (facts(max_norm=4e-3), {"losses": STILL}),
    "never_clipped": (facts(max_norm=2.0), {}),  # ten times the gradient
    "vanishing_time": (DEPTH, {"through_time": through_time(0.8), "losses": STILL}),
    "exploding_time": (DEPTH, {"through_time": through_time(1.15), "losses": STILL}),
    "vanishing_trend": (
        DEPTH,
        {"delta_norms": 0.9 ** np.arange(STEPS)[:, None] ** [1, 0, 0, 0], "losses": FALLS},
    ),
}
