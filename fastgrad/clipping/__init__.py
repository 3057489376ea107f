"""Clipping, and the floor for gradients that are too small.

Coefficients are exact, computed in float64 without an epsilon: a gradient of norm n > max_norm
comes out with norm max_norm, one below it is not touched. Norms are right for every finite
gradient, also where squares overflow or count as zero; a group of gradients that is not finite is
left as it is. Each clip keeps an account, `ClipReport`. Several clips given as a list act one after
the other.

What a clip remembers lies in arrays (`Clip.state`) that belong to the trainer: kept and restored,
they continue a run bit for bit. They change only with a step that takes place.
"""

from fastgrad.clipping.agc import AGC
from fastgrad.clipping.autoclip import AutoClip
from fastgrad.clipping.base import Clip
from fastgrad.clipping.configs import from_config, get
from fastgrad.clipping.noise import GradientNoise
from fastgrad.clipping.norms import ClipNorm, ClipPerLayer, ClipPerTensor, GradFloor
from fastgrad.clipping.report import ClipReport
from fastgrad.clipping.value import ClipValue
from fastgrad.clipping.zclip import ZClip

__all__ = [
    "AGC",
    "AutoClip",
    "Clip",
    "ClipNorm",
    "ClipPerLayer",
    "ClipPerTensor",
    "ClipReport",
    "ClipValue",
    "GradFloor",
    "GradientNoise",
    "ZClip",
    "from_config",
    "get",
]
