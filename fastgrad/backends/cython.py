"""The compiled kernels: extension modules per instruction-set level, one that records them all."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np

from fastgrad.backends import contract

LEVELS = ("base", "v3", "v4")


class NotBuiltError(ImportError):
    """No compiled kernels are there at all."""


_MODULES = "linear", "rows"


def chosen_level() -> tuple[str, str]:
    """The level that "cython" means here, and why.

    Raises
    ------
    ImportError
        Where nothing is compiled, or `FASTGRAD_CPU` names a level that cannot be had.
    """
    wanted = os.environ.get("FASTGRAD_CPU")
    if wanted:
        _require(wanted)
        return wanted, "FASTGRAD_CPU"
    best = _best_level()
    for level in reversed(LEVELS[: LEVELS.index(best) + 1]):
        try:
            _module("rows", level)
        except ImportError:
            continue
        return level, f"best of this processor ({best}) that is built"
    raise ImportError("fastgrad: no compiled kernels are installed")


def kernels(level: str) -> dict[str, Callable[..., bytes]]:
    """Every kernel of one level, by name; calling one records it."""
    _require(level)
    from fastgrad._kernels import record

    return {name: _bound(name, level) for name in contract.CONTRACT if hasattr(record, name)}


def probe(level: str) -> Any:
    """`fma_peak` and `product_rate` of one level, for benches."""
    _require(level)
    return SimpleNamespace(**{k: _bound(k, level) for k in ("fma_peak", "product_rate")})


def program_maker(level: str) -> Callable[..., Any]:
    """What makes a native program of calls of this level."""
    from fastgrad._kernels.replay import Replay

    scratch = _table(level).scratch_bytes

    def make(
        segments: list[list[Any]], status: np.ndarray, keep: Any, commits: list[int] | None = None
    ) -> Any:
        return Replay(segments, commits or list(map(len, segments)), status, scratch, keep)

    return make


@functools.cache
def _table(level: str) -> Any:
    """Where the kernels of one level are."""
    from fastgrad._kernels.record import Level

    return Level(*(_module(name, level).TABLE for name in _MODULES))


def _bound(name: str, level: str) -> Any:
    """The function of that name, which takes the table of a level first."""
    from fastgrad._kernels import record

    return MethodType(getattr(record, name), _table(level))


def _require(level: str) -> None:
    best = _best_level()
    if level not in LEVELS:
        raise ImportError(f"fastgrad: level {level!r} is unknown: it must be one of {LEVELS}")
    if LEVELS.index(level) > LEVELS.index(best):
        raise ImportError(f"fastgrad: this processor runs {best}, not {level}")
    try:
        _module("rows", level)
    except ModuleNotFoundError:
        raise ImportError(f"fastgrad: the kernels of level {level} are not built") from None


def _best_level() -> str:
    """The highest level that this processor runs."""
    try:
        from fastgrad._kernels.cpu import best_level
    except ModuleNotFoundError:
        folder = Path(__file__).parents[1]
        raise NotBuiltError(
            f"fastgrad: no compiled kernels in {folder}; in the folder of the sources run make and "
            "then .venv/bin/python, or leave it for an installed fastgrad to be found; without a C "
            'compiler, pip install "fastgrad[numba]"'
        ) from None
    found: str = best_level()
    return found


def _module(name: str, level: str) -> Any:
    return importlib.import_module(f"fastgrad._kernels.{name}_{level}")
