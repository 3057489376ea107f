"""Values for some of a model's parameters, by their names or the names of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


def select(per_layer: Mapping[str, Value], names: Iterable[str]) -> dict[str, Value]:
    """What `per_layer` says of each name, for the names of which it says something.

    A key is a name, or as many of a name's leading parts as one likes: ``"2"`` stands for
    ``"2.weight"`` and ``"2.0.bias"``, but not for ``"20.weight"``. The longest key that fits a name
    decides.

    Parameters
    ----------
    per_layer : mapping of str
    names : iterable of str
        Parts separated by dots: ``"0.weight"``.

    Raises
    ------
    TypeError
        If `per_layer` is no mapping of str.
    ValueError
        For a key that fits none of the names.
    """
    if not isinstance(per_layer, Mapping) or not all(isinstance(key, str) for key in per_layer):
        raise TypeError(f"per_layer must map names to values, got {per_layer!r}")
    found: dict[str, Value] = {}
    unused = dict.fromkeys(per_layer)
    names = tuple(names)
    for name in names:
        parts = name.split(".")
        keys = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        fitting = [key for key in keys if key in per_layer]
        if fitting:
            found[name] = per_layer[fitting[0]]
        for key in fitting:
            unused.pop(key, None)
    if unused:
        wrong = ", ".join(map(repr, unused))
        raise ValueError(f"per_layer: {wrong} fits none of {', '.join(names)}")
    return found
