"""What users hand in, checked at the door: errors name the argument, what it is, what it needs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from fastgrad import frames, padding
from fastgrad.arena import Array


def dtype(value: Any) -> np.dtype[Any]:
    """float32 or float64."""
    try:
        found: np.dtype[Any] = np.dtype(value)
    except (TypeError, ValueError, SyntaxError):  # the last for ','
        raise TypeError(f"dtype must be float32 or float64, got {value!r}") from None
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {found}")
    return found


def layers(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """At least one layer, none of them twice; a Sequential becomes a chain, which is a layer."""
    from fastgrad.containers import Chain
    from fastgrad.layers import Layer
    from fastgrad.model import Sequential

    if not values:
        raise ValueError("Sequential needs at least one layer")
    for i, layer in enumerate(values):
        if not isinstance(layer, (Layer, Sequential)):
            raise TypeError(f"layer {i} must be a fastgrad.Layer, got {layer!r}")
        if any(layer is other for other in values[:i]):
            raise ValueError(f"layer {i} is given twice; each position needs a layer of its own")
    return tuple(
        Chain(*layer.layers, values=layer.values()) if isinstance(layer, Sequential) else layer
        for layer in values
    )


def count(name: str, value: Any, minimum: int = 1) -> int:
    """An integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def shape(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of integers of at least 1."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of integers, got {value!r}")
    for axis in value:
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{name} must be integers alone, got {value!r}")
        if axis < 1:
            raise ValueError(f"{name} must be at least 1 along each axis, got {value!r}")
    return tuple(map(int, value))


def number(
    name: str,
    value: Any,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite number between `low` and `high`, the ends allowed unless open."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    too_low = value <= low if open_low else value < low
    too_high = value >= high if open_high else value > high
    if not np.isfinite(value) or too_low or too_high:
        start = "(" if open_low or low == -np.inf else "["
        end = ")" if open_high or high == np.inf else "]"
        raise ValueError(f"{name} must lie in {start}{low:g}, {high:g}{end}, got {value}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def generator(rng: Any) -> np.random.Generator:
    """The generator, or one with that seed."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as why:
        what = f"rng must be a seed or a numpy.random.Generator, got {rng!r}: {why}"
        raise type(why)(what) from None


def seed_of(generator: np.random.Generator) -> int:
    """A number for dropout and its like, from a copy: the generator goes on as if unasked."""
    return int(copy.deepcopy(generator).integers(2**63))


def real_array(name: str, value: Any) -> Array:
    """An array of real numbers, as it is; a data frame as its numbers."""
    if value is None:
        raise TypeError(f"{name} is missing: it must be an array of real numbers, got None")
    if not isinstance(value, np.ndarray) and frames.is_frame(value):
        value = frames.to_array(name, value)
    try:
        found = np.asarray(value)
    except ValueError as why:
        raise ValueError(f"{name} is not an array: {why}") from None
    if found.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {found.dtype}")
    return found


def finite(name: str, values: Array, first: int = 0) -> None:
    """Raise ValueError with the place of the first value that is not finite.

    `first` is the number of the first row, where the values are part of more.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.add.reduce(values, axis=None, dtype=np.float64)):
            return  # no mask as large as the data
    good = np.isfinite(values)
    if not good.all():
        found = tuple(int(i) for i in np.argwhere(~good)[0])
        place = (first + found[0], *found[1:])
        what = ", ".join(f"{n} {i}" for n, i in zip(("row", "column"), place, strict=False))
        if len(place) > 2:
            what = f"index {place}"
        bad = int(good.size - good.sum())
        raise ValueError(
            f"{name} has {bad} values that are not finite; the first is {values[found]} at {what}"
        )


def array(name: str, value: Any, shape: tuple[int, ...], kind: Any) -> Array:
    """Real numbers of exactly that shape, as a C-contiguous array of dtype `kind`."""
    found = real_array(name, value)
    if found.shape != shape:
        raise ValueError(f"{name} has shape {found.shape}, needs {shape}")
    return _as(kind, found)


def _as(kind: Any, values: Array) -> Array:
    with np.errstate(over="ignore"):  # float64 beyond float32 is inf, and refused as such
        return np.ascontiguousarray(values, kind)


def row_shape(
    name: str,
    shape: tuple[int, ...],
    features: int | None,
    sequences: bool = False,
    kind: np.dtype[Any] | None = None,
) -> None:
    """(N, features) or (N, T, features), with no axis of length 0.

    With `sequences` only the latter will do, which is left to those who know of steps, but errors
    say so; and where integers, of which `kind` tells, could be meant as indices.
    """
    if len(shape) < 2 or (features is not None and shape[-1] != features):
        wanted = "features" if features is None else str(features)
        steps = "T, " * sequences
        by_index = sequences and len(shape) == 2 and kind is not None and kind.kind in "iu"
        hint = "; integers (N, T) need one_hot=True in the first layer" * by_index
        raise ValueError(f"{name} has shape {shape}, needs (N, {steps}{wanted}){hint}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}, needs no axis of length 0")


def rows(
    name: str,
    value: Any,
    features: int | None,
    kind: Any,
    check_finite: bool = True,
    given_lengths: Any = None,
    sequences: bool = False,
) -> Array:
    """A batch: (N, features) or (N, T, features), at least one row, finite, of dtype `kind`.

    Where lengths are given padding may be anything, and becomes 0.
    """
    found = real_array(name, value)
    row_shape(name, found.shape, features, sequences, found.dtype)
    if given_lengths is not None:
        found = padding.cleared(found, lengths("lengths", given_lengths, found.shape, 3))
    found = _as(kind, found)
    if check_finite:
        finite(name, found)
    return found


def indices(name: str, value: Any, count: int, given_lengths: Any = None) -> Array:
    """Integers (N,) or (N, T), at least one of them, all in [0, count), as int64.

    Padding is that of `rows`.
    """
    found = real_array(name, value)
    index_kind(name, found.shape, found.dtype)
    if given_lengths is not None:
        found = padding.cleared(found, lengths("lengths", given_lengths, found.shape, 2))
    index_range(name, found, count)
    return np.ascontiguousarray(found, np.int64)


def index_kind(name: str, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    """Integers (N,) or (N, T), at least one of them."""
    if len(shape) not in (1, 2) or 0 in shape:
        raise ValueError(f"{name} has shape {shape}, needs (N,) or (N, T), none of them 0")
    if kind.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {kind}")


def index_range(name: str, values: Array, count: int, first: int = 0) -> None:
    """All in [0, count); `first` is the number of the first row, as in `finite`."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= count:
        worst = low if low < 0 else high
        row, *rest = (int(i) for i in np.argwhere(values == worst)[0])
        place = (first + row, *rest)
        raise ValueError(
            f"{name} must lie in [0, {count}), got {worst} at "
            f"{f'index {place}' if rest else f'row {first + row}'}"
        )


def lengths(name: str, value: Any, shape: tuple[int, ...], axes: int) -> Array:
    """Steps of each sequence that count, (N,) integers in [0, T].

    `shape` is that of the input, and `axes` the number of axes that it has if it is sequences.
    """
    found = real_array(name, value)
    if len(shape) != axes:
        raise ValueError(f"{name} must not be given for rows {shape}, which are no sequences")
    if found.shape != shape[:1]:
        raise ValueError(f"{name} has shape {found.shape}, needs ({shape[0]},)")
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {found.dtype}")
    if found.min() < 0 or found.max() > shape[1]:
        raise ValueError(f"{name} must lie in [0, {shape[1]}], got {found.min()} to {found.max()}")
    return np.ascontiguousarray(found, np.int64)


def weights(
    name: str,
    value: Any,
    shapes: tuple[tuple[int, ...], ...] | None,
    kind: Any,
    all_zero: bool = False,
) -> Array:
    """Weights, finite, none negative: of one of these shapes, or of one axis.

    Not all may be 0, unless `all_zero`.
    """
    found = real_array(name, value)
    if found.ndim != 1 if shapes is None else found.shape not in shapes:
        wanted = "one dimension" if shapes is None else " or ".join(map(str, shapes))
        raise ValueError(f"{name} has shape {found.shape}, needs {wanted}")
    found = _as(kind, found)
    finite(name, found)
    low, high = found.min(initial=0), found.max(initial=0)
    if low < 0 or (high == 0 and not all_zero):
        raise ValueError(f"{name} must not be negative and not all 0, got {low:g} to {high:g}")
    return found


def output(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """A writable array of real floats of exactly that shape."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        what = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be an array of floats, got {what}")
    if value.shape != shape:
        raise ValueError(f"{name} has shape {value.shape}, needs {shape}")
    if not value.flags.writeable:
        raise ValueError(f"{name} must be writable")


def only(what: str, **others: Any) -> None:
    """None of these arguments is given beside such data."""
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{name} must not be given with {what}")
