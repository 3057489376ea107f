"""How one column of a table becomes inputs of a network, numeric or text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad.data.table import Table, parse_number

__all__ = [
    "Column",
    "NumericColumn",
    "Scaling",
    "TextColumn",
    "fit_column",
    "is_numeric",
    "numbers",
    "positions",
    "sorted_categories",
    "standardized",
]

_MOST_CATEGORIES = 256
"""More distinct texts than this are names or identifiers, from which nothing generalizes."""


@dataclass(frozen=True)
class Scaling:
    """The shift and the scale that give a column's training values mean 0 and deviation 1.

    Attributes
    ----------
    mean : float
        The mean of the values fitted.
    deviation : float
        Their standard deviation, or 0 where they are all equal.
    """

    mean: float
    deviation: float

    @classmethod
    def fit(cls, name: str, values: NDArray[np.float64]) -> Scaling:
        """Fit to the values of column `name`, shape (rows,).

        Raises
        ------
        ValueError
            If the values are too large for their deviation to be a float64.
        """
        if values.min() == values.max():  # computed, their deviation could be a rounding error
            return cls(float(values[0]), 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, deviation = float(values.mean()), float(values.std())
        if not np.isfinite([mean, deviation]).all():
            raise ValueError(
                f"column {name!r}: values from {values.min():g} to {values.max():g}"
                " are too large to standardize"
            )
        return cls(mean, deviation)

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardize values; where all values fitted were equal, the result is 0."""
        # A network fitted without variation has not learnt what a variation means.
        if self.deviation == 0:
            return np.zeros_like(values)
        with np.errstate(over="ignore"):
            return (values - self.mean) / self.deviation

    def invert(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map standardized values back to the column's own units."""
        return values.astype(np.float64) * self.deviation + self.mean


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers, which is one standardized input."""

    name: str
    scaling: Scaling

    @property
    def width(self) -> int:
        """The number of inputs that the column becomes."""
        return 1

    def encode(self, table: Table) -> NDArray[np.float32]:
        """Return the column standardized, shape (rows, 1).

        Raises
        ------
        ValueError
            If a cell is not a finite number, or is too far from the values fitted for
            float32: the message names the column, the cell and its line.
        """
        return standardized(table, self.name, self.scaling)


@dataclass(frozen=True)
class TextColumn:
    """A column of categories, each of which is one input: 1 in its rows and else 0."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of inputs that the column becomes."""
        return len(self.categories)

    def encode(self, table: Table) -> NDArray[np.float32]:
        """Return the column one-hot, shape (rows, categories).

        Raises
        ------
        ValueError
            If a cell is none of the categories: the message names the column, the cell
            and its line.
        """
        one_hot = np.eye(self.width, dtype=np.float32)
        return one_hot[positions(table, self.name, table.column(self.name), self.categories)]


Column = NumericColumn | TextColumn


def fit_column(table: Table, name: str, rows: NDArray[np.intp]) -> Column:
    """Fit one column: its kind and categories to the whole table, its scaling to `rows`.

    Raises
    ------
    ValueError
        If a number is not finite, or if there are more than 256 distinct texts.
    """
    if is_numeric(table, name):
        return NumericColumn(name, Scaling.fit(name, numbers(table, name)[rows]))
    return TextColumn(name, sorted_categories(table, name))


def is_numeric(table: Table, name: str) -> bool:
    """Tell whether every cell of a column is a number."""
    return all(parse_number(cell) is not None for cell in table.column(name))


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, shape (rows,).

    Raises
    ------
    ValueError
        If a cell is not a finite number: the message names the column, the cell and its
        line.
    """
    parsed = [parse_number(cell) for cell in table.column(name)]
    values = np.array([np.nan if value is None else value for value in parsed])
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise ValueError(f"{_place(table, name, int(wrong[0]))} is not a finite number")
    return values


def standardized(table: Table, name: str, scaling: Scaling) -> NDArray[np.float32]:
    """Return a column of numbers standardized, shape (rows, 1).

    Raises
    ------
    ValueError
        If a cell is not a finite number, or is too far from the values fitted for
        float32: the message names the column, the cell and its line.
    """
    scaled = scaling.apply(numbers(table, name))
    far = np.flatnonzero(np.abs(scaled) > np.finfo(np.float32).max)
    if far.size:
        raise ValueError(
            f"{_place(table, name, int(far[0]))} is too far from the values trained on,"
            f" whose mean is {scaling.mean:g} and deviation {scaling.deviation:g}"
        )
    return scaled.astype(np.float32)[:, np.newaxis]


def sorted_categories(table: Table, name: str) -> tuple[str, ...]:
    """Return the distinct texts of a column, sorted.

    Raises
    ------
    ValueError
        If there are more than 256: the message names the first cell that keeps the
        column from being numeric.
    """
    cells = table.column(name)
    categories = tuple(sorted(set(cells)))
    if len(categories) > _MOST_CATEGORIES:
        first = next(row for row, cell in enumerate(cells) if parse_number(cell) is None)
        raise ValueError(
            f"{table.source}: column {name!r} is text with {len(categories)} distinct values,"
            f" and at most {_MOST_CATEGORIES} can be learnt; remove the column or, if it should"
            f" hold numbers, correct {cells[first]!r} on line {table.lines[first]}"
        )
    return categories


def positions(
    table: Table, name: str, labels: Sequence[str], categories: Sequence[str]
) -> NDArray[np.int64]:
    """Return the position of each row's label among the categories, shape (rows,).

    Raises
    ------
    ValueError
        If a label, made from a cell of the column, is none of the categories: the
        message names the column, the cell and its line.
    """
    index = {category: position for position, category in enumerate(categories)}
    for row, label in enumerate(labels):
        if label not in index:
            raise ValueError(
                f"{_place(table, name, row)} is none of the {len(categories)} values trained on"
            )
    return np.array([index[label] for label in labels], dtype=np.int64)


def _place(table: Table, name: str, row: int) -> str:
    cell, line = table.columns[name][row], table.lines[row]
    return f"{table.source}: column {name!r}: {cell!r} on line {line}"
