"""Compiling what a program needs, with a line for those who wait."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from numba import types
from tqdm import tqdm

from fastgrad.backends.numba.compiling import PYTHON

if TYPE_CHECKING:
    from fastgrad.backends.numba.entry import Call, Kernel

SECONDS = 1.0  # before a user wants to know


def compile_all(calls: Iterable[Call]) -> None:
    """Make every kernel of these calls ready; what takes longer shows how far it has come."""
    compile_kernels({(call.kernel, call.real): None for call in calls})


def compile_kernels(wanted: Iterable[tuple[Kernel, Any]]) -> None:
    """Make kernels ready for dtypes."""
    missing = [(kernel, real) for kernel, real in wanted if not kernel.is_ready(real)]
    if not missing:
        return
    text = "fastgrad: compiling"
    quiet = sys.stderr is None
    bar = tqdm(
        missing, desc=text, unit="kernel", delay=SECONDS, leave=False, mininterval=0, disable=quiet
    )
    soon = threading.Timer(SECONDS, bar.refresh)  # the first kernel may take long itself
    soon.daemon = True
    soon.start()
    try:
        for kernel, real in bar:
            bar.set_postfix_str(f"{kernel.name} {real}", refresh=False)
            kernel.entry(real)
    finally:
        soon.cancel()


def warmup_of(kernels: Iterable[Kernel]) -> Callable[[Sequence[str]], None]:
    """What compiles all of these kernels for dtypes given by name."""

    def warmup(dtypes: Sequence[str]) -> None:
        if not PYTHON:
            reals = [getattr(types, name) for name in dtypes]
            compile_kernels((kernel, real) for real in reals for kernel in kernels)

    return warmup


__all__ = ["compile_all", "warmup_of"]
