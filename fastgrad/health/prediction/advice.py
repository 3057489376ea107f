"""Whether a network is trainable at its depth, and what would change that, in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastgrad.health.prediction.walk import Memory, Walk
from fastgrad.initializers.critical import critical_point

LENGTHS = 6.0  # depth scales that signals and gradients survive (Schoenholz et al. 2017)
LEVELLED = 1e-6  # of the largest gradient; what optimizers like Adam still bring to one size
_LARGE = 100.0  # mean square of outputs that no loss expects


@dataclass(frozen=True)
class Outlook:
    """What a network's trainability is judged by.

    Attributes
    ----------
    walk : Walk
    depth : int
    log_gain, depth_scale, dead : float
        See `Walk` and `Prediction`.
    outputs : float
        Mean square of the outputs.
    between : tuple of float
        Smallest and largest norm of the gradients of weights.
    obstacle : str
        Why nothing is learnt whatever the size of gradients is, "" if nothing is in the way.
    passing : str
        What keeps gradients away at the first step only.
    """

    walk: Walk
    depth: int
    log_gain: float
    depth_scale: float
    dead: float
    outputs: float
    between: tuple[float, float]
    obstacle: str = ""
    passing: str = ""

    @property
    def deep(self) -> bool:
        """Whether it is deeper than six depth scales."""
        return not self.passing and self.depth > LENGTHS * abs(self.depth_scale)

    @property
    def exploding(self) -> bool:
        """Whether something explodes along time."""
        memory = self.walk.memory.values()
        return any(m.norms and m.norms[0] > math.exp(LENGTHS / 2) for m in memory)

    @property
    def trainable(self) -> bool:
        """Depth within six depth scales, inputs that live, and no explosion along time."""
        bad = self.obstacle or self.deep or self.dead >= 0.5 or self.exploding
        return not bad

    @property
    def by_adam(self) -> bool:
        """Whether it is deep alone, with gradients that optimizers may bring to one size."""
        low, high = self.between
        fails = bool(self.obstacle) or self.dead >= 0.5 or self.exploding
        return self.deep and not fails and math.isfinite(high) and low > LEVELLED * high


def sentence(found: Outlook) -> str:
    """Trainable or not, the numbers that say so, and the change to make if not."""
    layers = "layer" if found.depth == 1 else "layers"
    told = "Trainable" if found.trainable else "Not trainable"
    told += " by plain gradient descent" if found.by_adam else ""
    told += f" at its depth of {found.depth} weight {layers}: "
    if found.obstacle:
        return f"{told}{found.obstacle}."
    told += found.passing or _depth(found)
    told += _along_time(found.walk)
    if found.dead >= 0.01:
        told += f"; an input is dead at birth with probability {found.dead:.3g}"
    if found.trainable:
        return told + "."
    if found.outputs > _LARGE:
        told += f"; outputs have a mean square of {found.outputs:.3g}"
    if found.by_adam:
        low, high = found.between
        told += (
            f"; SGD is slow or fails there, but Adam or the like may still train it, as the "
            f"gradients of its weights are between {low:.2g} and {high:.2g}"
        )
    return f"{told}; {_change(found)}."


def _depth(found: Outlook) -> str:
    reach, log_gain = LENGTHS * abs(found.depth_scale), found.log_gain
    if log_gain == -math.inf:
        return "no gradient reaches its first weight"
    less, more = ("vanishes", "explodes") if found.deep else ("shrinks", "grows")
    way = less if log_gain < 0 else more
    decades = abs(log_gain) / 2 / math.log(10)
    by = f"{way} by {decades:.2g} decades" if decades >= 0.005 else "keeps its size"
    limit = "any number of layers" if reach > 1e4 else f"{reach:.3g} layers"
    return f"the gradient {by} on the way down, and six depth scales are {limit}"


def _along_time(walk: Walk) -> str:
    text = ""
    for name, m in walk.memory.items():
        steps = len(m.norms)
        if m.gain > 1.0005:
            text += f"; {name} explodes by {m.gain:.3g} a step"
        elif m.horizon >= steps:
            text += f"; {name} remembers all of {steps} {'step' if steps == 1 else 'steps'}"
        else:
            text += f"; {name} remembers {m.horizon:.3g} of {steps} steps (1e-3 after {m.far:.3g})"
            if m.far < steps:
                text += f", and next to nothing is learnt from earlier ones: {_longer(m, steps)}"
    return text


def _longer(memory: Memory, steps: int) -> str:
    if memory.forget is None:
        return "take an LSTM whose forget gate is open, with bias_init fastgrad.initializers.chrono"
    return f"open its forget gate, with bias_init fastgrad.initializers.chrono({steps})"


def _change(found: Outlook) -> str:
    walk, log_gain = found.walk, found.log_gain
    if found.dead >= 0.5:
        return "make the layers wider, or take leaky_relu, whose units never die"
    if not found.deep:
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
