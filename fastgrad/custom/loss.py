"""`LossFunction`: an elementwise loss written in Python, compiled."""

from __future__ import annotations

from fastgrad.custom.elementwise import Elementwise


class LossFunction(Elementwise):
    """A function of an output and its target, as kernels take it; see `fastgrad.loss`."""

    what = "loss"
    arguments = ("z", "target")
