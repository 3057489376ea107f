"""A copy of a user's function that calls the functions of `functions` instead of those it names.

The function's own code is left as it is. What its globals and its closure hold is exchanged:
`math`, NumPy, what comes from them, and helper functions that it calls, copied in turn.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastgrad.custom import functions

_THEIRS = ("math", "cmath", "numpy", "scipy")  # modules whose other functions cannot be used


class Copies:
    """Copies of functions, each made once.

    Parameters
    ----------
    finished : callable
        What is made of each copy: the copy itself, or a compiled one.
    """

    def __init__(self, finished: Callable[[Any], Any]) -> None:
        self._finished = finished
        self._made: dict[int, Any] = {}
        self._modules: dict[tuple[int, frozenset[str]], types.ModuleType] = {}
        self._keep: list[Any] = []  # ids stay theirs as long as they live
        self._replacements = functions.replacements()
        self.files: set[str] = set()

    def of(self, function: types.FunctionType) -> Any:
        """The copy of a function, finished."""
        if id(function) not in self._made:
            self._keep.append(function)
            _refuse_errors(function)
            space: dict[str, Any] = {"__builtins__": builtins}
            code, defaults = _positional(function)
            cells = function.__closure__ or ()
            closure = tuple(types.CellType() for _ in cells)
            copy = types.FunctionType(code, space, code.co_name, defaults, closure)
            copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
            self._made[id(function)] = self._finished(copy)
            ours = function.__globals__ is vars(functions)
            if not ours:
                self.files.add(function.__code__.co_filename)
            names = frozenset(_names(function.__code__))
            for name in names:
                if name in function.__globals__:
                    space[name] = self._value(function.__globals__[name], names)
                    _refuse_arrays(function, name, space[name])
                elif name in functions.BUILTINS and not ours:
                    space[name] = self._value(functions.BUILTINS[name], names)
            for name, cell, own in zip(code.co_freevars, cells, closure, strict=True):
                try:
                    content = cell.cell_contents
                except ValueError:
                    raise TypeError(
                        f"{_place(function)}: {name} has no value yet, when {function.__name__} is "
                        "decorated"
                    ) from None
                own.cell_contents = self._value(content, names)
                _refuse_arrays(function, name, content)
        return self._made[id(function)]

    def _value(self, value: Any, names: frozenset[str]) -> Any:
        """What stands for a global; `names` are those that may be asked for of a module."""
        if isinstance(value, types.ModuleType):
            if (id(value), names) not in self._modules:  # which may have each other
                module = self._modules[id(value), names] = types.ModuleType(value.__name__)
                for name in names & vars(value).keys():
                    setattr(module, name, self._value(getattr(value, name), names))
            return self._modules[id(value), names]
        inner = getattr(value, "function", getattr(value, "py_func", None))
        if isinstance(inner, types.FunctionType):  # another activation, or a function of Numba
            return self.of(inner)
        if not callable(value):
            return value
        value = self._replacements.get(value, value)
        if isinstance(value, type) or value in functions.BASIC:
            return value
        own = isinstance(value, types.FunctionType)
        place = getattr(value, "__module__", None) or ("" if own else "numpy")  # of a ufunc
        if place.partition(".")[0] in _THEIRS:
            return _Unknown(value)
        return self.of(value) if own else value


class _Unknown:
    """Stands for a function of NumPy that is not among `functions`, until it is called."""

    def __init__(self, function: Any) -> None:
        self.name = getattr(function, "__name__", str(function))

    def __call__(self, *values: Any, **named: Any) -> Any:
        known = ", ".join(sorted({*functions.NAMES, *functions.BUILTINS}))
        raise TypeError(f"{self.name} cannot be used here; what can be are {known}")


def _place(function: types.FunctionType, line: int | None = None) -> str:
    code = function.__code__
    return f"{code.co_filename}:{line or code.co_firstlineno}"


def _positional(function: types.FunctionType) -> tuple[types.CodeType, tuple[Any, ...]]:
    """Its code and defaults with all constants in their places: Numba knows no others."""
    code, named = function.__code__, function.__kwdefaults__ or {}
    if not named or code.co_flags & inspect.CO_VARARGS:
        return code, function.__defaults__ or ()
    last = code.co_argcount + code.co_kwonlyargcount
    later = [named[name] for name in code.co_varnames[code.co_argcount : last] if name in named]
    code = code.replace(co_argcount=last, co_kwonlyargcount=0)
    return code, (*(function.__defaults__ or ()), *later)


def _refuse_arrays(function: types.FunctionType, name: str, value: Any) -> None:
    """Compiled code does not see where they end."""
    if isinstance(value, (np.ndarray, list, dict)):
        raise TypeError(
            f"{_place(function)}: {function.__name__} uses {name}, an array, list or dict: "
            "it may use numbers and functions"
        )


def _refuse_errors(function: types.FunctionType) -> None:
    """Compiled code has nobody to raise an error for."""
    for step in dis.get_instructions(function.__code__):
        if step.opname == "RAISE_VARARGS":
            line = step.positions.lineno if step.positions else None
            raise TypeError(
                f"{_place(function, line)}: {function.__name__} may raise an error, for which "
                "there is no way out of a recorded program: it must return a number"
            )


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
