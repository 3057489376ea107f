"""What the initializers demand of their arguments, shapes and values."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


def dims_of(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple of integers, none negative."""
    try:
        dims = tuple(operator.index(length) for length in shape)
    except TypeError:
        raise TypeError(f"shape: expected a sequence of integers, got {shape!r}") from None
    if any(length < 0 for length in dims):
        raise ValueError(f"shape: expected no negative length, got {dims}")
    return dims


def number(name: str, value: Any, minimum: float = -math.inf) -> float:
    """A finite number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    found = float(value)
    if not (math.isfinite(found) and found >= minimum):
        bound = "" if minimum == -math.inf else f" of at least {minimum}"
        raise ValueError(f"{name}: expected a finite number{bound}, got {value!r}")
    return found


def rounded(values: Array, dtype: npt.DTypeLike, name: str) -> Array:
    """The float64 values as a new array of `dtype`, all of them finite in it."""
    target = np.dtype(dtype)
    if target not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype: expected float32 or float64, got {target}")
    with np.errstate(over="ignore"):
        result = np.array(values, dtype=target, order="C")
    if not np.isfinite(result).all():
        raise ValueError(f"{name}: expected values that are finite as {target}")
    return result


def unknown(what: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is none of those known."""
    return ValueError(f"{what}: expected one of {', '.join(sorted(known))}, got {name!r}")
