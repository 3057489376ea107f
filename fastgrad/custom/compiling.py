"""C functions made of users' functions by Numba, and functions for other code that it compiles.

Their loops are vectorized where the functions that are called are: branches become selects. Each is
compiled once for a dtype, and takes no lock of Python's.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cfunc, config, njit, types
from numba.extending import intrinsic

from fastgrad.custom.compiled_dual import as_dual, constant, slope_of, value_of, variable
from fastgrad.custom.compiled_functions import OPTIONS
from fastgrad.custom.rebinding import Copies

if TYPE_CHECKING:
    from fastgrad.custom.elementwise import Elementwise

_REALS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}

_OF_LOOPS = {key: value for key, value in OPTIONS.items() if key != "forceinline"}


@intrinsic
def _address(typingctx: Any, pointer: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], context.get_value_type(types.intp))

    return types.intp(pointer), generate


def made(found: Elementwise, dtype: Any) -> Any:
    """The C function of a user's function for a dtype; what has an `address`."""
    if config.DISABLE_JIT:
        return _Interpreted(found, np.dtype(dtype))
    kind = _activation if len(found.arguments) == 1 else _loss
    return kind(both_of(found, njit(**OPTIONS)), _REALS[np.dtype(dtype)])


def both_of(found: Elementwise, compiled: Any) -> Any:
    """The compiled function of a number, or of a number and a target, that gives value and slope.

    Parameters
    ----------
    found : Elementwise
    compiled : callable
        A decorator of Numba's, for whatever it compiles for.
    """
    copies = Copies(compiled)
    phi = copies.of(found.function)
    dphi = None if found.derivative is None else copies.of(found.derivative)

    def of_number(z):
        if dphi is None:
            found = as_dual(phi(variable(z)), z)
            return value_of(found), slope_of(found)
        still = constant(z)
        return value_of(as_dual(phi(still), z)), value_of(as_dual(dphi(still), z))

    def of_both(z, target):
        fixed = constant(target)
        if dphi is None:
            found = as_dual(phi(variable(z), fixed), z)
            return value_of(found), slope_of(found)
        still = constant(z)
        value = value_of(as_dual(phi(still, fixed), z))
        return value, value_of(as_dual(dphi(still, fixed), z))

    return compiled(of_number if len(found.arguments) == 1 else of_both)


def _activation(both: Any, real: Any) -> Any:
    """``void f(const real *z, real *y, real *slope, int64 n)``: y = phi(z), slope = phi'(z).

    y may be z. slope may be NULL.
    """
    pointer = types.CPointer(real)

    @cfunc(types.void(pointer, pointer, pointer, types.int64), **_OF_LOOPS)
    def run(z, y, slope, n):
        # in place from here on: of two arrays a loop would have to ask whether they overlap
        if _address(z) != _address(y):
            for i in range(n):
                y[i] = z[i]
        if _address(slope) == 0:
            for i in range(n):
                y[i] = both(y[i])[0]
        else:
            for i in range(n):
                y[i], slope[i] = both(y[i])

    return run


def _loss(both: Any, real: Any) -> Any:
    """``void f(const real *z, const real *target, real *value, real *dz, int64 n)``.

    value = phi(z, target), and dz its derivative with respect to z; no two of them overlap.
    """
    pointer = types.CPointer(real)

    @cfunc(types.void(pointer, pointer, pointer, pointer, types.int64), **_OF_LOOPS)
    def run(z, target, value, dz, n):
        for i in range(n):
            value[i], dz[i] = both(z[i], target[i])

    return run


class _Interpreted:
    """The same of a function that is run in Python, which NUMBA_DISABLE_JIT asks for."""

    def __init__(self, found: Elementwise, dtype: np.dtype[Any]) -> None:
        inputs = len(found.arguments)
        kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double

        def run(*given: Any) -> None:
            places, n = given[:-1], given[-1]
            arrays = [
                None if place is None else np.ctypeslib.as_array((kind * n).from_address(place))
                for place in places
            ]
            results = found.evaluated(*(array.copy() for array in arrays[:inputs]))  # type: ignore[union-attr]
            for array, result in zip(arrays[inputs:], results, strict=True):
                if array is not None:
                    array[...] = result

        pointers = [ctypes.c_void_p] * (inputs + 2)
        self._callback = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(run)
        self.address = ctypes.cast(self._callback, ctypes.c_void_p).value
