"""Memory that host and device both see at the same address, and that moves to who uses it.

Every array of `arena.aligned` lies there while this backend is in use: parameters, gradients, the
state of the optimizer and what is between layers. Nothing is copied but the pages that the host
looks at, or changes, and those only once.
"""

from __future__ import annotations

import bisect
import sys
import weakref
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda.target import SIMULATED, cuda


class Managed:
    """The allocations, and what of the host's memory they are."""

    def __init__(self) -> None:
        self.nbytes = 0
        # by address; each change is one call, since arrays go in any thread and, as garbage,
        # between any two steps of this one, which no lock keeps them from
        self._spans: list[tuple[int, int]] = []

    def allocate(self, nbytes: int) -> Array:
        """So many bytes, which go when nothing looks into them any more.

        Raises
        ------
        MemoryError
            Naming the bytes asked for, and those that are free.
        """
        nbytes = max(nbytes, 1)
        raw = _on_device(nbytes, self.nbytes)
        return self._note(raw, nbytes)

    def allocate_mapped(self, nbytes: int) -> Array:
        """Memory of the host that stays there, and that the device reads and writes from afar."""
        if SIMULATED:
            return self._note(np.empty(nbytes, np.uint8), 0)
        return self._note(np.asarray(cuda.mapped_array(nbytes, np.uint8)).view(np.ndarray), 0)

    def write(self, array: Array, values: Any) -> None:
        """Copy values into an array; into managed memory without faults of pages on the way."""
        if SIMULATED or not array.flags.c_contiguous or not self.holds(array):
            array[...] = values
            return
        from fastgrad.backends.cuda.driver import copy_to

        given = np.ascontiguousarray(np.broadcast_to(values, array.shape), array.dtype)
        copy_to(array, given)

    def read(self, array: Array) -> Array:
        """A copy of an array, for the host."""
        if SIMULATED or not array.flags.c_contiguous or not self.holds(array):
            return array.copy()
        from fastgrad.backends.cuda.driver import copy_from

        return copy_from(array)

    def _note(self, raw: Array, used: int) -> Array:
        start = int(raw.ctypes.data)
        span = start, start + raw.nbytes
        self.nbytes += used
        bisect.insort(self._spans, span)
        owner = raw  # which all views of it keep, as NumPy leaves out those in between
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        weakref.finalize(owner, self._forget, span, used)
        return raw

    def _forget(self, span: tuple[int, int], used: int) -> None:
        self.nbytes -= used
        self._spans.remove(span)

    def holds(self, array: Array) -> bool:
        """Whether the device can use this array where it is."""
        start, spans = int(array.ctypes.data), tuple(self._spans)
        i = bisect.bisect_right(spans, (start, sys.maxsize)) - 1
        return i >= 0 and start + array.nbytes <= spans[i][1]


MANAGED = Managed()


def available(used: int) -> int:
    """Bytes of the GPU that are left, where this backend has so many."""
    if SIMULATED:
        return 1 << 40
    # the driver would give more than there is, and move pages to and fro at every step
    free, total = cuda.current_context().get_memory_info()
    return int(min(free, total - used))


def _on_device(nbytes: int, used: int) -> Array:
    room = available(used)
    if nbytes > room and not SIMULATED:
        # numba-cuda frees what has gone only now and then: up to a fifth of the GPU's memory waits
        cuda.current_context().deallocations.clear()
        room = available(used)
    text = f"{nbytes:,} bytes are asked for, of the GPU's memory {room:,} are free"
    if nbytes > room:
        raise MemoryError(text)
    if SIMULATED:
        return np.empty(nbytes, np.uint8)
    try:
        found = cuda.managed_array(nbytes, np.uint8)
    except Exception as error:  # of numba-cuda's own class
        raise MemoryError(f"{text}: {error}") from error
    return np.asarray(found).view(np.ndarray)
