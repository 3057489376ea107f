"""Launches: on a GPU, or in the simulator, for which every module's `cuda` is exchanged."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fastgrad.backends.cuda.device import BLOCK
from fastgrad.backends.cuda.target import SIMULATED, cuda
from fastgrad.backends.cuda.walk import Walker

_PROCESS = os.getpid()
SIMULATED_BLOCKS = 3  # of a phase that has more, so that several blocks and ragged ends occur


def launch_one(walker: Walker, blocks: int, shared: int, entry: int, k: int) -> None:
    """One repetition of one phase, in the simulator."""
    _simulate(walker, walker.one, min(blocks, SIMULATED_BLOCKS), shared, entry, k)


def launch_whole(walker: Walker, blocks: int, shared: int, plan: int) -> None:
    """A whole plan; blocks that wait for each other must all be there at once."""
    if SIMULATED:
        _simulate(walker, walker.whole, 1, shared, plan)
    elif os.getpid() != _PROCESS:
        raise RuntimeError("CUDA cannot be used in a forked child: start processes with spawn")
    else:
        walker.whole.launch(blocks, shared, plan)


def most_blocks(walker: Walker, shared: int) -> int:
    """How many blocks of `whole` the device has room for at once."""
    return 1 if SIMULATED else int(walker.whole.most_blocks(shared))


def attach() -> None:
    """Make the device's context that of this thread: copies and launches ask for a current one."""
    if not SIMULATED:
        cuda.current_context()


def synchronize() -> None:
    """Wait until the device has done all that was launched."""
    if not SIMULATED:
        from fastgrad.backends.cuda.driver import STREAM

        STREAM.synchronize()


def _simulate(walker: Walker, kernel: Any, blocks: int, shared: int, *numbers: int) -> None:
    with _modules(walker, blocks, shared):
        kernel[blocks, BLOCK, 0, shared](*numbers)


@contextmanager
def _modules(walker: Walker, blocks: int, shared: int) -> Iterator[None]:
    """What `cuda` means to the threads of the launch.

    The simulator exchanges that by itself for one function at a time, when that is called: too
    often, and not safely where one thread has left the function and another has not.
    """
    from numba.cuda.simulator.kernelapi import FakeCUDAModule

    fake = FakeCUDAModule((blocks, 1, 1), (BLOCK, 1, 1), shared)
    of_phases = [function.__globals__ for function, _ in walker.functions]
    scopes = [walker.scope, *of_phases, *(vars(module) for module in _kernel_modules())]
    for scope in scopes:
        scope["cuda"] = fake
    try:
        yield
    finally:
        for scope in scopes:
            scope["cuda"] = cuda


def _kernel_modules() -> list[ModuleType]:
    """Those of this package, but for the ones that launch."""
    host = {f"{__package__}.target", __name__}
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(f"{__package__}.") and name not in host and "cuda" in vars(module)
    ]
