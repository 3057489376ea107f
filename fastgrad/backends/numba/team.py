"""The threads that share a call, and how they wait for each other.

As in the compiled kernels (src/fg_team.h), a share depends on sizes alone and no sum is split, so
that results do not depend on the number of threads.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgrad.backends.numba.compiling import inline, overload
from fastgrad.backends.numba.machine import FEATURES, I64

SERIAL_WORK = 100e3  # multiply-adds for which one more thread costs more than it brings
BARRIER = 24  # 64-bit numbers: who has arrived, which round it is, the flag, each with its line
ABANDONED = 18  # which of them says that somebody will never come
SPINS = 1000  # before a thread gives way


class Team(NamedTuple):
    """The threads of ranks below `used` run a call together; scratch is the thread's own."""

    rank: int
    used: int
    inner: int  # address of a barrier of theirs
    scratch: Any


def worth(work: float, size: int) -> int:
    """How many of `size` threads a call is worth."""
    return max(1, min(size, int(work / SERIAL_WORK)))


@inline
def share(team: Team, n: int, grain: int) -> tuple[int, int]:
    """This thread's part of range(n), cut at multiples of grain."""
    if team.used == 1:
        return 0, n
    pieces = (n + grain - 1) // grain
    low = pieces * team.rank // team.used * grain
    high = pieces * (team.rank + 1) // team.used * grain
    return min(low, n), min(high, n)


def _atomic(write: Callable[..., Any], takes_value: bool) -> Callable[..., int]:
    """A function of the address of a 64-bit number."""
    if takes_value:

        def typed(typingctx: Any, address: Any, value: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                place = builder.inttoptr(arguments[0], I64.as_pointer())
                return write(builder, place, arguments[1])

            return types.int64(types.int64, types.int64), generate

        with_value: Callable[..., int] = intrinsic(typed)
        return with_value

    def read(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return write(builder, builder.inttoptr(arguments[0], I64.as_pointer()))

        return types.int64(types.int64), generate

    alone: Callable[..., int] = intrinsic(read)
    return alone


def _store(builder: Any, place: Any, value: Any) -> Any:
    builder.store_atomic(value, place, "release", 8)
    return value


load = _atomic(lambda builder, place: builder.load_atomic(place, "acquire", 8), False)
store = _atomic(_store, True)
fetch_add = _atomic(
    lambda builder, place, value: builder.atomic_rmw("add", place, value, "acq_rel"), True
)


@intrinsic
def _pause(typingctx: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if "sse2" in FEATURES:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), []
            )
        return context.get_dummy_value()

    return types.void(), generate


def _giving_way() -> Any:
    """Where the system's function lies that lets another thread run; None where it has none."""
    if hasattr(os, "sched_yield"):
        return ctypes.CDLL(None).sched_yield
    if hasattr(ctypes, "windll"):
        return ctypes.windll.kernel32.SwitchToThread
    return None


_CAN_YIELD = _giving_way() is not None
if _CAN_YIELD:
    llvm.add_symbol("fastgrad_give_way", ctypes.cast(_giving_way(), ctypes.c_void_p).value)
_give_way: Any = types.ExternalFunction("fastgrad_give_way", types.int32())


@inline
def meet(barrier: int, size: int, flag: int) -> int:
    """Go on when `size` threads have come; all are told the same about the flag at its address."""
    if size == 1:
        return load(flag)
    generation = load(barrier + 64)
    if fetch_add(barrier, 1) == size - 1:
        seen = load(flag)
        store(barrier + 128, seen)
        store(barrier, 0)
        store(barrier + 64, generation + 1)
        return seen
    spins = 0
    while load(barrier + 64) == generation:
        if load(barrier + 8 * ABANDONED):
            return 1
        _pause()
        spins += 1
        if _CAN_YIELD and spins > SPINS:
            _give_way()
    return load(barrier + 128)


def wait(team: Team) -> None:
    """Go on when all threads of this call have come."""


@overload(wait)
def _overload_wait(team: Any) -> Any:
    def call(team: Any) -> None:
        if team.used > 1:
            meet(team.inner, team.used, team.inner + 136)  # a flag that nobody raises

    return call
