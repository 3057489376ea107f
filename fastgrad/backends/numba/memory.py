"""Arrays as kernels take them: rows of them as flat views, and those that may be left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline, overload


class Memory(types.Array):
    """An array without gaps that somebody else keeps alive.

    Numba counts references to the owner of a plain one, by calls that cost more than a short loop.
    """

    def __init__(self, dtype: Any, ndim: int) -> None:
        name = f"memory({dtype}, {ndim}d)"
        super().__init__(dtype, ndim, "C", name=name)


@register_default(Memory)
class _Model(models.ArrayModel):
    def has_nrt_meminfo(self) -> bool:
        return False

    def get_nrt_meminfo(self, builder: Any, value: Any) -> None:
        return None

    def contains_nrt_meminfo(self) -> bool:
        return False

    def traverse(self, builder: Any) -> list[Any]:
        return []


def given(a: Array | None) -> TypeGuard[Array]:
    """Whether an array that may be left out is there."""
    return a is not None


def flat(a: Any, first: int, last: int) -> Any:
    """Rows first to last of an array, one after the other; nothing of one that is left out."""
    return None if a is None else a[first:last].reshape(-1)


def address(a: Any) -> int:
    """Where an array lies, in memory; 0 for one that is left out."""
    return 0 if a is None else int(a.ctypes.data)


@intrinsic
def _address(typingctx: Any, a: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(array.data, cgutils.intp_t)

    return types.intp(a), generate


@overload(address)
def _overload_address(a: Any) -> Any:
    if isinstance(a, types.NoneType):
        return lambda a: 0
    return lambda a: _address(a)


@overload(given)
def _overload_given(a: Any) -> Any:
    return lambda a: _address(a) != 0


@intrinsic
def _view(typingctx: Any, a: Any, start: Any, size: Any) -> Any:
    """Elements start to start + size of an array without gaps, which lives on elsewhere."""
    kind = Memory(a.dtype, 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        absent = cgutils.is_null(builder, array.data)  # and so is every part of it
        view = context.make_array(kind)(context, builder)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(array.data.type.pointee))
        context.populate_array(
            view,
            data=builder.select(absent, array.data, builder.gep(array.data, [arguments[1]])),
            shape=[arguments[2]],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=None,
        )
        return view._getvalue()

    return kind(a, types.intp, types.intp), generate


@overload(flat)
def _overload_flat(a: Any, first: Any, last: Any) -> Any:
    if a.ndim == 1:
        return lambda a, first, last: _view(a, first, last - first)
    if a.ndim == 2:
        return lambda a, first, last: _view(a, first * a.shape[1], (last - first) * a.shape[1])
    return lambda a, first, last: _view(
        a, first * a.shape[1] * a.shape[2], (last - first) * a.shape[1] * a.shape[2]
    )


@intrinsic
def view(typingctx: Any, like: Any, place: Any, size: Any) -> Any:
    """The array of `size` elements at an address, of the dtype that `like` has."""
    kind = Memory(like.dtype, 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        result = context.make_array(kind)(context, builder)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(array.data.type.pointee))
        context.populate_array(
            result,
            data=builder.inttoptr(arguments[1], array.data.type),
            shape=[arguments[2]],
            strides=[itemsize],
            itemsize=itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return kind(like, types.intp, types.intp), generate


@intrinsic
def pointer(typingctx: Any, a: Any) -> Any:
    """Where an array lies, for a service."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(a.dtype)(a), generate


def part(a: Any, start: int, size: int) -> Any:
    """`size` elements of an array without gaps, whatever its shape, from `start` on."""
    return None if a is None else a.reshape(-1)[start : start + size]


@overload(part)
def _overload_part(a: Any, start: Any, size: Any) -> Any:
    return lambda a, start, size: _view(a, start, size)


@inline
def copy(x: Array, y: Array) -> None:
    """y = x for 1-D arrays, which may be the same."""
    if address(x) != address(y):
        for i in range(len(y)):
            y[i] = x[i]


def raise_flag(status: Any) -> None:
    """Say that a gradient is not finite, where somebody listens."""
    if given(status):
        status[0] = 1


@overload(raise_flag)
def _overload_raise_flag(status: Any) -> Any:
    def call(status: Any) -> None:
        if given(status):
            status[0] = 1

    return call


def number(like: Any, value: float) -> Any:
    """A number of the dtype that an array has."""
    return like.dtype.type(value)


@overload(number)
def _overload_number(like: Any, value: Any) -> Any:
    real = like.dtype
    return lambda like, value: real(value)


def doubles(a: Any) -> Any:
    """The memory of a 1-D array as one of float64."""
    return a.view(np.float64)


def bits(a: Any) -> Any:
    """The memory of a 1-D array as one of integers of the same size."""
    return a.view(np.int32 if a.itemsize == 4 else np.int64)


def _seen_as(choose: Callable[[Any], Any]) -> Any:
    """A function of a 1-D array, whose memory it takes as an array of the chosen type."""

    @intrinsic
    def seen_as(typingctx: Any, a: Any) -> Any:
        kind = Memory(choose(a.dtype), 1)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            result = context.make_array(kind)(context, builder)
            before = context.get_abi_sizeof(array.data.type.pointee)
            after = context.get_abi_sizeof(result.data.type.pointee)
            size = builder.mul(array.nitems, context.get_constant(types.intp, before))
            itemsize = context.get_constant(types.intp, after)
            context.populate_array(
                result,
                data=builder.bitcast(array.data, result.data.type),
                shape=[builder.udiv(size, itemsize)],
                strides=[itemsize],
                itemsize=itemsize,
                meminfo=None,
            )
            return result._getvalue()

        return kind(a), generate

    return seen_as


_doubles = _seen_as(lambda real: types.float64)
_bits = _seen_as(lambda real: types.int32 if real.bitwidth == 32 else types.int64)


@overload(doubles)
def _overload_doubles(a: Any) -> Any:
    return lambda a: _doubles(a)


@overload(bits)
def _overload_bits(a: Any) -> Any:
    return lambda a: _bits(a)


__all__ = [
    "Memory",
    "address",
    "bits",
    "copy",
    "doubles",
    "flat",
    "given",
    "number",
    "part",
    "pointer",
    "raise_flag",
    "view",
]
