"""Scores of predictions for a table's target, beside what is true."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastgrad.data import Encoder, Table
from fastgrad.data.columns import numbers
from fastgrad.data.target import ClassTarget

__all__ = ["baseline", "predicted", "score", "truth"]

Answers = NDArray[np.int64] | NDArray[np.float64]
"""One answer per row: the position of a class, or a value in the target's units."""


def truth(encoder: Encoder, table: Table) -> Answers:
    """Return the target column of a table, as answers.

    Raises
    ------
    ValueError
        If the column is not there, has missing cells, or has cells that are not one of
        the classes or not numbers.
    """
    target = encoder.target
    table.check_complete([target.name])
    if isinstance(target, ClassTarget):
        return target.encode(table)
    return numbers(table, target.name)


def predicted(encoder: Encoder, outputs: NDArray[np.floating]) -> Answers:
    """Return the answers that a network's outputs, shape (rows, outputs), stand for."""
    if isinstance(encoder.target, ClassTarget):
        best: NDArray[np.int64] = outputs.argmax(axis=1).astype(np.int64)
        return best
    return encoder.target.decode(outputs)


def baseline(encoder: Encoder, true: Answers) -> tuple[str, Answers]:
    """Return the best constant answer, shape (1,), for rows whose truth is given.

    Returns
    -------
    name : str
        What the answer is: the most frequent class, or the mean.
    answer : ndarray, shape (1,)
        The answer, which `score` compares with every row.
    """
    target = encoder.target
    if isinstance(target, ClassTarget):
        position = np.bincount(true.astype(np.int64)).argmax()
        return repr(target.classes[position]), np.array([position], dtype=np.int64)
    mean = true.mean()
    return f"the mean {mean:.6g}", np.array([mean], dtype=np.float64)


def score(encoder: Encoder, answers: Answers, true: Answers) -> str:
    """Describe how well answers agree with the truth, row by row or one answer with all.

    Returns
    -------
    str
        The accuracy of classes; or the root mean square error of values, in the target's
        units, and the part of their variance that the answers explain (R^2).
    """
    if encoder.target.task == "classification":
        return f"accuracy {np.mean(answers == true):.2%}"
    squares = float(np.square(answers - true).sum())
    spread = float(np.square(true - true.mean()).sum())
    explained = f"{1 - squares / spread:.4f}" if spread else "undefined, as all values are equal"
    return f"RMSE {math.sqrt(squares / len(true)):.6g}, R^2 {explained}"
