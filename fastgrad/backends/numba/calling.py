"""Functions that users have written, called by address; see `fastgrad.custom.compiling`."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import overload
from fastgrad.backends.numba.machine import I64
from fastgrad.backends.numba.memory import address

FIRST_ADDRESS = 4096  # numbers of functions from here on are addresses


@intrinsic
def _call(typingctx: Any, place: Any, numbers: Any) -> Any:
    """A C function of 64-bit numbers."""
    count = len(numbers)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [I64] * count).as_pointer()
        function = builder.inttoptr(arguments[0], kind)
        builder.call(function, cgutils.unpack_tuple(builder, arguments[1], count))
        return context.get_dummy_value()

    return types.void(types.int64, types.UniTuple(types.int64, count)), generate


def _call_in_python(place: int, *numbers: int) -> None:
    kinds = [ctypes.c_void_p] * (len(numbers) - 1)
    ctypes.CFUNCTYPE(None, *kinds, ctypes.c_int64)(place)(
        *(n or None for n in numbers[:-1]), numbers[-1]
    )


def call_activation(place: int, y: Array, slope: Array | None) -> None:
    """y: z on entry, f(z) on return; slope, where given: f'(z)."""
    _call_in_python(place, address(y), address(y), address(slope), len(y))


@overload(call_activation)
def _overload_call_activation(place: Any, y: Any, slope: Any) -> Any:
    return lambda place, y, slope: _call(place, (address(y), address(y), address(slope), len(y)))


def call_loss(place: int, z: Array, target: Array, value: Array, dz: Array) -> None:
    """value = f(z, target), and dz its derivative with respect to z."""
    _call_in_python(place, address(z), address(target), address(value), address(dz), len(z))


@overload(call_loss)
def _overload_call_loss(place: Any, z: Any, target: Any, value: Any, dz: Any) -> Any:
    return lambda place, z, target, value, dz: _call(
        place, (address(z), address(target), address(value), address(dz), len(z))
    )
