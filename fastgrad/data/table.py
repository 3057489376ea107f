"""Reading a CSV file into a table of text columns, with errors that say where to look."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

__all__ = ["Table", "parse_number", "read_table"]

_DELIMITERS = (",", ";", "\t")
_MISSING = frozenset({"", "na", "nan", "null", "?"})  # in lower case
_SNIFFED = 20  # records that decide which delimiter the file uses
_REPORTED = 10  # places that one error message lists before it only counts them


@dataclass(frozen=True)
class Table:
    """Columns of text cells, all of one length, and where each row was found.

    Attributes
    ----------
    source : str
        The file's path, as error messages name it.
    columns : dict of str to list of str
        The cells of each column, stripped of surrounding blanks.
    lines : list of int
        The line of the file on which each row starts; the header is on line 1.
    """

    source: str
    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        """Return the number of rows, the header not counted."""
        return len(self.lines)

    @property
    def names(self) -> list[str]:
        """The column names, in the file's order."""
        return list(self.columns)

    def column(self, name: str) -> list[str]:
        """Return the cells of one column.

        Raises
        ------
        ValueError
            If the table has no such column.
        """
        self.check_columns([name])
        return self.columns[name]

    def check_columns(self, names: Iterable[str]) -> None:
        """Check that the table has all the columns named.

        Raises
        ------
        ValueError
            If it lacks some: the message names them, and the columns that there are.
        """
        lacking = [repr(name) for name in names if name not in self.columns]
        if lacking:
            raise ValueError(
                f"{self.source}: no column {_listed(lacking)};"
                f" the columns are {_listed(map(repr, self.names))}"
            )

    def check_complete(self, names: Iterable[str] | None = None) -> None:
        """Check that no cell is missing, in the columns named or else in all of them.

        A cell is missing when it is empty or reads NA, NaN, null or ?, in any case.

        Raises
        ------
        ValueError
            If the table lacks some of the columns, or if cells are missing: the message
            counts them and gives the line and the column of the first ten.
        """
        chosen = self.names if names is None else list(names)
        self.check_columns(chosen)
        cells = {name: self.columns[name] for name in chosen}
        places = [
            f"line {line} column {name!r}"
            for row, line in enumerate(self.lines)
            for name, column in cells.items()
            if column[row].lower() in _MISSING
        ]
        if places:
            raise ValueError(
                f"{self.source}: {len(places)} missing value{'s' * (len(places) > 1)}"
                f" (fill them in or remove their rows): {_listed(places)}"
            )


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV file: UTF-8, with a header, separated by commas, semicolons or tabs.

    Blank lines are skipped. Missing values are read as they are: call
    :meth:`Table.check_complete` for the columns that must not have any.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    Table
        Its columns, as text.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, is not UTF-8 text, is empty, has a header but no
        rows, has rows whose number of cells differs from the header's, or has a header
        that leaves a column unnamed, repeats a name or holds nothing but numbers.
    """
    source = os.fspath(path)
    text = _read_text(source)
    records = [*_records(source, text, _sniff_delimiter(source, text))]
    if not records:
        raise ValueError(f"{source}: the file is empty; a header line and rows are required")
    (_, header), *rows = records
    _check_header(source, header)
    if not rows:
        raise ValueError(f"{source}: the file has a header but no rows")
    ragged = [f"line {line} has {len(cells)}" for line, cells in rows if len(cells) != len(header)]
    if ragged:
        raise ValueError(
            f"{source}: {len(ragged)} of {len(rows)} rows do not have the header's"
            f" {len(header)} cells: {_listed(ragged)}"
        )
    columns = {name: [cells[i] for _, cells in rows] for i, name in enumerate(header)}
    return Table(source, columns, [line for line, _ in rows])


def parse_number(cell: str) -> float | None:
    """Return the number that a cell holds, or None when it holds something else."""
    # float() also reads Python's digit grouping; in a data file, 1_000 is a label.
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _read_text(source: str) -> str:
    try:
        content = Path(source).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{source}: cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{source}: not UTF-8 text: byte 0x{content[error.start]:02x} at offset {error.start}"
        ) from None
    if "\0" in text:
        raise ValueError(f"{source}: not a text file: it contains NUL bytes")
    return text


def _records(source: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each record that is not blank, after the line it starts on."""
    # In strict mode a stray quote is an error; otherwise it would swallow the rows after it.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, [cell.strip() for cell in cells]
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{source}: the row on line {line} is not valid CSV: {error}") from None


def _sniff_delimiter(source: str, text: str) -> str:
    """Return the delimiter that cuts the first records into the most cells, all equally many."""

    def merit(delimiter: str) -> tuple[bool, int]:
        widths = []
        try:
            for _, cells in islice(_records(source, text, delimiter), _SNIFFED):
                widths.append(len(cells))
        except ValueError:  # invalid if cut like this, be it the right delimiter or not
            widths.append(0)
        width = widths[0] if widths else 0
        return width > 1 and set(widths) == {width}, width

    return max(_DELIMITERS, key=merit)


def _check_header(source: str, header: list[str]) -> None:
    unnamed = [str(position) for position, name in enumerate(header, start=1) if not name]
    if unnamed:
        raise ValueError(f"{source}: the header leaves column {_listed(unnamed)} without a name")
    repeated = [repr(name) for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise ValueError(f"{source}: the header repeats the column name {_listed(repeated)}")
    if all(parse_number(name) is not None for name in header):
        raise ValueError(
            f"{source}: the first line holds only numbers, where the column names should be:"
            f" {_listed(header)}"
        )


def _listed(items: Iterable[str]) -> str:
    """Join the first items with commas, and count the others."""
    every = list(items)
    rest = len(every) - _REPORTED
    return ", ".join(every[:_REPORTED]) + (f" and {rest} more" if rest > 0 else "")
