"""What the history of a run has gained since the last look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class NewValues:
    """The last value of every list in a history that has grown since the call before.

    A list that only some epochs add to is thus left out of the others.
    """

    def __init__(self) -> None:
        self._lengths: dict[str, int] = {}

    def __call__(self, history: Mapping[str, list[Any]]) -> dict[str, Any]:
        """By name, with numbers of NumPy as those of Python."""
        lengths = {name: len(values) for name, values in history.items()}
        if lengths.get("epoch", 0) <= self._lengths.get("epoch", 0):  # another run
            self._lengths = {}
        new = [name for name, n in lengths.items() if n > self._lengths.get(name, 0)]
        self._lengths = lengths
        return {name: _plain(history[name][-1]) for name in new}


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are lists of n as n values: ``clipped.0``, ``clipped.1``."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, list):
            found |= flat({f"{name}.{i}": one for i, one in enumerate(value)})
        else:
            found[name] = value
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
