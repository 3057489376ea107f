"""Arenas: one flat, aligned buffer for many arrays, each of which is a view into it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Memory(Protocol):
    """Memory of a device, that the host can look into as well."""

    def allocate(self, nbytes: int) -> Array:
        """So many bytes, uninitialized."""

    def write(self, array: Array, values: Any) -> None:
        """Copy values into an array, which may lie in this memory."""


_memory: Memory | None = None


def lie_in(memory: Memory | None) -> None:
    """Have arenas lie in the memory of a device from now on; None is that of the host."""
    global _memory
    _memory = memory


def write(array: Array, values: Any) -> None:
    """Copy what is new at every step into an array, without having it come to the host before."""
    if _memory is None:
        array[...] = values
    else:
        _memory.write(array, values)


def aligned(shape: tuple[int, ...] | int, dtype: Any) -> Array:
    """An uninitialized C-contiguous array whose first element lies on a cache line.

    It lies where the backend in use wants to have it.
    """
    dims = (shape,) if isinstance(shape, int) else shape
    nbytes = math.prod(dims) * np.dtype(dtype).itemsize
    nbytes += ALIGNMENT
    raw = np.empty(nbytes, np.uint8) if _memory is None else _memory.allocate(nbytes)
    start = -raw.ctypes.data % ALIGNMENT
    result: Array = raw[start : start + nbytes - ALIGNMENT].view(dtype).reshape(dims)
    return result


_WIDTH = 1021  # odd, so that the highest bit of a sum tells whether that of an odd number changed


def fingerprint(array: Array) -> int:
    """A number that tells, but for rare chance, whether a contiguous array has changed.

    Of sums along the rows and columns of its words, since a single one is that of any order.
    """
    data = array.reshape(-1).view(np.uint8)
    size = data.nbytes // (8 * _WIDTH) * (8 * _WIDTH)
    words = data[:size].view(np.uint64).reshape(-1, _WIDTH)
    sums = (words.sum(axis=axis, dtype=np.uint64).tobytes() for axis in (0, 1))
    return hash((*sums, data[size:].tobytes()))


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
