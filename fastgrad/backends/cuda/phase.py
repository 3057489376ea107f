"""Kernels of this backend: what a call of the contract is made of.

A call is one or more phases, one after the other. All threads of all blocks go through a phase, and
meet behind it; a phase that repeats is gone through so often, with a meeting behind each time. The
function of a phase is given `Memory`, where in `ints` (and `doubles`) its words start, and which
repetition it is.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends import contract
from fastgrad.backends.cuda.device import BLOCK
from fastgrad.backends.cuda.memory import index


class Scratch:
    """Memory on the device that a call's phases hand on to each other; a program keeps it.

    Parameters
    ----------
    dtype : dtype
    *shape : int
    """

    def __init__(self, dtype: Any, *shape: int) -> None:
        self.dtype = np.dtype(dtype)
        self.size = max(1, math.prod(shape))


Word = Array | Scratch | int | float | None


class Phase:
    """Work for all threads.

    Attributes
    ----------
    function : callable
        Of Memory, the place of the words, and the number of the repetition.
    words : tuple
        Arrays, each of which becomes its place in memory, or 0 where it is None; integers; and
        floats, which are read from `doubles`.
    blocks : int
        How many of them have something to do.
    work : float
        Multiply-adds, or elements that are read or written, of each repetition.
    repeat : int
    shared : int
        Bytes of shared memory of each block.
    wide : bool
        Whether its reals are float64, while those of the program are float32.
    """

    def __init__(
        self,
        function: Callable[..., None],
        words: tuple[Word, ...],
        blocks: int,
        work: float,
        repeat: int,
        shared: int,
    ) -> None:
        self.function, self.words = function, words
        self.blocks, self.work = max(1, blocks), work
        self.repeat, self.shared = repeat, shared
        self.wide = False

    def packed(self, place: Callable[[Array | Scratch], int]) -> list[int]:
        """The words as 64-bit integers; `place` says at what address the device has an array."""
        found = []
        for word in self.words:
            if word is None:
                found.append(0)
            elif isinstance(word, np.ndarray | Scratch):
                found.append(index(place(word), word.dtype.itemsize))
            elif isinstance(word, float):
                found += struct.unpack("q", struct.pack("d", word))
            else:
                found.append(int(word))
        return found


def over(function: Callable[..., None], n: int, *words: Word, work: float | None = None) -> Phase:
    """A phase with a thread for each of n elements."""
    return Phase(function, words, -(-n // BLOCK), float(n if work is None else work), 1, 8 * BLOCK)


def rows(
    function: Callable[..., None], n: int, width: int, *words: Word, repeat: int = 1,
    shared: int = 8 * BLOCK,
) -> Phase:  # fmt: skip
    """A phase with a block for each of n rows (or other pieces) of that width."""
    return Phase(function, words, n, float(n) * width, repeat, shared)


class Call:
    """A recorded call.

    Attributes
    ----------
    name : str
    phases : list of Phase
        And of `library.LargeProduct`.
    written : list of ndarray
        Those of the contract's arrays that it writes to.
    status : ndarray or None
        Whose first element it may raise.
    real : dtype
        Of all its reals; None where it has none.
    """

    def __init__(self, name: str, phases: list[Any], values: tuple[Any, ...]) -> None:
        self.name, self.phases, self.values = name, phases, values
        self.status: Array | None = None
        self.real: np.dtype[Any] | None = None
        self.written: list[Array] = []
        for spec, value in zip(contract.arguments(name), values, strict=True):
            if spec.dims is None or value is None:
                continue
            if spec.written:
                self.written.append(value)
            if spec.name == "status":
                self.status = value
            if spec.kind is None:
                self.real = value.dtype


Recording = Callable[..., Call]


def kernel(function: Callable[..., list[Any]]) -> Recording:
    """Make what records a call of what says its phases; as decorator."""

    @functools.wraps(function)
    def record(*values: Any) -> Call:
        return Call(function.__name__, function(*values), values)

    record.is_kernel = True  # type: ignore[attr-defined]
    return record
