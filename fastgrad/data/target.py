"""What a network trained on a table predicts: a class or a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fastgrad.data.columns import (
    Scaling,
    is_numeric,
    numbers,
    positions,
    sorted_categories,
    standardized,
)
from fastgrad.data.table import Table, parse_number

__all__ = ["ClassTarget", "Target", "ValueTarget", "fit_target"]

_MOST_INTEGER_CLASSES = 20
"""With more distinct values than this, a column of integers is one of quantities."""


@dataclass(frozen=True)
class ClassTarget:
    """A target whose values are classes, predicted as one logit for each.

    Attributes
    ----------
    name : str
        The column.
    classes : tuple of str
        The labels, in the order of the logits.
    integer : bool
        Whether the labels are integers, so that a cell 2.0 is the label 2.
    """

    task: ClassVar[Literal["classification"]] = "classification"

    name: str
    classes: tuple[str, ...]
    integer: bool

    @property
    def width(self) -> int:
        """The number of outputs that a network needs."""
        return len(self.classes)

    def encode(self, table: Table) -> NDArray[np.int64]:
        """Return the class of each row as its position in `classes`, shape (rows,).

        Raises
        ------
        ValueError
            If a cell is not one of the classes: the message names the column, the cell
            and its line.
        """
        cells = table.column(self.name)
        labels = [_integer_label(cell) or cell for cell in cells] if self.integer else cells
        return positions(table, self.name, labels, self.classes)

    def decode(self, logits: NDArray[np.floating]) -> tuple[list[str], NDArray[np.float64]]:
        """Return each row's most probable class and its probability.

        Parameters
        ----------
        logits : ndarray, shape (rows, classes)
            The network's outputs.

        Returns
        -------
        labels : list of str
            The labels of the most probable classes.
        probabilities : ndarray of float64, shape (rows,)
            Their probabilities by the softmax of the logits.
        """
        best = logits.argmax(axis=1)
        # The largest logit is subtracted, so its own term is 1 and nothing overflows.
        terms = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        return [self.classes[position] for position in best], 1 / terms.sum(axis=1)


@dataclass(frozen=True)
class ValueTarget:
    """A target whose values are quantities, predicted as one standardized output."""

    task: ClassVar[Literal["regression"]] = "regression"

    name: str
    scaling: Scaling

    @property
    def width(self) -> int:
        """The number of outputs that a network needs."""
        return 1

    def encode(self, table: Table) -> NDArray[np.float32]:
        """Return the standardized values, shape (rows, 1).

        Raises
        ------
        ValueError
            If a cell is not a finite number, or is too far from the values fitted for
            float32: the message names the column, the cell and its line.
        """
        return standardized(table, self.name, self.scaling)

    def decode(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map outputs, shape (rows, 1), to values in the target's units, shape (rows,)."""
        return self.scaling.invert(outputs[:, 0])


Target = ClassTarget | ValueTarget


def fit_target(table: Table, name: str, rows: NDArray[np.intp]) -> Target:
    """Decide what the target column holds; its classes come from the whole table.

    Text is classes. So are integers with at most 20 distinct values that are fewer than
    half of the rows. Any other numbers are quantities, whose scaling is fitted to `rows`.

    Raises
    ------
    ValueError
        If a number is not finite, if there are more than 256 distinct texts, or if the
        column always holds the same value.
    """
    if not is_numeric(table, name):
        target: Target = ClassTarget(name, sorted_categories(table, name), integer=False)
    elif (classes := _integer_classes(table, name)) is not None:
        target = ClassTarget(name, classes, integer=True)
    else:
        target = ValueTarget(name, Scaling.fit(name, numbers(table, name)[rows]))
    if isinstance(target, ClassTarget):
        constant = target.width == 1
    else:
        constant = target.scaling.deviation == 0
    if constant:
        value = table.column(name)[rows[0]]
        raise ValueError(
            f"{table.source}: column {name!r} is {value!r} in every row to train on,"
            " so there is nothing to predict"
        )
    return target


def _integer_classes(table: Table, name: str) -> tuple[str, ...] | None:
    """Return the labels of a column of few integers in order, or None for any other."""
    labels = set()
    for cell in table.column(name):
        label = _integer_label(cell)
        if label is None:
            return None
        labels.add(label)
    few = len(labels) <= _MOST_INTEGER_CLASSES and 2 * len(labels) < len(table)
    return tuple(sorted(labels, key=int)) if few else None


def _integer_label(cell: str) -> str | None:
    """Return the one spelling of the integer in a cell, or None if there is none."""
    value = parse_number(cell)
    if value is None or not value.is_integer():
        return None
    try:
        return str(int(cell))  # exact, where a float would round beyond 2**53
    except ValueError:
        return str(int(value))
