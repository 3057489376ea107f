"""Register tiles of a product of matrices, and the packing of their right-hand sides.

design:
 a) A tile is `rows` rows by so many vectors of columns of C, all in registers while k runs. Each
    shape is code of its own, so that the rows of A are broadcast from where they lie.
 b) B comes from a panel: its rows k, each as wide as the tile, one after the other, padded with
    zeros to whole vectors. A panel of B stored by columns is transposed in registers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgrad.backends.numba.machine import (
    I64,
    SUFFIX,
    WIDE_REGISTERS,
    Vectors,
    subroutine,
)

VECTORS = 3  # of columns of a full tile
# most rows of a tile by its vectors: 24 accumulators, or half as many
ROWS = (0, 12, 12, 8) if WIDE_REGISTERS else (0, 6, 6, 4)


def _tile(real: Any, rows: int, vectors: int, v: Vectors, arguments: Any) -> None:
    """C[rows, columns] = plus + A B; ends in the block after all that."""
    k_count, a, a_row, a_col, b, b_row, c, c_row, columns, plus, plus_row = arguments
    builder = v.builder
    row_offsets = [builder.mul(a_row, I64(i)) for i in range(rows)]

    def step(k: Any, carried: list[Any]) -> list[Any]:
        a_k, b_k, *sums = carried
        right = [v.load(v.at(b_k, j * v.lanes * v.size)) for j in range(vectors)]
        for i in range(rows):
            left = v.everywhere(v.at(a_k, row_offsets[i]))
            for j in range(vectors):
                at = i * vectors + j
                sums[at] = v.multiply_add(left, right[j], sums[at])
        return [v.at(a_k, a_col), v.at(b_k, b_row), *sums]

    _, _, *sums = v.loop(k_count, [a, b, *[v.zero] * (rows * vectors)], step)
    last = (vectors - 1) * v.lanes
    mask = v.first_lanes(builder.sub(columns, I64(last)))
    whole = builder.icmp_signed("==", columns, I64(vectors * v.lanes))
    adds = builder.icmp_signed("!=", plus, I64(0))

    def finish(masked: bool, add: bool) -> None:
        for i in range(rows):
            here, there = (
                v.at(base, builder.mul(distance, I64(i)))
                for base, distance in ((c, c_row), (plus, plus_row))
            )
            for j in range(vectors):
                value, part = sums[i * vectors + j], masked and j == vectors - 1
                shift = j * v.lanes * v.size
                if add:
                    more = v.at(there, shift)
                    value = v.add(value, v.load_part(more, mask) if part else v.load(more))
                if part:
                    v.store_part(value, v.at(here, shift), mask)
                else:
                    v.store(value, v.at(here, shift))

    with builder.if_else(whole) as (then, otherwise):
        for way, masked in ((then, False), (otherwise, True)):
            with way, builder.if_else(adds) as (adding, alone):
                with adding:
                    finish(masked, True)
                with alone:
                    finish(masked, False)


def _write_tiles(real: Any, builder: ir.IRBuilder, arguments: Any) -> None:
    """All shapes behind one switch."""
    rows, vectors, *others = arguments
    after = builder.append_basic_block("after")
    number = builder.add(builder.mul(rows, I64(VECTORS + 1)), vectors)
    switch = builder.switch(number, after)
    for nv in range(1, VECTORS + 1):
        for mr in range(1, ROWS[nv] + 1):
            block = builder.append_basic_block(f"tile_{mr}_{nv}")
            switch.add_case(I64(mr * (VECTORS + 1) + nv), block)
            builder.position_at_end(block)
            _tile(real, mr, nv, Vectors(builder, real), others)
            builder.branch(after)
    builder.position_at_end(after)


def _write_pack_rows(real: Any, builder: ir.IRBuilder, arguments: Any) -> None:
    k_count, columns, vectors, b, b_row, panel = arguments
    v = Vectors(builder, real)
    left = builder.sub(vectors, I64(1))
    last = builder.mul(left, I64(v.lanes))
    mask = v.first_lanes(builder.sub(columns, last))
    width = builder.mul(vectors, I64(v.lanes * v.size))
    shift = builder.mul(last, I64(v.size))

    def step(k: Any, carried: list[Any]) -> list[Any]:
        source, target = carried

        def whole(j: Any, _: list[Any]) -> list[Any]:
            at = builder.mul(j, I64(v.lanes * v.size))
            v.store(v.load(v.at(source, at)), v.at(target, at))
            return []

        v.loop(left, [], whole)
        v.store(v.load_part(v.at(source, shift), mask), v.at(target, shift))
        return [v.at(source, b_row), v.at(target, width)]

    v.loop(k_count, [b, panel], step)


def _write_transpose(real: Any, builder: ir.IRBuilder, arguments: Any) -> None:
    """target[k, j] = source[j, k] for j < filled and k < depth; zeros for the other j."""
    filled, depth, source, source_row, target, target_row = arguments
    v = Vectors(builder, real)
    n = v.lanes
    whole = builder.and_(*(builder.icmp_signed("==", x, I64(n)) for x in (filled, depth)))
    with builder.if_else(whole) as (then, otherwise):
        with then:
            rows = [v.load(v.at(source, builder.mul(source_row, I64(j)))) for j in range(n)]
            for k, row in enumerate(v.transposed(rows)):
                v.store(row, v.at(target, builder.mul(target_row, I64(k))))
        with otherwise:
            mask = v.first_lanes(depth)
            none = ir.Constant(v.mask_type, None)
            rows = []
            for j in range(n):
                has = builder.icmp_signed("<", I64(j), filled)
                own = builder.select(has, mask, none)
                rows.append(v.load_part(v.at(source, builder.mul(source_row, I64(j))), own))
            every = v.first_lanes(I64(n))
            for k, row in enumerate(v.transposed(rows)):
                own = builder.select(builder.icmp_signed("<", I64(k), depth), every, none)
                v.store_part(row, v.at(target, builder.mul(target_row, I64(k))), own)


def _side(real: Any, side: int, vectors: int, v: Vectors, arguments: Any) -> None:
    k_count, a, b, c, columns, plus = arguments
    builder, wide, count = v.builder, vectors * v.lanes * v.size, side * vectors
    panel_bytes = builder.mul(k_count, I64(wide))
    starts = [v.at(b, builder.mul(panel_bytes, I64(s))) for s in range(side)]

    def step(k: Any, carried: list[Any]) -> list[Any]:
        at, *sums = carried
        left = v.everywhere(v.at(a, builder.mul(k, I64(v.size))))
        for s in range(side):
            for j in range(vectors):
                right = v.load(v.at(starts[s], at, j * v.lanes * v.size))
                i = s * vectors + j
                sums[i] = v.multiply_add(left, right, sums[i])
        return [v.at(at, wide), *sums]

    _, *sums = v.loop(k_count, [I64(0), *[v.zero] * count], step)
    mask = v.first_lanes(builder.sub(columns, I64((count - 1) * v.lanes)))
    whole = builder.icmp_signed("==", columns, I64(count * v.lanes))
    adds = builder.icmp_signed("!=", plus, I64(0))

    def finish(masked: bool, add: bool) -> None:
        for i, value in enumerate(sums):
            shift, part = i * v.lanes * v.size, masked and i == count - 1
            if add:
                more = v.at(plus, shift)
                value = v.add(value, v.load_part(more, mask) if part else v.load(more))
            if part:
                v.store_part(value, v.at(c, shift), mask)
            else:
                v.store(value, v.at(c, shift))

    with builder.if_else(whole) as (then, otherwise):
        for way, masked in ((then, False), (otherwise, True)):
            with way, builder.if_else(adds) as (adding, alone):
                with adding:
                    finish(masked, True)
                with alone:
                    finish(masked, False)


# panels side by side and vectors of each, by the number of vectors
SHAPES = {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 2), 6: (2, 3), 9: (3, 3), 12: (4, 3)}


def _write_side(real: Any, builder: ir.IRBuilder, arguments: Any) -> None:
    """One row times panels side by side: the sums of one alone would wait for each other."""
    number, *others = arguments
    after = builder.append_basic_block("after")
    switch = builder.switch(number, after)
    for vectors, shape in SHAPES.items():
        block = builder.append_basic_block(f"side_{vectors}")
        switch.add_case(I64(vectors), block)
        builder.position_at_end(block)
        _side(real, *shape, Vectors(builder, real), others)
        builder.branch(after)
    builder.position_at_end(after)


def _intrinsic(name: str, count: int, write: Any) -> Any:
    """A function of `like`, whose dtype it is for, and `count` integers."""

    def typed(typingctx: Any, like: Any, numbers: Any) -> Any:
        real = like.dtype

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            own = f"fastgrad_{name}_{SUFFIX[real]}"
            function = subroutine(builder, own, count, lambda b, a: write(real, b, a))
            builder.call(function, cgutils.unpack_tuple(builder, arguments[1], count))
            return context.get_dummy_value()

        return types.void(like, types.UniTuple(types.int64, count)), generate

    return intrinsic(typed)


# tile(like, (rows, vectors, K, a, a_row, a_col, b, b_row, c, c_row, columns, plus, plus_row))
tile = _intrinsic("tile", 13, _write_tiles)
# pack_rows(like, (K, columns, vectors, b, b_row, panel))
pack_rows = _intrinsic("pack_rows", 6, _write_pack_rows)
# transpose(like, (filled, depth, source, source_row, target, target_row))
transpose = _intrinsic("transpose", 6, _write_transpose)
# side_by_side(like, (vectors, K, a, b, c, columns, plus))
side_by_side = _intrinsic("side_by_side", 7, _write_side)
