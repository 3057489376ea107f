"""Initializers by name, by example, and as what JSON can hold."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgrad.initializers.base import InitFunction, Initializer
from fastgrad.initializers.checks import Array, dims_of, rounded, unknown
from fastgrad.initializers.critical import critical, critical_bias
from fastgrad.initializers.draws import constant, normal, ones, truncated_normal, uniform, zeros
from fastgrad.initializers.matrices import identity, orthogonal, sparse
from fastgrad.initializers.recurrent import chrono, forget_bias, irnn, per_gate, spectral
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
        chrono,
        constant,
        critical,
        critical_bias,
        forget_bias,
        he_normal,
        he_uniform,
        identity,
        irnn,
        lecun_normal,
        lecun_uniform,
        normal,
        ones,
        orthogonal,
        per_gate,
        sparse,
        spectral,
        torch_default,
        truncated_normal,
        uniform,
        variance_scaling,
        xavier_normal,
        xavier_uniform,
        zeros,
    )
}

# the same laws under the names of PyTorch, JAX and Keras
ALIASES = {
    "eye": "identity",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "random_normal": "normal",
    "random_uniform": "uniform",
}


def get(spec: str | InitFunction | Array, name: str = "initializer") -> InitFunction:
    """Make an initializer of whatever a layer was given.

    Parameters
    ----------
    spec : str, callable or ndarray
        The name of a factory, which is called with its defaults, or another library's name for
        it ("kaiming_normal", "glorot_uniform", "RandomNormal"); an initializer, returned as it
        is; or the values themselves, copied now and good for one shape.
    name : str
        What errors call it.

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
        return _made(spec, {}, name)
    if isinstance(spec, np.ndarray):
        if spec.dtype.kind not in "iuf":
            raise TypeError(f"{name}: expected an array of real numbers, got {spec.dtype}")
        return functools.partial(_given, spec.copy(), name)
    if not callable(spec) or (inspect.isfunction(spec) and spec in FACTORIES.values()):
        raise TypeError(
            f"{name}: expected a name, an ndarray or a callable init(shape, rng, dtype) such "
            f"as he_normal(), got {spec!r}"
        )
    return spec


def to_config(init: InitFunction) -> dict[str, Any] | None:
    """Describe an initializer: ``{"name": ..., argument: value, ...}``, ready for JSON.

    None for the initializer of an array and for a callable from elsewhere.
    """
    if not isinstance(init, Initializer):
        return None
    return {"name": init.name} | {
        key: to_config(value) if isinstance(value, Initializer) else value
        for key, value in init.settings
    }


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
    arguments = {
        key: from_config(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key != "name"
    }
    return _made(config["name"], arguments)


def _made(name: str, arguments: Mapping[str, Any], what: str = "initializer") -> Initializer:
    given = name
    if isinstance(name, str):
        snake = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()  # Keras has GlorotUniform, too
        name = ALIASES.get(snake, snake)
    if name not in FACTORIES:
        raise unknown(what, given, [*FACTORIES, *ALIASES])
    signature = inspect.signature(FACTORIES[name])
    try:
        signature.bind(**arguments)
    except TypeError as why:
        raise TypeError(f"{what} {name}{signature}: {why}") from None
    return FACTORIES[name](**arguments)


def _given(
    values: Array, name: str, shape: Sequence[int], _: np.random.Generator, dtype: npt.DTypeLike
) -> Array:
    if values.shape != dims_of(shape):
        raise ValueError(f"{name}: expected an array of shape {shape}, got {values.shape}")
    return rounded(values, dtype, name)
