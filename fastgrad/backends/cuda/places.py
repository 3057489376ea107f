"""Where on the device the arrays of a program are, and how those of the host get there.

design: an array in managed memory stays where it is. Others are the host's alone: they are copied.

 a) Small ones, and those that calls write to, before each run, and back behind it. Those below a
    limit go through one mailbox, which the device itself empties and fills.
 b) Large ones that are only read before the first run, and again before those that find them
    changed.

Arrays that share memory are one stretch of it, and stay so.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from fastgrad.arena import ALIGNMENT, Array, fingerprint
from fastgrad.backends.cuda.managed import MANAGED
from fastgrad.backends.cuda.phase import Scratch

SMALL = 1 << 16  # bytes of a stretch that is copied at each run


@dataclass
class _Stretch:
    """Memory of the host that arrays of the program lie in."""

    start: int
    end: int
    written: bool
    device: int = 0  # address there
    copy: Array = field(default_factory=lambda: np.empty(0, np.uint8))  # what is there
    checked: int | None = None  # fingerprint of what was copied

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return self.end - self.start

    @functools.cached_property
    def host(self) -> Array:
        """Its bytes; not asked for before all that overlap are joined to it."""
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.nbytes).from_address(self.start))

    def changed(self) -> bool:
        """Whether it is not what it was when this was asked last."""
        before, self.checked = self.checked, fingerprint(self.host)
        return self.checked != before


class Places:
    """The arrays of one program.

    Parameters
    ----------
    read, written : iterable of ndarray
        Those that calls are given; arrays may occur in both.
    scratch : iterable of Scratch
    """

    def __init__(
        self, read: Iterable[Array], written: Iterable[Array], scratch: Iterable[Scratch]
    ) -> None:
        both = [(array, False) for array in read] + [(array, True) for array in written]
        host = [(a, w) for a, w in both if a.size and not MANAGED.holds(a)]
        stretches = _joined(sorted((*np.lib.array_utils.byte_bounds(a), w) for a, w in host))
        self._stretches = {s.start: s for s in stretches}
        self._starts = np.array([s.start for s in stretches], np.int64)
        self._posted = [s for s in stretches if s.nbytes <= SMALL]
        self._large = [s for s in stretches if s.nbytes > SMALL]
        self._scratch: dict[int, Array] = {}
        self._keep = list(scratch)
        for piece in self._keep:
            self._scratch[id(piece)] = MANAGED.allocate(piece.size * piece.dtype.itemsize)
        self._set_up_mailbox()
        for stretch in self._large:
            stretch.copy = MANAGED.allocate(stretch.nbytes)
            stretch.device = stretch.copy.ctypes.data

    def _set_up_mailbox(self) -> None:
        size = 0
        for stretch in self._posted:
            stretch.device = size
            size += -(-stretch.nbytes // ALIGNMENT) * ALIGNMENT
        self.mailbox = MANAGED.allocate_mapped(max(size, 8))
        self.post = MANAGED.allocate(max(size, 8))  # the device's own copy of it
        for stretch in self._posted:
            at = stretch.device
            stretch.copy = self.mailbox[at : at + stretch.nbytes]
            stretch.device += self.post.ctypes.data

    def address(self, array: Array | Scratch) -> int:
        """Where on the device it is."""
        if isinstance(array, Scratch):
            return int(self._scratch[id(array)].ctypes.data)
        start = int(array.ctypes.data)
        if not array.size or MANAGED.holds(array):
            return start
        found = int(self._starts[np.searchsorted(self._starts, start, "right") - 1])
        return self._stretches[found].device + start - found

    def in_mailbox(self, array: Array) -> Array:
        """What the device has handed back of a small array, before it is copied to the array."""
        start = array.ctypes.data
        found = int(self._starts[np.searchsorted(self._starts, start, "right") - 1])
        copy = self._stretches[found].copy[start - found : start - found + array.nbytes]
        return copy.view(array.dtype)

    def send(self) -> None:
        """Copy what the host may have changed."""
        for stretch in self._posted:
            stretch.copy[...] = stretch.host
        for stretch in self._large:
            if stretch.written or stretch.changed():
                MANAGED.write(stretch.copy, stretch.host)

    def fetch(self) -> None:
        """Copy back what calls have written."""
        for stretch in self._posted:
            if stretch.written:
                stretch.host[...] = stretch.copy
        for stretch in self._large:
            if stretch.written:
                stretch.host[...] = MANAGED.read(stretch.copy)


def _joined(intervals: list[tuple[int, int, bool]]) -> list[_Stretch]:
    found: list[_Stretch] = []
    for start, end, written in intervals:
        if found and start < found[-1].end:
            found[-1].end = max(found[-1].end, end)
            found[-1].written |= written
        else:
            found.append(_Stretch(start, end, written))
    return found
