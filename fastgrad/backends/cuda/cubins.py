"""Machine code of a walker: compiled by numba-cuda, linked, and kept on disk.

A walker takes ten seconds or more to compile. It is kept in a folder of the user (or in
NUMBA_CACHE_DIR), under a name that says of what it was made: the sources of this backend, which
functions of phases, and what they are closed over. A walker of users' functions is not kept.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cuda.bindings import nvrtc
from cuda.core import Linker, LinkerOptions, ObjectCode
from cuda.pathfinder import find_static_lib
from numba.misc.appdirs import AppDirs
from tqdm import tqdm

from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.walk import Functions, signature, source

SECONDS = 1.0  # before a user wants to know
OWN = "fastgrad.backends.cuda"
_ENTRY = re.compile(rb"\.entry (\w+)\(")


def cubin(functions: Functions, real: np.dtype[Any], capability: tuple[int, int]) -> ObjectCode:
    """The code of `whole`, from the folder or made now; its name is that of the kernel in it."""
    place = _place(functions, real, capability)
    if place is not None:
        with contextlib.suppress(OSError, ValueError):
            return _unpacked(place.read_bytes())
    with _notice(len(functions)):
        packed = _made(functions, real, capability)
    if place is not None:
        with contextlib.suppress(OSError):  # full, or not ours to write to: it costs time alone
            place.parent.mkdir(parents=True, exist_ok=True)
            own = place.with_suffix(f".{os.getpid()}")
            own.write_bytes(packed)
            own.replace(place)
    return _unpacked(packed)


def _made(functions: Functions, real: np.dtype[Any], capability: tuple[int, int]) -> bytes:
    function = source(functions, real)["whole"]
    options = {"cc": capability, "device": False, "abi": "numba", "output": "ptx"}
    text, _ = cuda.compile(function, signature(real, 1), **options)
    ptx = text.encode()
    found = _ENTRY.search(ptx)
    assert found is not None
    arch = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}")
    # the meeting across the grid is a function of the device's runtime
    runtime = ObjectCode.from_library(str(find_static_lib("cudadevrt")))
    code = bytes(Linker(ObjectCode.from_ptx(ptx), runtime, options=arch).link("cubin").code)
    return b"%b\n%b\n%b" % (found[1], hashlib.sha256(code).hexdigest().encode(), code)


def _unpacked(packed: bytes) -> ObjectCode:
    name, digest, code = packed.split(b"\n", 2)
    if hashlib.sha256(code).hexdigest().encode() != digest:
        raise ValueError("what was kept has been cut short")
    return ObjectCode.from_cubin(code, name=name.decode())


def _place(functions: Functions, real: np.dtype[Any], capability: tuple[int, int]) -> Path | None:
    import numba_cuda

    own = os.environ.get("NUMBA_CACHE_DIR") or AppDirs("fastgrad", appauthor=False).user_cache_dir
    if not os.path.isabs(own):
        return None
    try:
        made_of = [(_said(function), wide) for function, wide in functions]
    except LookupError:
        return None
    versions = numba_cuda.__version__, nvrtc.nvrtcVersion()[1:]
    said = repr((_sources(), versions, made_of, real.str, capability))
    return Path(own) / "cuda" / f"{hashlib.sha256(said.encode()).hexdigest()}.cubin"


@functools.cache
def _sources() -> str:
    """A digest of all code of this backend."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _said(value: Any) -> Any:
    """A function by its name and what it is closed over; anything else that is known by itself.

    Raises
    ------
    LookupError
        For what is not of this backend.
    """
    function = getattr(value, "py_func", value)
    if callable(function) and hasattr(function, "__code__"):
        if not str(function.__module__).startswith(OWN):
            raise LookupError(function)
        cells = [_said(cell.cell_contents) for cell in function.__closure__ or ()]
        return function.__module__, function.__qualname__, function.__code__.co_firstlineno, cells
    if isinstance(value, tuple):
        return [_said(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str | np.generic | np.dtype):
        return repr(value)
    raise LookupError(value)


@contextlib.contextmanager
def _notice(count: int) -> Iterator[None]:
    """A line for those who wait."""
    text = f"fastgrad: compiling a step of {count} parts for the GPU"
    bar = tqdm(desc=text, bar_format="{desc} ({elapsed})", delay=SECONDS, leave=False)
    soon = threading.Timer(SECONDS, bar.refresh)
    soon.daemon = True
    soon.start()
    try:
        yield
    finally:
        soon.cancel()
        bar.close()
