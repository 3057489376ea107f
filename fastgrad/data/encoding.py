"""The encoding of a table as a network's inputs and targets, which travels with the model."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgrad.data.columns import Column, fit_column
from fastgrad.data.records import (
    column_record,
    field,
    read_column,
    read_target,
    target_record,
)
from fastgrad.data.table import Table
from fastgrad.data.target import Target, fit_target

__all__ = ["Encoder"]

_FORMAT = 1
"""The version of the JSON form; a change that an older reader would misread raises it."""


@dataclass(frozen=True)
class Encoder:
    """How the columns of a table become inputs, and what the target's outputs mean.

    Attributes
    ----------
    features : tuple of NumericColumn or TextColumn
        The columns that become inputs, in order.
    target : ClassTarget or ValueTarget
        The column that the network predicts.

    Examples
    --------
    >>> table = Table("pets.csv", {"kg": ["4", "30"], "pet": ["cat", "dog"]}, [2, 3])
    >>> encoder = Encoder.fit(table, "pet")
    >>> encoder.encode(table).tolist(), encoder.target.classes
    ([[-1.0], [1.0]], ('cat', 'dog'))
    """

    features: tuple[Column, ...]
    target: Target

    @classmethod
    def fit(cls, table: Table, target: str, rows: NDArray[np.intp] | None = None) -> Encoder:
        """Decide how to encode a table, with all columns but the target as inputs.

        A column is numeric when all its cells are numbers, and text otherwise. Kinds,
        categories and classes come from the whole table, so that a category in none but
        held-out rows is known; means and deviations come from `rows` alone.

        Parameters
        ----------
        table : Table
            The data, without missing values.
        target : str
            The column to predict.
        rows : ndarray of int, shape (training rows,), optional
            The positions of the rows to train on; all of them by default.

        Returns
        -------
        Encoder
            The encoding.

        Raises
        ------
        ValueError
            If the target is not a column or is the only one, if cells are missing, if a
            number is not finite, if a text column has more than 256 distinct values, if
            the target always has the same value, or if `rows` is empty.
        """
        table.check_columns([target])
        names = [name for name in table.names if name != target]
        if not names:
            raise ValueError(f"{table.source}: no column besides the target {target!r}")
        table.check_complete()
        chosen = np.arange(len(table)) if rows is None else rows
        if not chosen.size:
            raise ValueError(f"rows must select at least one of the table's {len(table)} rows")
        features = tuple(fit_column(table, name, chosen) for name in names)
        return cls(features, fit_target(table, target, chosen))

    @property
    def width(self) -> int:
        """The number of inputs that a network needs."""
        return sum(feature.width for feature in self.features)

    def encode(self, table: Table) -> NDArray[np.float32]:
        """Return the inputs for each row, shape (rows, width).

        Columns that the encoder does not know are ignored, the target among them.

        Raises
        ------
        ValueError
            If a column is not there, if cells are missing, or if a cell does not fit its
            column: the message names the column, the cell and its line.
        """
        table.check_complete(feature.name for feature in self.features)
        return np.concatenate([feature.encode(table) for feature in self.features], axis=1)

    def encode_target(self, table: Table) -> NDArray[np.int64] | NDArray[np.float32]:
        """Return what to train on: classes, shape (rows,), or values, shape (rows, 1).

        Raises
        ------
        ValueError
            If the column is not there, if cells are missing, or if a cell is not one of
            the classes or not a number: the message names the column, the cell and its
            line.
        """
        table.check_complete([self.target.name])
        return self.target.encode(table)

    def to_json(self) -> str:
        """Return the encoder as JSON text, from which `from_json` makes an equal one."""
        record = {
            "format": _FORMAT,
            "features": [column_record(feature) for feature in self.features],
            "target": target_record(self.target),
        }
        return json.dumps(record, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        """Read an encoder back from the text that `to_json` made.

        Raises
        ------
        ValueError
            If the text is not such a record: the message says what was expected.
        """
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"encoder record: not JSON text: {error}") from None
        version = field(record, "format", int)
        if version != _FORMAT:
            raise ValueError(f"encoder record: 'format' must be {_FORMAT}, not {version}")
        features = tuple(read_column(each) for each in field(record, "features", list))
        if not features:
            raise ValueError("encoder record: 'features' must not be empty")
        return cls(features, read_target(field(record, "target", dict)))
