"""Logs in files, a line for each epoch, which is in the file before the next epoch starts."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgrad.callbacks.rows import NewValues, flat
from fastgrad.io import write_atomically

if TYPE_CHECKING:
    from fastgrad.run import Run


class CSVLog:
    """A callback that writes the history to a CSV file as it comes.

    Numbers keep all their digits. A column that is new in a later epoch is added to the whole file,
    empty in the rows before.

    Parameters
    ----------
    path : path
        In a folder that exists.
    append : bool
        Whether to go on with a file that is there, instead of replacing it at the first epoch. A
        run that is resumed always goes on, after the epochs that it has done.
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        self.path = _file(path)
        self.append = bool(append)
        self._columns: list[str] | None = None  # of the file, once begun
        self._resumed = False
        self._new_values = NewValues()

    def start(self, run: Run) -> None:
        """Begin the file; of a run that is resumed, keep the epochs that it has done."""
        self._columns = None
        self._resumed = run.epoch > 0
        if self._resumed and self.path.exists():
            rows = list(_csv_rows(self.path))
            place = rows[0].index("epoch") if rows and "epoch" in rows[0] else None
            kept = [row for i, row in enumerate(rows) if i == 0 or _done(row, place, run.epoch)]
            write_atomically(self.path, "".join(map(_csv_line, kept)).encode())

    def __call__(self, run: Run) -> None:
        """Write the epoch just done."""
        row = flat(self._new_values(run.history))
        if self._columns is None:
            _begin(self.path, self.append or self._resumed)
            self._columns = next(_csv_rows(self.path), [])
        columns = self._columns + [name for name in row if name not in self._columns]
        if columns != self._columns:
            _widen(self.path, columns)
            self._columns = columns
        _add(self.path, _csv_line(row.get(name, "") for name in columns))


class JSONLog:
    """A callback that writes the history to a file of JSON lines as it comes, an object per epoch.

    Numbers that are not finite, which JSON does not have, are null.

    Parameters
    ----------
    path : path
        In a folder that exists.
    append : bool
        Whether to go on with a file that is there, instead of replacing it at the first epoch. A
        run that is resumed always goes on, after the epochs that it has done.
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        self.path = _file(path)
        self.append = bool(append)
        self._begun = self._resumed = False
        self._new_values = NewValues()

    def start(self, run: Run) -> None:
        """Begin the file; of a run that is resumed, keep the epochs that it has done."""
        self._begun = False
        self._resumed = run.epoch > 0
        if self._resumed and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _epoch_of(line) <= run.epoch]
            write_atomically(self.path, "".join(f"{line}\n" for line in kept).encode())

    def __call__(self, run: Run) -> None:
        """Write the epoch just done."""
        row = {name: _finite(value) for name, value in self._new_values(run.history).items()}
        line = json.dumps(row, allow_nan=False, default=str)
        if not self._begun:
            _begin(self.path, self.append or self._resumed)
            self._begun = True
        _add(self.path, f"{line}\n")


def _file(path: Any) -> Path:
    """A path to write to, so that a wrong one is found before training."""
    found = Path(path)
    if found.is_dir():
        raise IsADirectoryError(f"{path} is a folder, needs to be a file")
    if not found.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {found.parent} to write {found.name} in")
    return found


def _begin(path: Path, append: bool) -> None:
    """Empty the file, or end a last line that somebody left without an end."""
    with open(path, "a+b" if append else "wb") as file:
        if append and file.tell():
            file.seek(-1, io.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")


def _done(row: list[str], place: int | None, epoch: int) -> bool:
    """Whether a row of a CSV file is of an epoch up to this one."""
    try:
        return place is None or int(row[place]) <= epoch
    except (IndexError, ValueError):  # half a line
        return False


def _epoch_of(line: str) -> float:
    """The epoch of a JSON line, infinite for half a line."""
    try:
        return float(json.loads(line).get("epoch", 0))
    except (AttributeError, TypeError, ValueError):
        return math.inf


def _add(path: Path, line: str) -> None:
    """Add a line in one write, so that a process that is killed leaves whole lines."""
    with open(path, "ab") as file:
        file.write(line.encode())


def _csv_line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.reader(file)


def _widen(path: Path, columns: list[str]) -> None:
    """Write a CSV file again with more columns on the right."""
    rows = list(_csv_rows(path))[1:]
    padded = [columns, *(row + [""] * (len(columns) - len(row)) for row in rows)]
    write_atomically(path, "".join(map(_csv_line, padded)).encode())


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
