"""Two windows of rows in memory: one is used while the other is read from files."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from io import FileIO
from typing import Any, TypeAlias

import numpy as np

from fastgrad import checks, padding
from fastgrad.arena import Array, aligned
from fastgrad.data.file_rows import FileRows, Runs

__all__ = ["Convert", "Window", "Windows", "parts", "without_padding"]

_SEQUENCES = 256  # whose steps are copied at a time

Window: TypeAlias = tuple[Array, Array | None]
"""Inputs and targets of the same rows."""

Convert: TypeAlias = Callable[[Array], Array]
"""Checks the targets of some rows, and makes of them what a loss takes."""


class Windows:
    """Reads files window by window, in memory that does not grow with them.

    Parameters
    ----------
    rows : FileRows
    dtype : float32, float64 or int64
        Of inputs in memory.
    batch_size : int
        All windows but the last have a multiple of so many rows.
    convert : callable, optional
        As `Convert`; without it targets are not read.
    indices : int, optional
        Inputs are indices below it.
    lengths : int64 (N,), optional
        Of sequences in the files; what lies behind them becomes 0.
    """

    def __init__(
        self,
        rows: FileRows,
        dtype: Any,
        batch_size: int,
        convert: Convert | None = None,
        indices: int | None = None,
        lengths: Array | None = None,
    ) -> None:
        self.rows = rows
        self._convert = convert
        self._indices = indices
        self._lengths = lengths
        self._files = [rows.X]
        shapes = [(rows.shape[1:], np.dtype(dtype))]
        if convert is not None:
            assert rows.y is not None
            self._files.append(rows.y)
            # targets of zeros are good ones for every loss
            sample = convert(np.zeros((1, *rows.y.shape[1:]), rows.y.dtype))
            shapes.append((sample.shape[1:], sample.dtype))
        row_bytes = sum(math.prod(shape) * kind.itemsize for shape, kind in shapes)
        self._block = rows.block_rows(row_bytes)
        self.length = rows.window_rows(row_bytes, batch_size)
        self._slots = [
            [aligned((self.length, *shape), kind) for shape, kind in shapes]
            for _ in range(1 if self.length == len(rows) else 2)
        ]
        longest = min(self._block, self.length)
        # a block as it is in its file, where it cannot be read to where it is needed
        self._raw = [
            None
            if file is rows.X and file.dtype == dtype
            else aligned((longest, *file.shape[1:]), file.dtype)
            for file in self._files
        ]

    @property
    def nbytes(self) -> int:
        """Memory of all buffers."""
        arrays = [array for slot in self._slots for array in slot]
        return sum(array.nbytes for array in (*arrays, *self._raw) if array is not None)

    def read(self, rng: np.random.Generator | None) -> Generator[Window, None, None]:
        """All rows once, window by window, each of which is overwritten by the next but one.

        Parameters
        ----------
        rng : numpy.random.Generator, optional
            Draws the order of blocks; without one it is that of the files.

        Raises
        ------
        ValueError
            With the number of the row, where an input or a target is not what it must be. To be
            used under `contextlib.closing`, so that no reading goes on when its user has failed.
        """
        from concurrent.futures import ThreadPoolExecutor  # slow to import

        with ExitStack() as stack:
            opened = [stack.enter_context(file.open()) for file in self._files]
            pool = stack.enter_context(ThreadPoolExecutor(1, "fastgrad-read"))
            windows = self.rows.windows(self._block, self.length, rng)
            slot = 0
            reading = pool.submit(self._fill, opened, self._slots[slot], next(windows))
            for runs in windows:
                window = reading.result()
                slot = 1 - slot
                reading = pool.submit(self._fill, opened, self._slots[slot], runs)
                yield window
            yield reading.result()

    def _fill(self, opened: list[FileIO], slot: list[Array], runs: Runs) -> Window:
        filled = 0
        for start, count in runs:
            part = slice(filled, filled + count)
            self._read_inputs(opened[0], start, slot[0][part])
            if self._convert is not None:
                self._read_targets(opened[1], start, slot[1][part])
            filled += count
        return slot[0][:filled], slot[1][:filled] if self._convert is not None else None

    def _read_inputs(self, opened: FileIO, start: int, out: Array) -> None:
        file, raw = self.rows.X, self._raw[0]
        if raw is None:
            file.read(opened, start, out)
        else:
            raw = raw[: len(out)]
            file.read(opened, start, raw)
            with np.errstate(over="ignore"):  # float64 beyond float32 is inf, and refused as such
                out[...] = raw
        if self._lengths is not None:
            out[padding.mask(out.shape[1], self._lengths[start : start + len(out)])] = 0
        if self._indices is None:
            checks.finite("X", out, start)
        else:
            checks.index_range("X", out, self._indices, start)

    def _read_targets(self, opened: FileIO, start: int, out: Array) -> None:
        file, raw = self._files[1], self._raw[1]
        assert raw is not None
        assert self._convert is not None
        raw = raw[: len(out)]
        file.read(opened, start, raw)
        checks.finite("y", raw, start)
        try:
            out[...] = self._convert(raw)
        except ValueError as why:
            last = start + len(out) - 1
            raise ValueError(f"{why}, in rows {start} to {last} of {file.path}") from None


def without_padding(windows: Iterator[Array], lengths: Array) -> Iterator[Array]:
    """The steps of sequences (N, T, F) that count, (steps, F), some sequences at a time."""
    done = 0
    for window in windows:
        for start in range(0, len(window), _SEQUENCES):
            part = window[start : start + _SEQUENCES]
            own = lengths[done : done + len(part)]
            yield part[~padding.mask(part.shape[1], own)]
            done += len(part)


@contextmanager
def parts(
    X: Array | FileRows,
    dtype: Any,
    batch_size: int,
    indices: int | None = None,
    lengths: Array | None = None,
) -> Iterator[tuple[int, Iterator[Array]]]:
    """How many rows there are, and the rows in their order: an array at once, files by windows."""
    if not isinstance(X, FileRows):
        yield len(X), iter([X])
        return
    source = Windows(X, dtype, batch_size, indices=indices, lengths=lengths)
    with closing(source.read(None)) as windows:
        yield len(X), (window for window, _ in windows)
