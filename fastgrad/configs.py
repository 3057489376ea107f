"""Losses, optimizers, clips and their like as what JSON can hold, and made again from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

Kind = TypeVar("Kind")


def described(thing: object) -> dict[str, Any]:
    """The class name and the public attributes of an object: those its constructor takes."""
    arguments = {name: plain(v) for name, v in vars(thing).items() if not name.startswith("_")}
    return {"name": type(thing).__name__, **arguments}


def plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as those of Python."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def rebuilt(what: str, known: Mapping[str, Callable[..., Kind]], config: Mapping[str, Any]) -> Kind:
    """The object that `described` described.

    Parameters
    ----------
    what : str
        Of what kind, for errors.
    known : mapping
        The classes there are, by name.
    config : mapping
        A "name" among them, and arguments of that class.

    Raises
    ------
    TypeError, ValueError
        If the name is missing or unknown, or the arguments do not suit that class.
    """
    if not isinstance(config, Mapping) or "name" not in config:
        raise ValueError(f'{what}: expected a mapping with a "name", got {config!r}')
    name = config["name"]
    if name not in known:
        raise ValueError(f"{what}: expected one of {', '.join(known)}, got {name!r}")
    arguments = {key: config[key] for key in config if key != "name"}
    signature = inspect.signature(known[name])
    try:
        signature.bind(**arguments)
    except TypeError as why:
        raise TypeError(f"{what} {name}{signature}: {why}") from None
    return known[name](**arguments)
