"""Clips as a trainer is given them, and as what JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastgrad import configs
from fastgrad.clipping.agc import AGC
from fastgrad.clipping.autoclip import AutoClip
from fastgrad.clipping.base import Clip
from fastgrad.clipping.noise import GradientNoise
from fastgrad.clipping.norms import ClipNorm, ClipPerLayer, ClipPerTensor, GradFloor
from fastgrad.clipping.value import ClipValue
from fastgrad.clipping.zclip import ZClip

_KINDS = (
    AGC,
    AutoClip,
    ClipNorm,
    ClipPerLayer,
    ClipPerTensor,
    ClipValue,
    GradFloor,
    GradientNoise,
    ZClip,
)


def get(clip: Any) -> tuple[Clip, ...]:
    """None, a clip or any iterable of clips, as a tuple."""
    if clip is None:
        return ()
    single = isinstance(clip, (Clip, str)) or not isinstance(clip, Iterable)
    clips = (clip,) if single else tuple(clip)
    for one in clips:
        if not isinstance(one, Clip):
            raise TypeError(
                f"clip must be a Clip such as ClipNorm(1.0), or a list of them, got {one!r}"
            )
    return clips


def from_config(config: Mapping[str, Any]) -> Clip:
    """Make the clip that `Clip.config` described."""
    return configs.rebuilt("clip", {kind.__name__: kind for kind in _KINDS}, config)
