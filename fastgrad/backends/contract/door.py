"""The arguments of a call, held against the contract."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgrad.backends.contract.names import ACTIVATIONS, FUNCTIONS, needs_slope
from fastgrad.backends.contract.signature import Argument, arguments, size_of
from fastgrad.custom import LossFunction, UserActivation

_SCALARS: dict[str, tuple[type, ...]] = {
    "float": (float, int, np.floating, np.integer),
    "int": (int, np.integer),
    "activation": (str, UserActivation),
    "function": (str,),
    "loss": (LossFunction,),
}
_NAMES = {"activation": ACTIVATIONS, "function": FUNCTIONS}


MOST_WATCHED = 8192  # elements of a block of an update that is watched


def room(blocks: int, units: int, sequences: int, inputs: int = 0) -> int:
    """Elements that `panels` needs: both weights in whole vectors, and rows that threads share."""
    wide = -(-units // 16) * 16
    return blocks * wide * (units + inputs) + 8 * sequences * units


def check(kernel: str, values: tuple[Any, ...], recording: bool = False) -> None:
    """Hold the arguments of one call against the contract.

    With `recording`, index values are not looked at: at that time the buffers are still empty, and
    whoever fills them checks what he puts in.

    Raises
    ------
    TypeError, ValueError
        Naming kernel and argument, what it is and what it must be.
    """
    sizes: dict[str, int] = {}
    dtype: np.dtype[Any] | None = None
    specs = arguments(kernel)
    if len(values) != len(specs):
        raise TypeError(f"{kernel}: takes {len(specs)} arguments, got {len(values)}")
    given = dict(zip((a.name for a in specs), values, strict=True))
    for a in specs:
        value = given[a.name]
        where = f"{kernel}: {a.name}"
        if a.dims is None:
            assert a.kind is not None
            if not isinstance(value, _SCALARS[a.kind]):
                raise TypeError(f"{where} must be a {a.kind}, got {value!r}")
            if a.kind in _NAMES and isinstance(value, str) and value not in _NAMES[a.kind]:
                known = ", ".join(_NAMES[a.kind])
                raise ValueError(f"{where} must be one of {known}, got {value!r}")
            continue
        if value is None and a.optional:
            continue
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{where} must be an array, got {type(value).__name__}")
        if a.kind is None:
            if value.dtype not in (np.float32, np.float64) or (dtype and value.dtype != dtype):
                wanted = dtype or "float32 or float64"
                raise TypeError(f"{where} has dtype {value.dtype}, needs {wanted}")
            dtype = value.dtype
        elif value.dtype != np.dtype(a.kind):
            raise TypeError(f"{where} has dtype {value.dtype}, needs {np.dtype(a.kind)}")
        _check_shape(where, value, a.dims, sizes)
        if not value.flags.c_contiguous:
            raise ValueError(f"{where} must be C-contiguous, got strides {value.strides}")
        if not value.flags.aligned:
            raise ValueError(f"{where} must be aligned to its elements of {value.dtype}")
        if a.written and not value.flags.writeable:
            raise ValueError(f"{where} is written to, but the array is read-only")
    if kernel == "muon" and sizes["L"] != min(sizes["O"], sizes["I"]):
        side = min(sizes["O"], sizes["I"])
        raise ValueError(f"muon: gram has shape {given['gram'].shape}, needs {(side, side)}")
    if not recording:
        _check_indices(kernel, specs, given, sizes)
        _check_ranges(kernel, given)
    if "turned" in given:
        _check_turned(kernel, given)
    if "w_ih" in given and len({given[n] is None for n in ("x", "w_ih", "bias")}) > 1:
        raise ValueError(f"{kernel}: x, w_ih and bias must be given all three or not at all")
    if kernel == "note_outputs":
        _check_pieces(kernel, given)
    if "moved" in given and "hyper" in given:
        _check_watched(kernel, given)
    if kernel in ("see_output", "see_delta"):
        parts = given["parts" if kernel == "see_output" else "sums"]
        if len(parts) != -(-sizes["N"] // 8):
            raise ValueError(
                f"{kernel}: {sizes['N']} rows make {-(-sizes['N'] // 8)} parts, got {len(parts)}"
            )
    if "panels" in given:
        units, inputs = given["w"].shape[1], sizes.get("I", 0)
        blocks = len(given["w"]) // max(units, 1)
        needed = room(blocks, units, sizes["Q"] - sizes["R"], inputs)
        if given["panels"].size < needed:
            size = given["panels"].size
            raise ValueError(f"{kernel}: panels has {size} elements, needs {needed}")
    no_slope = "slope" in given and given["slope"] is None
    if no_slope and kernel.endswith("backward") and needs_slope(given["activation"]):
        raise ValueError(f"{kernel}: slope is None, but {given['activation']} needs it")
    if "start" in given:
        start, most = given["start"], sizes["G"] - sizes["F"]
        if not 0 <= start <= most:
            raise ValueError(f"{kernel}: start must lie in [0, {most}], got {start}")
    _check_overlap(kernel, specs, given)


def _check_indices(
    kernel: str, specs: tuple[Argument, ...], given: dict[str, Any], sizes: dict[str, int]
) -> None:
    for a in specs:
        value = given[a.name]
        if a.below and value.size:
            low, high, limit = int(value.min()), int(value.max()), sizes[a.below]
            if low < 0 or high >= limit:
                raise ValueError(f"{kernel}: {a.name} must lie in [0, {limit}), got {low}..{high}")


def _check_shape(
    where: str, value: np.ndarray, dims: tuple[str, ...], sizes: dict[str, int]
) -> None:
    needed = []
    for i, dim in enumerate(dims):
        times, symbol, extra = size_of(dim)
        if symbol and symbol not in sizes:
            size = value.shape[i] if i < value.ndim else extra
            sizes[symbol] = max(size - extra, 0) // times
        needed.append(times * sizes.get(symbol, 1) + extra)
    if value.shape != tuple(needed):
        wanted = f"[{','.join(dims)}] = {tuple(needed)}"
        raise ValueError(f"{where} has shape {value.shape}, needs {wanted}")


def _check_ranges(kernel: str, given: dict[str, Any]) -> None:
    """What index arrays point to must exist; `<` in the contract says the same of single values."""
    if kernel.startswith("gather"):
        start, rows, all_rows = int(given["cursor"][0]), len(given["out"]), len(given["order"])
        if start < 0 or start + rows > all_rows:
            raise ValueError(
                f"{kernel}: cursor is {start}, needs 0 to {all_rows - rows} for {rows} rows "
                f"of {all_rows}"
            )
    if kernel == "sequence_plan":
        lengths, most = given["lengths"], given["offsets"].size - 1
        if lengths.size and (lengths.min() < 0 or lengths.max() > most):
            found = f"{lengths.min()}..{lengths.max()}"
            raise ValueError(f"sequence_plan: lengths must lie in [0, {most}], got {found}")
    if given.get("offsets") is not None:
        _check_offsets(kernel, given)
    limits = {}
    if given.get("blocks") is not None:
        limits["blocks"] = next(given[n].size for n in ("x", "g", "p") if n in given)
        if "groups" in given:
            limits["groups"] = len(given["blocks"]) - 1
    elif kernel == "note_update":
        limits["groups"] = len(given["seen"])
    if limits:
        for name, limit in limits.items():
            edges = given[name]
            if (np.diff(edges, prepend=0, append=limit) < 0).any():
                raise ValueError(f"{kernel}: {name} must rise within [0, {limit}], got {edges}")


def _check_pieces(kernel: str, given: dict[str, Any]) -> None:
    """Pieces that begin before they end, within what they are pieces of."""
    for name, limit in {"rows": len(given["parts"]), "units": len(given["alive"])}.items():
        pieces = given[name]
        rising = (pieces[:, 0] <= pieces[:, 1]).all()
        if not rising or pieces.min(initial=0) < 0 or pieces.max(initial=0) > limit:
            raise ValueError(f"{kernel}: {name} must be pieces of [0, {limit}], got {pieces}")


def _check_watched(kernel: str, given: dict[str, Any]) -> None:
    """Blocks of an update are there to be watched, and not too large."""
    blocks, moved = given["blocks"], given["moved"]
    if blocks is not None and moved is None:
        raise ValueError(f"{kernel}: blocks are given, but moved is None")
    if blocks is not None and np.diff(blocks).max(initial=0) > MOST_WATCHED:
        most = np.diff(blocks).max()
        raise ValueError(f"{kernel}: blocks have {MOST_WATCHED} elements at most, got {most}")


def _check_turned(kernel: str, given: dict[str, Any]) -> None:
    """A turned gate array has one block more than its weight, which has three."""
    turned = given["turned"]
    of_weight = next(len(given[name]) for name in ("w", "dw", "b_ih", "db_ih") if name in given)
    wide = next(given[n].shape[-1] for n in ("bias", "dz", "table", "dtable") if n in given)
    if wide != of_weight + turned or (turned and of_weight != 3 * turned):
        raise ValueError(
            f"{kernel}: with turned {turned} a weight of {of_weight} rows does not fit {wide} gates"
        )


def _check_offsets(kernel: str, given: dict[str, Any]) -> None:
    """Steps that never grow, as many rows as there are at most."""
    offsets = given["offsets"]
    if not given["offsets"].size or kernel == "sequence_plan":
        return
    counts = np.diff(offsets)
    rows = [len(given[n]) for n in ("gates", "z", "dz") if n in given]
    if kernel.endswith("_steps"):
        rows.append(len(given["y" if kernel.endswith("to_steps") else "x"]))
    if kernel == "last_steps":  # its first rows are those of the initial state
        rows[0] -= len(given["order"])
    if kernel.startswith("layer_norm"):
        rows.append(len(given["x"]))
    sequences = [len(given[n]) for n in ("order", "dh0") if given.get(n) is not None]
    if "h" in given:  # the first rows are those of the initial state
        sequences.append(len(given["h"]) - len(given["gates"]))
    if offsets[0] or (np.diff(counts, append=0) > 0).any() or (counts < 0).any():
        raise ValueError(f"{kernel}: offsets must start at 0, steps must not grow, got {offsets}")
    if offsets[-1] > min(rows):
        raise ValueError(f"{kernel}: offsets end at {offsets[-1]}, but there are {min(rows)} rows")
    if sequences and counts.size and counts[0] > min(sequences):
        raise ValueError(f"{kernel}: step 0 has {counts[0]} rows of {min(sequences)} sequences")
    if "h" in given and "dh0" in given and sequences[0] != sequences[-1]:
        raise ValueError(
            f"{kernel}: h has {len(given['h'])} rows, needs {sequences[0]} + {rows[0]}"
        )


def _check_overlap(kernel: str, specs: tuple[Argument, ...], given: dict[str, Any]) -> None:
    arrays = [(a, given[a.name]) for a in specs if a.dims is not None and given[a.name] is not None]
    for i, (a, x) in enumerate(arrays):
        for b, y in arrays[i + 1 :]:
            if not (a.written or b.written) or not np.may_share_memory(x, y):
                continue
            same = x.ctypes.data == y.ctypes.data and x.shape == y.shape
            if not (same and a.name == b.alias):
                raise ValueError(f"{kernel}: {a.name} and {b.name} must not overlap")
