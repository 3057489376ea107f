"""`Elementwise`: a scalar function that a user has written, in Python and compiled."""

from __future__ import annotations

import ctypes
import importlib.util
from typing import Any

import numpy as np

from fastgrad.custom.dual import Dual, dual
from fastgrad.custom.rebinding import Copies


class Elementwise:
    """A checked function of one number, or of two, and its derivative with respect to the first.

    Parameters
    ----------
    function : callable
        Written in Python, with one parameter for each of `arguments`; others have a default, which
        is a constant.
    derivative : callable or None
        Of the same arguments; None to differentiate the function's code.

    Attributes
    ----------
    name : str
        That of the function.
    place : str
        Its file and line.
    files : frozenset of str
        Those that its code, and that of its helpers, is from.
    steepest : float
        The largest size of a slope that was seen when it was tried out.
    """

    what: str  # for errors
    arguments: tuple[str, ...]

    def __init__(self, function: Any, derivative: Any = None) -> None:
        from fastgrad.custom import checking

        self.function = checking.function(self.what, self.arguments, function)
        self.derivative = None
        if derivative is not None:
            self.derivative = checking.function(
                f"{self.what}: derivative", self.arguments, derivative
            )
        code = self.function.__code__
        self.name = self.function.__name__
        self.place = f"{code.co_filename}:{code.co_firstlineno}"
        self.__name__, self.__qualname__ = self.name, self.function.__qualname__
        self.__module__, self.__doc__ = self.function.__module__, self.function.__doc__
        copies = Copies(lambda copy: copy)
        self._value = copies.of(self.function)
        self._slope = None if self.derivative is None else copies.of(self.derivative)
        self.files = frozenset(copies.files)
        self._compiled: dict[np.dtype[Any], Any] = {}
        self.steepest = checking.run(self)
        if compiles():  # both at once: what other variables hold now is what counts
            for dtype in (np.float32, np.float64):
                self.address(dtype)
                checking.run_compiled(self, dtype)

    def __repr__(self) -> str:
        return f"<{self.what} {self.name}>"

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        """It is found by its name, as functions are; a copy is the function itself."""
        return self.__qualname__

    def at(self, *point: float) -> tuple[Any, Any]:
        """What the function returns there, and its derivative, evaluated in Python.

        Where the function returns what is no number, that, and 0.
        """
        first, rest = point[0], [Dual(x) for x in point[1:]]
        if self._slope is not None:
            return _plain(self._value(Dual(first), *rest)), _plain(self._slope(Dual(first), *rest))
        found = self._value(Dual(first, 1), *rest)
        number = dual(found)
        return _plain(found), 0.0 if number is None else number.slope or 0.0

    def evaluated(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and derivatives for arrays of one shape, number by number: the specification."""
        values, slopes = (np.empty(arrays[0].shape, arrays[0].dtype) for _ in range(2))
        with np.errstate(over="ignore"):
            for i in np.ndindex(arrays[0].shape):
                values[i], slopes[i] = self.at(*(float(array[i]) for array in arrays))
        return values, slopes

    def applied(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for whole arrays of one float dtype, compiled where Numba is there."""
        if not compiles():
            return self.evaluated(*arrays)
        given = [np.ascontiguousarray(array) for array in arrays]
        values, slopes = (np.empty(arrays[0].shape, given[0].dtype) for _ in range(2))
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(given) + 2), ctypes.c_int64)
        places = (array.ctypes.data for array in (*given, values, slopes))
        call(self.address(values.dtype))(*places, values.size)
        return values, slopes

    def address(self, dtype: Any) -> int:
        """That of the compiled function for a dtype, see `compiling`, which lives as long as self.

        Raises
        ------
        ImportError
            Where Numba is not installed.
        TypeError
            If it cannot be compiled.
        """
        kind = np.dtype(dtype)
        if kind not in self._compiled:
            from fastgrad.custom import checking

            self._compiled[kind] = checking.compiled(self, kind)
        return int(self._compiled[kind].address)


def compiles() -> bool:
    """Whether Numba is there to compile functions."""
    return importlib.util.find_spec("numba") is not None


def _plain(found: Any) -> Any:
    return found.value if isinstance(found, Dual) else found
