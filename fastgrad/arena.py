"""Arenas: one flat, aligned buffer for many arrays, each of which is a view into it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def aligned(shape: tuple[int, ...] | int, dtype: Any) -> Array:
    """An uninitialized C-contiguous array whose first element lies on a cache line."""
    dims = (shape,) if isinstance(shape, int) else shape
    nbytes = math.prod(dims) * np.dtype(dtype).itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    result: Array = raw[start : start + nbytes].view(dtype).reshape(dims)
    return result


class Views(Mapping[str, Array]):
    """Named views into an arena. ``views[name] = array`` copies into the view."""

    def __init__(self, views: dict[str, Array]) -> None:
        self._views = views

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"{name!r} is none of {', '.join(self._views)}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        view = self[name]
        given = np.asarray(value)
        if given.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold real numbers, got dtype {given.dtype}")
        if given.shape != view.shape:
            raise ValueError(f"{name} needs shape {view.shape}, got {given.shape}")
        view[...] = given

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {view.dtype}{list(view.shape)}" for name, view in self.items())


@dataclass(frozen=True)
class Part:
    """Where an array lies in a flat vector."""

    name: str
    start: int
    shape: tuple[int, ...]
    hidden: bool = False  # whether it is a matrix between a model's first and its last one

    @property
    def size(self) -> int:
        """Its elements."""
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + self.size


class Arena:
    """A flat buffer of zeros cut into arrays of given shapes.

    Every array starts on a cache line; the few elements between two arrays are 0 and stay 0, as
    their gradient is 0.

    Parameters
    ----------
    shapes : dict of str to tuple
    dtype : float32 or float64
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> None:
        step = ALIGNMENT // np.dtype(dtype).itemsize
        starts, total = {}, 0
        for name, shape in shapes.items():
            starts[name] = total
            total += -(-math.prod(shape) // step) * step
        self.flat = aligned(total, dtype)
        self.flat[...] = 0
        self.views = Views(
            {
                name: self.flat[starts[name] : starts[name] + math.prod(shape)].reshape(shape)
                for name, shape in shapes.items()
            }
        )
        self.starts = starts

    @property
    def parts(self) -> tuple[Part, ...]:
        """All arrays in their order."""
        return tuple(Part(name, self.starts[name], view.shape) for name, view in self.views.items())

    def __reduce__(self) -> tuple[Any, ...]:
        # a copy of its attributes would be one of the views without what they look into
        return _filled, ({name: view.shape for name, view in self.views.items()}, self.flat)


def _filled(shapes: Mapping[str, tuple[int, ...]], flat: Array) -> Arena:
    arena = Arena(shapes, flat.dtype)
    arena.flat[...] = flat
    return arena
