"""The JSON records of encoded columns, checked when read: a model file may be damaged."""

from __future__ import annotations

import math
from typing import TypeVar

from fastgrad.data.columns import Column, NumericColumn, Scaling, TextColumn
from fastgrad.data.target import ClassTarget, Target, ValueTarget

__all__ = ["column_record", "field", "read_column", "read_target", "target_record"]

Record = dict[str, object]
_T = TypeVar("_T")


def column_record(column: Column) -> Record:
    """Return the record of an input column."""
    if isinstance(column, NumericColumn):
        return {"kind": "numeric", "name": column.name, **_scaling_record(column.scaling)}
    return {"kind": "text", "name": column.name, "categories": list(column.categories)}


def read_column(record: object) -> Column:
    """Return the input column that a record describes.

    Raises
    ------
    ValueError
        If the record describes none: the message names the field at fault.
    """
    kind = field(record, "kind", str)
    name = field(record, "name", str)
    if kind == "numeric":
        return NumericColumn(name, _read_scaling(record))
    if kind == "text":
        return TextColumn(name, _read_texts(record, "categories"))
    raise ValueError(f"encoder record: 'kind' must be 'numeric' or 'text', not {kind!r}")


def target_record(target: Target) -> Record:
    """Return the record of a target."""
    if isinstance(target, ClassTarget):
        return {
            "kind": "classes",
            "name": target.name,
            "classes": list(target.classes),
            "integer": target.integer,
        }
    return {"kind": "values", "name": target.name, **_scaling_record(target.scaling)}


def read_target(record: object) -> Target:
    """Return the target that a record describes.

    Raises
    ------
    ValueError
        If the record describes none: the message names the field at fault.
    """
    kind = field(record, "kind", str)
    name = field(record, "name", str)
    if kind == "classes":
        return ClassTarget(name, _read_texts(record, "classes"), field(record, "integer", bool))
    if kind == "values":
        return ValueTarget(name, _read_scaling(record))
    raise ValueError(f"encoder record: 'kind' must be 'classes' or 'values', not {kind!r}")


def field(record: object, name: str, kind: type[_T]) -> _T:
    """Return one field of a record.

    Raises
    ------
    ValueError
        If the record is no JSON object, or has no such field of type `kind`.
    """
    if not isinstance(record, dict):
        raise ValueError(f"encoder record: expected an object, got {record!r}")
    value = record.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"encoder record: {name!r} must be of type {kind.__name__}, not {value!r}")
    return value


def _scaling_record(scaling: Scaling) -> Record:
    return {"mean": scaling.mean, "deviation": scaling.deviation}


def _read_scaling(record: object) -> Scaling:
    mean, deviation = field(record, "mean", float), field(record, "deviation", float)
    if not (math.isfinite(mean) and 0 <= deviation < math.inf):
        raise ValueError(
            "encoder record: 'mean' must be finite and 'deviation' finite and not negative,"
            f" not {mean} and {deviation}"
        )
    return Scaling(mean, deviation)


def _read_texts(record: object, name: str) -> tuple[str, ...]:
    texts = field(record, name, list)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"encoder record: {name!r} must be a list of texts, not {texts!r}")
    return tuple(texts)
