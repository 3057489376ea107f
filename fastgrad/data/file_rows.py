"""Rows that stay in files: what is trained on in windows, while the next window is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from fastgrad import checks
from fastgrad.data.array_file import ArrayFile

__all__ = ["FileRows", "Runs"]

Runs: TypeAlias = list[tuple[int, int]]
"""Runs of consecutive rows: the first one, and how many."""


class FileRows:
    """Rows and their targets in files that may be larger than memory.

    `Trainer.epoch` and `fit` read blocks of consecutive rows in random order into a window, and
    train on all rows of the window in random order while the next one is read. Every row comes
    once in an epoch. The less the rows of a block have in common, the more this is like shuffling
    them all: files sorted by class need many small blocks in a window.

    Parameters
    ----------
    X : path or numpy.memmap
        A ``.npy`` file in C order with any real numbers, (N, inputs) or (N, T, inputs); for a model
        of indices, any integers (N,) or (N, T). Of a memmap only its place in its file is used:
        nothing is read through a mapping.
    y : path or numpy.memmap, optional
        Targets in the same order, as the loss takes them; `Sequential.predict` needs none.
    block_bytes : int
        Memory of a block, its rows being of the model's dtype; never less than one row.
    window_blocks : int
        Blocks in a window. Two windows are in memory, and one block as it is in the file where
        its dtype is another.

    Attributes
    ----------
    shape : tuple of int
        That of X.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        For files that cannot be read as such arrays, or do not fit each other. Values are checked
        when they are read: those that are not finite, or no class, end the epoch there, and the
        model stays as the windows before have made it.
    """

    def __init__(
        self, X: Any, y: Any = None, *, block_bytes: int = 2**18, window_blocks: int = 64
    ) -> None:
        self.X = ArrayFile.find("X", X)
        self.y = None if y is None else ArrayFile.find("y", y)
        self.block_bytes = checks.count("block_bytes", block_bytes)
        self.window_blocks = checks.count("window_blocks", window_blocks)
        if self.y is not None and self.y.shape[0] != len(self):
            raise ValueError(f"y has {self.y.shape[0]} rows, needs {len(self)}, as many as X")

    @property
    def shape(self) -> tuple[int, ...]:
        """That of X."""
        return self.X.shape

    def __len__(self) -> int:
        return self.X.shape[0]

    def __repr__(self) -> str:
        targets = "" if self.y is None else f", y={self.y.path!r} {list(self.y.shape)}"
        return f"FileRows(X={self.X.path!r} {list(self.shape)} {self.X.dtype}{targets})"

    def check(self, features: int | None, indices: int | None, sequences: bool = False) -> None:
        """Raise ValueError or TypeError where a model of such inputs cannot use X."""
        if indices is None:
            checks.row_shape("X", self.shape, features, sequences, self.X.dtype)
        else:
            checks.index_kind("X", self.shape, self.X.dtype)

    def block_rows(self, row_bytes: int) -> int:
        """Rows of a block, if a row takes so many bytes in memory."""
        return max(1, self.block_bytes // row_bytes)

    def window_rows(self, row_bytes: int, batch_size: int) -> int:
        """Rows of a window: a multiple of `batch_size`, or all of them."""
        room = self.block_rows(row_bytes) * self.window_blocks
        if room < min(batch_size, len(self)):
            raise ValueError(
                f"a window of {self.window_blocks} blocks of {self.block_bytes} bytes holds {room} "
                f"rows, a step needs {batch_size}: raise window_blocks or block_bytes"
            )
        return min(room - room % batch_size, len(self)) if room >= batch_size else len(self)

    def windows(self, block: int, window: int, rng: np.random.Generator | None) -> Iterator[Runs]:
        """What to read for each window of that many rows.

        Blocks follow each other in the order that `rng` draws, or in that of the files without
        one, and are cut where a window ends.
        """
        starts = np.arange(0, len(self), block)
        if rng is not None:
            rng.shuffle(starts)
        runs: Runs = []
        room = window
        for start in map(int, starts):
            stop = min(start + block, len(self))
            while start < stop:
                count = min(stop - start, room)
                runs.append((start, count))
                start += count
                room -= count
                if not room:
                    yield runs
                    runs, room = [], window
        if runs:
            yield runs
