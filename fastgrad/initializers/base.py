"""What every factory returns, and the fans of a shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastgrad.initializers.checks import Array, dims_of, rounded

# a text, since evaluating it would import numpy.random, a third of what importing numpy costs
InitFunction: TypeAlias = "Callable[[Sequence[int], np.random.Generator, npt.DTypeLike], Array]"


@dataclass(frozen=True, repr=False)
class Initializer:
    """What the factories return: compared, hashed, shown and stored by its settings.

    Parameters
    ----------
    name : str
        The factory that makes it.
    settings : tuple of (str, float, str, Initializer or None)
        The arguments of that factory, all of them.
    draw : callable
        ``draw(shape, rng)`` returns float64; `shape` has no zero in it.
    """

    name: str
    settings: tuple[tuple[str, float | str | Initializer | None], ...]
    draw: Callable[[tuple[int, ...], np.random.Generator], Array] = field(compare=False)

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: npt.DTypeLike
    ) -> Array:
        """Draw an array.

        Parameters
        ----------
        shape : sequence of int
            ``(fan_out, fan_in)`` for a dense weight, ``(length,)`` for a bias.
        rng : numpy.random.Generator
            Advances alike for both dtypes.
        dtype : dtype-like
            float32 or float64.

        Returns
        -------
        ndarray, C-contiguous

        Raises
        ------
        TypeError
            If `shape` holds anything but integers, or `rng` or `dtype` is something else.
        ValueError
            If `shape` does not suit this initializer, or a value overflows `dtype`.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng: expected numpy.random.Generator, got {type(rng).__name__}")
        dims = dims_of(shape)
        # An empty array may have a fan of zero: nothing to draw, nothing to divide by.
        values = self.draw(dims, rng) if math.prod(dims) else np.empty(dims)
        return rounded(values, dtype, repr(self))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle cannot store `draw`, a closure
        from fastgrad.initializers.configs import from_config, to_config

        return from_config, (to_config(self),)


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Count the connections into and out of one unit.

    Parameters
    ----------
    shape : sequence of int
        ``(fan_out, fan_in)``; ``(out, in, receptive field...)``; or ``(length,)``, for which both
        fans are the length. ValueError for ``()``.

    Returns
    -------
    fan_in, fan_out : int
    """
    dims = dims_of(shape)
    if not dims:
        raise ValueError("shape: expected at least 1 dimension, got ()")
    receptive = math.prod(dims[2:])
    return dims[min(1, len(dims) - 1)] * receptive, dims[0] * receptive
