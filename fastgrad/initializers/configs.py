"""Initializers by name, by example, and as what JSON can hold."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.initializers.base import InitFunction, Initializer
from fastgrad.initializers.checks import Array, dims_of, rounded, unknown
from fastgrad.initializers.draws import constant, normal, ones, truncated_normal, uniform, zeros
from fastgrad.initializers.matrices import identity, orthogonal
from fastgrad.initializers.scaling import (
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    torch_default,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

FACTORIES: Mapping[str, Callable[..., Initializer]] = {
    factory.__name__: factory
    for factory in (
        constant,
        he_normal,
        he_uniform,
        identity,
        lecun_normal,
        lecun_uniform,
        normal,
        ones,
        orthogonal,
        torch_default,
        truncated_normal,
        uniform,
        variance_scaling,
        xavier_normal,
        xavier_uniform,
        zeros,
    )
}


def get(spec: str | InitFunction | Array) -> InitFunction:
    """Make an initializer of whatever a layer was given.

    Parameters
    ----------
    spec : str, callable or ndarray
        The name of a factory, which is called with its defaults; an initializer, returned as it
        is; or the values themselves, copied now and good for one shape.

    Returns
    -------
    callable
        ``init(shape, rng, dtype)``.

    Raises
    ------
    ValueError
        If no factory has that name.
    TypeError
        If that factory needs arguments, the array is not one of real numbers, or `spec` is a
        factory itself or something else.
    """
    if isinstance(spec, str):
        return _made(spec, {})
    if isinstance(spec, np.ndarray):
        if spec.dtype.kind not in "iuf":
            raise TypeError(f"initializer: expected an array of real numbers, got {spec.dtype}")
        return functools.partial(_given, spec.copy())
    if not callable(spec) or (inspect.isfunction(spec) and spec in FACTORIES.values()):
        raise TypeError(
            "initializer: expected a name, an ndarray or a callable init(shape, rng, dtype) such "
            f"as he_normal(), got {spec!r}"
        )
    return spec


def to_config(init: InitFunction) -> dict[str, Any] | None:
    """Describe an initializer: ``{"name": ..., argument: value, ...}``, ready for JSON.

    None for the initializer of an array and for a callable from elsewhere.
    """
    return {"name": init.name, **dict(init.settings)} if isinstance(init, Initializer) else None


def from_config(config: Mapping[str, Any]) -> Initializer:
    """Make the initializer that `to_config` described.

    Parameters
    ----------
    config : mapping
        The "name" of a factory, and arguments of it.

    Raises
    ------
    TypeError, ValueError
        If the name is missing or unknown, or the arguments do not suit that factory.
    """
    if not isinstance(config, Mapping) or "name" not in config:
        raise ValueError(f'config: expected a mapping with a "name", got {config!r}')
    return _made(config["name"], {key: config[key] for key in config if key != "name"})


def _made(name: str, arguments: Mapping[str, Any]) -> Initializer:
    if name not in FACTORIES:
        raise unknown("initializer", name, FACTORIES)
    signature = inspect.signature(FACTORIES[name])
    try:
        signature.bind(**arguments)
    except TypeError as why:
        raise TypeError(f"initializer {name}{signature}: {why}") from None
    return FACTORIES[name](**arguments)


def _given(
    values: Array, shape: Sequence[int], _: np.random.Generator, dtype: npt.DTypeLike
) -> Array:
    if values.shape != dims_of(shape):
        raise ValueError(f"initializer: expected an array of shape {shape}, got {values.shape}")
    return rounded(values, dtype, "initializer")
