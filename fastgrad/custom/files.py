"""Users' functions in descriptions that files hold: their names, for their code is not in there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastgrad.custom.elementwise import Elementwise


def named(value: Any, known: dict[str, Elementwise] | None = None) -> Any:
    """A description with names in the place of functions, as JSON can hold it.

    Raises
    ------
    ValueError
        If two functions have the same name; `known` are those that came before.
    """
    known = {} if known is None else known
    if isinstance(value, Elementwise):
        if known.setdefault(value.name, value) is not value:
            raise ValueError(
                f"two functions are called {value.name!r}, at {known[value.name].place} and "
                f"{value.place}: files tell them apart by their names alone"
            )
        return {f"own {value.what}": value.name}
    if isinstance(value, dict):
        return {key: named(inner, known) for key, inner in value.items()}
    return [named(inner, known) for inner in value] if isinstance(value, (list, tuple)) else value


def restored(path: object, value: Any, custom: Mapping[str, Any] | None) -> Any:
    """The description again, with the functions that `custom` has by their names.

    Raises
    ------
    TypeError, ValueError
        If it lacks one, or has something else under that name.
    """
    if isinstance(value, list):
        return [restored(path, inner, custom) for inner in value]
    if not isinstance(value, dict):
        return value
    for what in ("activation", "loss"):
        if value.keys() == {f"own {what}"}:
            return _found(path, what, value[f"own {what}"], custom or {})
    return {key: restored(path, inner, custom) for key, inner in value.items()}


def _found(path: object, what: str, name: Any, custom: Mapping[str, Any]) -> Elementwise:
    if name not in custom:
        raise ValueError(
            f"{path} uses the {what} {name!r}, a function that is not in the file: give it, as in "
            f"custom={{{name!r}: {name}}}"
        )
    found = getattr(custom[name], "formula", custom[name])
    if not isinstance(found, Elementwise) or found.what != what:
        raise TypeError(
            f"custom[{name!r}] must be what fastgrad.{what} makes of a function, got "
            f"{custom[name]!r}"
        )
    return found
