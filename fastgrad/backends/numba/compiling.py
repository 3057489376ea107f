"""Numba, as this backend uses it: options, the cache on disk, functions called by name.

design:
 a) `inline` is for helpers, which become part of what calls them. `service` is for what is large
    and called by many: compiled once for each dtype, it is known to the others by a symbol.
 b) The cache lies in a folder of the user (or `NUMBA_CACHE_DIR`), never beside the sources, and is
    good for the exact sources of this backend. Where there is no place to write, or what is found
    there cannot be read, the cost is time alone.
 c) With NUMBA_DISABLE_JIT=1 all of it is plain Python, at the same names.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba
import numba.extending
from numba import types
from numba.core import caching
from numba.core.ccallback import CFunc
from numba.misc.appdirs import AppDirs

Function = TypeVar("Function", bound=Callable[..., Any])

PYTHON = bool(numba.config.DISABLE_JIT)

# No "reassoc": functions of numbers count on the order of their sums. NaN and infinities count.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
SUMS = {"contract", "reassoc"}


def overload(function: Callable[..., Any]) -> Any:
    """What compiled code calls in place of a Python function."""
    return numba.extending.overload(function, jit_options=OPTIONS, strict=False)


_IMPORT = re.compile(r"^from fastgrad\.backends\.numba(?:\.(\w+))? import (.+)$", re.MULTILINE)


@functools.cache
def _stamp(path: str) -> str:
    """Of a source file, those of this backend that it imports, and the contract's: of its code."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    wanted = [Path(path), *sorted((folder.parent / "contract").glob("*.py"))]
    for source in wanted:  # which grows
        text = source.read_text(encoding="utf-8")
        digest.update(text.encode())
        for module, names in _IMPORT.findall(text):
            named = [module] if module else names.split(",")
            found = dict.fromkeys(folder / f"{name.strip(' ()')}.py" for name in named)
            wanted += [one for one in found if one.exists() and one not in wanted]
    return digest.hexdigest()


class _Locator(caching._CacheLocator):
    """NUMBA_CACHE_DIR, or a folder of this user."""

    def __init__(self, function: Any, path: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._stamp = _stamp(path)
        own = AppDirs("fastgrad", appauthor=False).user_cache_dir
        if not numba.config.CACHE_DIR and not os.path.isabs(own):
            raise OSError("this user has no folder for caches")
        self._folder = os.path.join(numba.config.CACHE_DIR or own, "numba")

    def get_cache_path(self) -> str:
        return self._folder

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return f"{self._line}-{self._stamp[:8]}"  # several versions side by side

    @classmethod
    def from_function(cls, function: Any, path: str) -> _Locator | None:
        try:
            self = cls(function, path)
            self.ensure_cache_path()
        except OSError:  # no such folder, none can be made, or not by this user
            return None
        return self


class _Cache(caching.FunctionCache):
    """The cache of one function, which loses nothing but time where it fails."""

    class _impl_class(caching.CompileResultCacheImpl):  # noqa: N801
        _locator_classes = (_Locator,)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file cut short may raise whatever unpickling raises
            with contextlib.suppress(Exception):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:
            self.disable()


def _cached(target: Any, function: Any) -> Any:
    with contextlib.suppress(RuntimeError, OSError):  # nowhere to write
        target._cache = _Cache(function)
    return target


def inline(function: Function | None = None, *, fastmath: set[str] | None = None) -> Any:
    """Compile a helper into what calls it."""
    if function is None:
        return functools.partial(inline, fastmath=fastmath)
    options = OPTIONS | ({} if fastmath is None else {"fastmath": fastmath})
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


def apart(function: Function) -> Function:
    """Compile a loop into what calls it, whose arrays lie apart from each other.

    Said so, LLVM does not look for what may overlap before it makes vectors: it would look at whole
    matrices, one row of which it is given, and take them for the same.
    """
    if PYTHON:
        return function
    options = OPTIONS | {"_nrt": False, "forceinline": True}
    compiled = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)
    compiled._compiler._customize_flags = _no_alias
    return compiled


def _no_alias(flags: Any) -> Any:
    flags.noalias = True
    return flags


def cached(function: Callable[..., Any], wrapper: bool = False) -> Any:
    """Compile a function when its types are known, or find it in the cache.

    Python can call it where there is a wrapper.
    """
    if PYTHON:
        return function
    options = OPTIONS | {"no_cpython_wrapper": not wrapper, "no_cfunc_wrapper": True}
    compiled = numba.njit(**options)(function)
    return _cached(compiled, function)


_SERVICES: list[tuple[str, Callable[..., Any], Callable[[Any], Any]]] = []


def service(signature: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """A function of pointers and numbers that compiled code calls by name, through `external`.

    `signature` makes that of a dtype.
    """

    def decorate(function: Function) -> Function:
        _SERVICES.append((function.__name__, function, signature))
        return function

    return decorate


def external(name: str, real: Any) -> Any:
    """The service of that name and dtype, for compiled code."""
    for own, _, signature in _SERVICES:
        if own == name:
            return types.ExternalFunction(_symbol(name, real), signature(real))
    raise KeyError(name)


def _symbol(name: str, real: Any) -> str:
    return f"fastgrad_service_{name}_{real}"


@functools.cache
def services(real: Any) -> tuple[Any, ...]:
    """Compile what others call, or find it, and make it known; once for each dtype."""
    found = []
    for name, function, signature in _SERVICES:
        compiled = CFunc(
            function, (signature(real).args, signature(real).return_type), {}, dict(OPTIONS)
        )
        _cached(compiled, function)
        compiled.compile()
        llvm.add_symbol(_symbol(name, real), compiled.address)
        found.append(compiled)
    return tuple(found)


__all__ = [
    "OPTIONS",
    "PYTHON",
    "SUMS",
    "apart",
    "cached",
    "external",
    "inline",
    "overload",
]
