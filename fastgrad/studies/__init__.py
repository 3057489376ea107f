"""The phenomena of vanishing and exploding gradients, reproduced.

``python -m fastgrad.studies NAME`` prints a table of published, predicted and measured values and
writes a picture. A study is a module with a function ``study(quick)`` that returns a `Result`; its
docstring names the source.
"""

from __future__ import annotations

import importlib

from fastgrad.studies.result import Result, Row

__all__ = ["NAMES", "Result", "Row", "study", "summary"]

NAMES = (
    "chain",
    "glorot",
    "he",
    "depth",
    "batchnorm",
    "residual",
    "orthogonal",
    "selu",
    "dying",
    "forget_bias",
    "clipping",
    "learning_rate",
    "input_scale",
    "l2",
    "gradient_floor",
    "cures",
)
"""In the order in which they are best read; all that has to be said to add one."""


def study(name: str, quick: bool = False) -> Result:
    """Run a study.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    quick : bool
        Seconds, to see that it runs: smaller networks, fewer of them, and less training.

    Raises
    ------
    ValueError
        If there is no such study.
    """
    result: Result = _module(name).study(quick)
    return result


def summary(name: str) -> str:
    """The first line of a study's docstring."""
    return (_module(name).__doc__ or "").partition("\n")[0]


def _module(name: str):  # type: ignore[no-untyped-def]
    if name not in NAMES:
        raise ValueError(f"name: expected one of {', '.join(NAMES)}, got {name!r}")
    return importlib.import_module(f"fastgrad.studies.{name}")
