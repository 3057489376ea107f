"""Data frames and their columns as arrays, whatever library they are of.

No library is imported: a column is anything with ``to_numpy``, a frame has ``columns`` as well, or
offers the interchange protocol (``__dataframe__``); both become arrays as NumPy makes them.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from fastgrad.arena import Array


def is_frame(value: Any) -> bool:
    """Whether it is a frame or a column of one."""
    return hasattr(value, "to_numpy") or hasattr(value, "__dataframe__")


def to_array(name: str, value: Any) -> Array:
    """The numbers of a frame, (rows, columns), or of a column, (rows,).

    Not copied where the frame has them as one array already. Raises ValueError for a missing value
    or a repeated column name, TypeError for what is no number, with column and row.
    """
    labels = _labels(value)
    if labels is None:
        label = getattr(value, "name", None)
        return _numbers(name if label is None else f"{name} {label!r}", value)
    repeated = {label for label in labels if labels.count(label) > 1}
    if repeated:
        raise ValueError(f"{name} has several columns of the name {repeated.pop()!r}")
    columns = [_numbers(f"{name} column {label!r}", value[label]) for label in labels]
    if len({column.dtype for column in columns}) == 1:
        whole = np.asarray(value)
        if whole.dtype == columns[0].dtype:
            return whole
    return np.stack(columns, axis=1) if columns else np.empty((len(value), 0))


def _labels(value: Any) -> list[Any] | None:
    if hasattr(value, "to_numpy"):
        return list(value.columns) if hasattr(value, "columns") else None
    return list(value.__dataframe__().column_names())


def _numbers(what: str, column: Any) -> Array:
    """A column as numbers; those that are objects become what NumPy makes of a list of them."""
    found = np.asarray(column)
    if found.dtype.kind not in "fiub":
        cells = enumerate(found.astype(object))
        found = np.array([_number(what, row, cell) for row, cell in cells])
    elif found.dtype.kind == "f" and (missing := np.isnan(found)).any():
        raise _missing(what, int(missing.argmax()))
    return found


def _number(what: str, row: int, cell: Any) -> Any:
    # pandas' NA can be compared with nothing, and is known by its type alone
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        raise _missing(what, row)
    if not isinstance(cell, (Real, np.bool_)):
        raise TypeError(f"{what} must hold numbers, got {cell!r} at row {row}")
    if cell != cell:
        raise _missing(what, row)
    return cell


def _missing(what: str, row: int) -> ValueError:
    return ValueError(f"{what} has no value at row {row}; drop such rows, or fill them in")
