"""Values for some of a model's parameters, by their names or the names of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fastgrad.arena import Array

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
    _check_names(per_layer)
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


def of_weights(
    value: Value, per_layer: Mapping[str, Value], params: Mapping[str, Array]
) -> dict[str, Value]:
    """`value` for every weight, or what `per_layer` says of it.

    Weights are the parameters of two or more axes, as the ``weight`` of `Dense`; biases and the
    scales of norms are none, and are left out unless `per_layer` has their full names.
    """
    names = [name for name, view in params.items() if view.ndim > 1 or name in per_layer]
    return {**dict.fromkeys(names, value), **select(per_layer, names)}


def checked(
    per_layer: Mapping[str, Any] | None, check: Callable[[str, Any], Value]
) -> dict[str, Value]:
    """The argument `per_layer` as a dict, each value as `check(what to call it, value)` has it."""
    if per_layer is None:
        return {}
    _check_names(per_layer)
    return {key: check(f"per_layer[{key!r}]", value) for key, value in per_layer.items()}


def _check_names(per_layer: Any) -> None:
    if not isinstance(per_layer, Mapping) or not all(isinstance(key, str) for key in per_layer):
        raise TypeError(f"per_layer must map names to values, got {per_layer!r}")
