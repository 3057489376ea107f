"""One pass over the flat arenas: what the optimizers that treat every element alike share.

design:
 a) Threads share whole blocks, so that an element is always met by the same code: of a pass that is
    watched those of its `blocks`, else of `BLOCK` elements.
 b) A watched block is looked at while it is in a cache, and beside a copy of its parameters.
 c) Where there are several loops for one update, they say where a product and a sum round once:
    LLVM would choose it for each of them, and a look must change no bit.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline, overload
from fastgrad.backends.numba.memory import given, part
from fastgrad.backends.numba.team import Team, share

BLOCK = 4096  # elements


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one rounding where the processor has that."""
    return a * b + c


@intrinsic
def _multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.f{a.bitwidth}"
        )
        return builder.call(function, arguments)

    return a(a, a, a), generate


@overload(multiply_add)
def _overload_multiply_add(a: Any, b: Any, c: Any) -> Any:
    return lambda a, b, c: _multiply_add(a, b, c)


@inline
def is_watched(blocks: Array | None, seen: Array | None, moved: Array | None) -> bool:
    return given(blocks) and (given(seen) or given(moved))


@inline
def pieces(team: Team, blocks: Array | None, watched: bool) -> tuple[int, int]:
    """This thread's pieces: blocks that are watched, or one that is not."""
    if watched and blocks is not None:
        return share(team, len(blocks) - 1, 1)
    return 0, 1


@inline
def piece(team: Team, size: int, blocks: Array | None, watched: bool, k: int) -> tuple[int, int]:
    """Where a piece starts, and its size."""
    if watched and blocks is not None:
        return blocks[k], blocks[k + 1] - blocks[k]
    low, high = share(team, size, BLOCK)
    return low, high - low


@inline
def copied(x: Array, room: Array, wanted: bool) -> Array:
    """A copy of x, where it is wanted."""
    if not wanted:
        return part(room, 0, 0)
    copy = part(room, 0, len(x))
    for i in range(len(x)):
        copy[i] = x[i]
    return copy
