"""Backends: one contract of kernels, several implementations.

``load("reference")`` is plain NumPy, the specification. ``load("cython")`` is compiled code at
the best instruction-set level of this machine; ``load("cython:base")``, ``"cython:v3"`` and
``"cython:v4"`` name a level. ``load("numba")`` is Python that Numba compiles when it is first
needed; where there are no compiled modules it takes their place. ``load("cuda")`` runs on a GPU,
and ``load("cuda:tf32")`` has large products rounded to TF32 there. A backend is asked for kernels
by name (`load(..).dense_forward(..)`) and checks every call against `contract.CONTRACT`.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from fastgrad.arena import Memory, lie_in
from fastgrad.backends import contract

__all__ = [
    "Backend",
    "active",
    "load",
    "num_threads",
    "set_num_threads",
    "use_backend",
    "warmup",
]


class Program(Protocol):
    """Recorded calls in segments, ready to run; `contract` says what stops it."""

    def run(self, times: list[int], threads: int) -> None:
        """Run segment i `times[i]` times, one segment after the other."""

    def call(self, x: np.ndarray, into: np.ndarray, out: np.ndarray, threads: int) -> np.ndarray:
        """A copy of `out` after x is copied to `into` and the only segment has run once."""


class Backend:
    """The kernels of one implementation, behind the contract.

    Parameters
    ----------
    name : str
        "reference", "numba", "cuda", "cuda:tf32", or "cython:" and a level.
    kernels : dict
        The raw functions. Compiled ones return the recorded call instead of running it.
    program : callable
        Makes a `Program` of segments (lists of recorded calls and Python functions), the int64
        status flag that stops it, and an object to keep alive; and, where given, of the place in
        each segment from which on no signal may stop it.
    compiled : bool
        Whether raw functions record.
    warmup : callable, optional
        Compiles ahead, for dtypes given by name, what is compiled at run time.
    memory : Memory, optional
        Of its device, where kernels find arrays without copying them; else that of the host.
    """

    def __init__(
        self,
        name: str,
        kernels: dict[str, Callable[..., Any]],
        program: Callable[..., Program],
        compiled: bool,
        warmup: Callable[[Sequence[str]], None] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.name = name
        self.memory = memory
        self.warmup = warmup
        self.program = program
        self._raw = kernels
        self._compiled = compiled

    def __repr__(self) -> str:
        return f"<fastgrad backend {self.name}>"

    def record(self, kernel: str, *values: Any) -> Any:
        """A call, checked but not run, for a segment of a program."""
        contract.check(kernel, values, recording=True)
        raw = self.raw(kernel)
        return raw(*values) if self._compiled else functools.partial(raw, *values)

    def raw(self, kernel: str) -> Callable[..., Any]:
        """The function behind the door; its parameters are the contract's."""
        try:
            return self._raw[kernel]
        except KeyError:
            raise AttributeError(f"backend {self.name} has no kernel {kernel!r}") from None

    def __getattr__(self, kernel: str) -> Callable[..., None]:
        if kernel.startswith("_"):  # copy and pickle ask for such names before there are kernels
            raise AttributeError(kernel)
        raw = self.raw(kernel)

        @functools.wraps(raw)
        def call(*values: Any) -> None:
            contract.check(kernel, values)
            if self._compiled:
                status = np.zeros(1, np.int64)
                self.program([[raw(*values)]], status, values).run([1], num_threads())
            else:
                raw(*values)

        return call


@functools.cache
def load(name: str) -> Backend:
    """The backend of that name.

    Raises
    ------
    ValueError
        For an unknown name.
    ImportError
        Where it is not built, or this processor cannot run it; the message says which.
    RuntimeError
        Where something that the GPU's backend needs is missing; the message says how to get it.
    """
    family, _, level = name.partition(":")
    if name == "reference":
        from fastgrad.backends import reference

        return Backend(name, reference.KERNELS, PythonProgram, compiled=False)
    if family == "cython":
        from fastgrad.backends import cython

        level = level or cython.chosen_level()[0]
        if name == "cython":
            return load(f"cython:{level}")
        return Backend(name, cython.kernels(level), cython.program_maker(level), compiled=True)
    if name == "numba":
        if importlib.util.find_spec("numba") is None:
            raise ImportError('the numba backend needs numba, from pip install "fastgrad[numba]"')
        from fastgrad.backends.numba import kernels

        program = PythonProgram if kernels.PYTHON else kernels.Replay
        return Backend(name, dict(kernels.KERNELS), program, True, kernels.warmup)
    if name in ("cuda", "cuda:tf32"):
        from fastgrad.backends.cuda import kernels as on_device

        on_device.require_device()
        if name == "cuda:tf32" and not on_device.library.installed():
            raise RuntimeError(f"cuda:tf32 needs cuBLAS: {on_device.HOW}")
        replay = functools.partial(on_device.Replay, tf32=name == "cuda:tf32")
        return Backend(name, dict(on_device.KERNELS), replay, True, memory=on_device.MANAGED)
    raise ValueError(
        f"backend {name!r} is unknown: it must be reference, numba, cuda, cuda:tf32, cython or "
        "cython:LEVEL"
    )


class PythonProgram:
    """The replay of a backend whose kernels are Python functions."""

    def __init__(
        self,
        segments: list[list[Any]],
        status: np.ndarray,
        keep: Any,
        commits: list[int] | None = None,
    ) -> None:
        self._segments = segments
        self._status = status
        self._keep = keep

    def run(self, times: Sequence[int], threads: int) -> None:
        self._status[0] = 0
        for segment, count in zip(self._segments, times, strict=True):
            for _ in range(count):
                for call in segment:
                    call()
                    if self._status[0]:
                        return

    def call(self, x: np.ndarray, into: np.ndarray, out: np.ndarray, threads: int) -> np.ndarray:
        into[...] = x
        self.run([1], threads)
        return out.copy()


MOST_THREADS = 1024

_active: Backend | None = None
_threads: int | None = None
_forked = False


def use_backend(name: str) -> None:
    """Use this backend for everything recorded from now on ("cython", "cuda", "reference", ...)."""
    global _active
    _active = load(name)
    lie_in(_active.memory)


def active() -> Backend:
    """The backend in use: unless told otherwise the compiled one, or where that is missing Numba.

    Raises
    ------
    ImportError
        Where there is neither.
    """
    global _active
    if _active is None:
        from fastgrad.backends.cython import NotBuiltError

        try:
            _active = load("cython")
        except NotBuiltError:
            if importlib.util.find_spec("numba") is None:
                raise
            _active = load("numba")
            text = "no compiled kernels are installed: Numba compiles those that are used"
            logging.getLogger("fastgrad").warning("fastgrad: %s", text)
    return _active


def warmup(*dtypes: str) -> None:
    """Compile ahead what the backend in use would compile at the first step.

    The numba backend compiles all its kernels, and finds those of earlier runs in its cache. The
    cuda backend compiles whole programs, when they are first run, and has nothing to do here.

    Parameters
    ----------
    *dtypes : {"float32", "float64"}
        Of the models to come; float32 where none is given.
    """
    names = dtypes or ("float32",)
    for name in names:
        if name not in ("float32", "float64"):
            raise ValueError(f"dtypes must be float32 or float64, got {name!r}")
    compile_ahead = active().warmup
    if compile_ahead is not None:
        compile_ahead(names)


def set_num_threads(n: int) -> None:
    """Let kernels use up to n threads; results do not depend on it.

    Without a call it is what OpenMP says: ``OMP_NUM_THREADS``, or the cores of this process.
    """
    global _threads
    from fastgrad import checks  # which needs layers, and they this module

    n = checks.count("n", n)
    if n > MOST_THREADS:
        raise ValueError(f"n must be at most {MOST_THREADS}, got {n}")
    _threads = n


def num_threads() -> int:
    """How many threads kernels may use."""
    global _threads
    if _forked:  # the OpenMP runtime of a forked child waits for threads that no longer exist
        return 1
    if _threads is None:
        try:
            from fastgrad._kernels.replay import max_threads
        except ImportError:
            max_threads = _cores
        _threads = max_threads()
    return _threads


def _cores() -> int:
    """What OpenMP would use, where there is none."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted) > 0:
        return min(int(wanted), MOST_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
