"""`Parameters`: what training changes, its gradients, and what is kept beside, in arenas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastgrad.arena import Arena, Array, Part, Views
from fastgrad.containers import buffers_of, parameters_of
from fastgrad.initializers import InitFunction
from fastgrad.layers import Layer


class Parameters:
    """Parameters, gradients and buffers of layers in a row, each kind of them in one arena.

    Parameters
    ----------
    layers : sequence of Layer
    rng : numpy.random.Generator
        Of the initial values.
    dtype : float32 or float64
    """

    def __init__(self, layers: Sequence[Layer], rng: np.random.Generator, dtype: Any) -> None:
        specs = parameters_of(layers)
        shapes = {name: shape for name, (shape, _) in specs.items()}
        self._param_arena = Arena(shapes, dtype)
        self._grad_arena = Arena(shapes, dtype)
        for name, (shape, init) in specs.items():
            values = _drawn(name, init, shape, rng, dtype)
            self.params[name] = values  # says so when an initializer returns another shape
        buffers = buffers_of(layers)
        self._buffer_arena = Arena({n: shape for n, (shape, _) in buffers.items()}, dtype)
        for name, (shape, init) in buffers.items():
            self.buffers[name] = _drawn(name, init, shape, rng, dtype)

    @property
    def params(self) -> Views:
        """Views of the parameters, by name."""
        return self._param_arena.views

    @property
    def grads(self) -> Views:
        """Views of the gradients of the last backward pass or training step, by name."""
        return self._grad_arena.views

    @property
    def buffers(self) -> Views:
        """Views of what is kept and saved, but not trained, by name."""
        return self._buffer_arena.views

    @property
    def flat_buffers(self) -> Array:
        """All buffers as one vector, laid out as `flat_params`."""
        return self._buffer_arena.flat

    @property
    def flat_params(self) -> Array:
        """All parameters as one vector; between two arrays lie up to 15 zeros."""
        return self._param_arena.flat

    @property
    def flat_grads(self) -> Array:
        """All gradients as one vector, laid out as `flat_params`."""
        return self._grad_arena.flat

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where in the flat vectors each parameter lies."""
        parts = self._param_arena.parts
        matrices = [part.name for part in parts if len(part.shape) == 2]
        return tuple(replace(part, hidden=part.name in matrices[1:-1]) for part in parts)

    @property
    def num_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(view.size for view in self.params.values())

    def layer_starts(self) -> list[int]:
        """Where in the flat vectors each layer with parameters starts."""
        starts: dict[str, int] = {}
        for name, start in self._param_arena.starts.items():
            starts.setdefault(name.rpartition(".")[0], start)
        return list(starts.values())


def _drawn(
    name: str, init: InitFunction, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any
) -> Array:
    """What an array starts with; errors name it."""
    try:
        return np.asarray(init(shape, rng, dtype))
    except ValueError as why:
        raise ValueError(f"{name}: {why}") from why
