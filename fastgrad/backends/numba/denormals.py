"""Numbers below the smallest normal one: zero while a program runs, the twin of src/fg_denormal.h.

The mode is the thread's. Kernels whose results depend on such numbers keep them for their own time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastgrad.backends.numba.compiling import overload
from fastgrad.backends.numba.machine import FEATURES, I32, I64

BYTE = ir.IntType(8).as_pointer()
FLUSH = 0x8040 if "sse2" in FEATURES else 1 << 24  # results to zero, and operands as zero


def flush_denormals() -> int:
    """Take them for zero; the mode from before, for `set_mode`."""
    return 0


def keep_denormals() -> int:
    """Compute with them; the mode from before, for `set_mode`."""
    return 0


def set_mode(mode: int) -> None:
    """Go back to a mode."""


def _read(builder: Any) -> Any:
    if "sse2" in FEATURES:
        place = builder.alloca(I32)
        builder.call(_register(builder, "stmxcsr"), [builder.bitcast(place, BYTE)])
        return builder.zext(builder.load(place), I64)
    if "neon" in FEATURES:
        kind = ir.FunctionType(I64, [])
        return builder.asm(kind, "mrs $0, fpcr", "=r", [], side_effect=True)
    return I64(0)


def _write(builder: Any, mode: Any) -> None:
    if "sse2" in FEATURES:
        place = builder.alloca(I32)
        builder.store(builder.trunc(mode, I32), place)
        builder.call(_register(builder, "ldmxcsr"), [builder.bitcast(place, BYTE)])
    elif "neon" in FEATURES:
        kind = ir.FunctionType(ir.VoidType(), [I64])
        builder.asm(kind, "msr fpcr, $0", "r", [mode], side_effect=True)


def _register(builder: Any, name: str) -> Any:
    name = f"llvm.x86.sse.{name}"
    found = builder.module.globals.get(name)
    return found or ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [BYTE]), name)


def _change(change: Callable[[Any, Any], Any]) -> Any:
    """A function that changes the mode and returns the one from before."""

    @intrinsic
    def function(typingctx: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            before = _read(builder)
            _write(builder, change(builder, before))
            return before

        return types.int64(), generate

    return function


_flush = _change(lambda builder, mode: builder.or_(mode, I64(FLUSH)))
_keep = _change(lambda builder, mode: builder.and_(mode, I64(~FLUSH)))


@intrinsic
def _set(typingctx: Any, mode: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _write(builder, arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@overload(flush_denormals)
def _overload_flush() -> Any:
    return lambda: _flush()


@overload(keep_denormals)
def _overload_keep() -> Any:
    return lambda: _keep()


@overload(set_mode)
def _overload_set(mode: Any) -> Any:
    return lambda mode: _set(mode)


__all__ = ["flush_denormals", "keep_denormals", "set_mode"]
