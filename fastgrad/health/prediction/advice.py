"""Whether a network is trainable at its depth, and what would change that, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fastgrad.health.prediction.walk import Memory, Walk
from fastgrad.initializers.critical import critical_point

LENGTHS = 6.0  # depth scales that signals and gradients survive (Schoenholz et al. 2017)


def is_trainable(depth: int, depth_scale: float, dead: float, memory: Mapping[str, Memory]) -> bool:
    """Depth within six depth scales, inputs that live, and no explosion along time."""
    exploding = any(m.norms and m.norms[0] > math.exp(LENGTHS / 2) for m in memory.values())
    return depth <= LENGTHS * abs(depth_scale) and dead < 0.5 and not exploding


def sentence(walk: Walk, depth: int, log_gain: float, depth_scale: float, dead: float) -> str:
    """Trainable or not, the numbers that say so, and the change to make if not."""
    trainable = is_trainable(depth, depth_scale, dead, walk.memory)
    reach = LENGTHS * abs(depth_scale)
    told = "Trainable" if trainable else "Not trainable"
    less, more = ("shrinks", "grows") if trainable else ("vanishes", "explodes")
    way = less if log_gain < 0 else more
    decades = abs(log_gain) / 2 / math.log(10)
    size = f"the gradient {way} by {decades:.2g} decades" if decades >= 0.005 else "it keeps"
    layers = "layer" if depth == 1 else "layers"
    limit = "any number of layers" if reach > 1e4 else f"{reach:.3g} layers"
    text = f"{told} at its depth of {depth} weight {layers}: "
    text += f"{size} on the way down, and six depth scales are {limit}"
    for name, m in walk.memory.items():
        if m.gain > 1.0005:
            text += f"; {name} explodes by {m.gain:.3g} a step"
        else:
            steps = len(m.norms)
            text += f"; {name} remembers {m.horizon:.3g} of {steps} steps (1e-3 after {m.far:.3g})"
            if m.far < steps:
                text += f", and next to nothing is learnt from earlier ones: {_longer(m, steps)}"
    if dead >= 0.01:
        text += f"; an input is dead at birth with probability {dead:.3g}"
    if trainable:
        return text + "."
    return f"{text}; {_change(walk, depth, log_gain, depth_scale, dead)}."


def _longer(memory: Memory, steps: int) -> str:
    if memory.forget is None:
        return "take an LSTM whose forget gate is open, with bias_init fastgrad.initializers.chrono"
    return f"open its forget gate, with bias_init fastgrad.initializers.chrono({steps})"


def _change(walk: Walk, depth: int, log_gain: float, depth_scale: float, dead: float) -> str:
    if dead >= 0.5:
        return "make the layers wider, or take leaky_relu, whose units never die"
    if depth <= LENGTHS * abs(depth_scale):
        return "draw the recurrent weights orthogonal, clip the gradient norm, or take an LSTM"
    if log_gain > 0 and walk.blocks:
        scale = len(walk.blocks) ** -0.5
        return f"give the {len(walk.blocks)} fastgrad.Residual blocks a scale of {scale:.2g}"
    if log_gain > 0 and walk.normalized:
        return "put the blocks between normalizations into fastgrad.Residual"
    # what the layer that is furthest from 1 asks for
    worst = max(
        walk.critical, key=lambda name: abs(math.log(max(walk.chi[name], 1e-300))), default=""
    )
    if not worst:
        return "put fastgrad.Residual around the layers"
    phi, sigma_w = walk.critical[worst]
    try:
        point = critical_point(phi.phi, phi.dphi)
    except ValueError:
        return (
            f"{phi.name} has no critical weights: take tanh or relu, or fastgrad.BatchNorm before "
            "each activation"
        )
    bias = f" and sigma_b {point.sigma_b:.3g}" if point.sigma_b else ""
    return (
        f"draw the weights with sigma_w {point.sigma_w:.4g}{bias} "
        f"(fastgrad.initializers.critical({phi.name!r})) in place of {sigma_w:.4g} at layer "
        f"{worst}, which makes its chi 1 in place of {walk.chi[worst]:.3g}"
    )
