"""Where an array lies in a file, and reading some of its rows: no file is ever mapped."""

from __future__ import annotations

import math
import mmap
import os
from dataclasses import dataclass
from io import FileIO
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from fastgrad.arena import Array

__all__ = ["ArrayFile"]


@dataclass(frozen=True)
class ArrayFile:
    """A C-contiguous array in a file.

    Attributes
    ----------
    path : str
    offset : int
        Byte at which it starts.
    shape : tuple of int
        Rows first.
    dtype : numpy.dtype
        Real numbers in any byte order.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def find(cls, name: str, source: Any) -> ArrayFile:
        """The array of a ``.npy`` file, or that of a memmap; `name` is what errors call it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError, TypeError
            If it is no ``.npy`` file, shorter than it says, in Fortran order, empty, or holds
            something else than real numbers.
        """
        found = _of_memmap(name, source) if isinstance(source, np.memmap) else _of_npy(name, source)
        if found.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold real numbers, got dtype {found.dtype}")
        if min(found.shape, default=0) < 1:
            raise ValueError(
                f"{name} has shape {found.shape}, needs no axis of length 0: {found.path}"
            )
        needed = found.offset + math.prod(found.shape) * found.dtype.itemsize
        size = os.path.getsize(found.path)
        if size < needed:
            raise ValueError(
                f"{name} is cut off: {found.path} has {size} bytes, needs {needed} for shape "
                f"{found.shape} of {found.dtype}"
            )
        return found

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def open(self) -> FileIO:
        """The file, unbuffered."""
        return FileIO(self.path)

    def read(self, file: FileIO, start: int, out: Array) -> None:
        """Read ``len(out)`` rows from row `start` on into a C-contiguous array of this dtype."""
        file.seek(self.offset + start * self.row_bytes)
        rest = out.reshape(-1).view(np.uint8).data
        while rest:
            count = file.readinto(rest)
            if not count:
                size = os.fstat(file.fileno()).st_size
                raise ValueError(f"{self.path} has been cut to {size} bytes since it was opened")
            rest = rest[count:]


def _of_npy(name: str, source: Any) -> ArrayFile:
    try:
        path = os.fspath(source)
    except TypeError:
        what = type(source).__name__
        raise TypeError(f"{name} must be the path of a .npy file or a memmap, got {what}") from None
    with open(path, "rb") as file:
        try:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except (ValueError, TokenError) as why:  # the latter for a bracket without its other one
            raise ValueError(f"{name} is no .npy file: {path}: {why}") from None
        if fortran and len(shape) > 1:
            raise ValueError(
                f"{name} is in Fortran order in {path}; save numpy.ascontiguousarray of it"
            )
        return ArrayFile(path, file.tell(), shape, dtype)


def _of_memmap(name: str, array: np.memmap[Any, Any]) -> ArrayFile:
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous, got strides {array.strides}")
    if array.mode == "c":
        raise ValueError(f"{name} is a memmap of mode 'c', whose changes are in no file")
    if array.filename is None:
        raise ValueError(f"{name} is a memmap of a file without a name; give the path")
    mapping: Any = array
    while not isinstance(mapping, mmap.mmap):
        mapping = mapping.base
    # a part of a memmap gives the offset of the whole: where it is in memory says more
    mapped = np.frombuffer(mapping, np.uint8)
    start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    offset = start + array.ctypes.data - mapped.ctypes.data
    return ArrayFile(os.fspath(array.filename), offset, array.shape, array.dtype)
