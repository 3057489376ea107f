"""What this processor's vectors hold, and LLVM code on whole vectors.

Numba compiles loops over numbers, and LLVM makes vectors of the simple ones. Register tiles and
transpositions are beyond it: they are written here as LLVM code on vectors, for whatever width the
processor has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types

I64 = ir.IntType(64)
I32 = ir.IntType(32)
CONTRACT = ("contract",)  # a product and a sum may be fused, and round once


def _features() -> set[str]:
    """Of the processor that Numba compiles for."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    try:
        return {name for name, has in llvm.get_host_cpu_features().items() if has}
    except RuntimeError:  # LLVM does not know how to ask this system
        return set()


FEATURES = _features()
WIDE_REGISTERS = "avx512vl" in FEATURES or "neon" in FEATURES  # 32 of them, else 16
VECTOR_BYTES = 64 if "avx512vl" in FEATURES else 32 if "avx2" in FEATURES else 16
LANES = {types.float32: VECTOR_BYTES // 4, types.float64: VECTOR_BYTES // 8}
SIZE = {types.float32: 4, types.float64: 8}
SUFFIX = {types.float32: "f32", types.float64: "f64"}


class Vectors:
    """LLVM code on vectors of one dtype, at the place where a builder stands.

    Addresses are 64-bit integers, distances are bytes.
    """

    def __init__(self, builder: ir.IRBuilder, real: Any) -> None:
        self.builder = builder
        self.real = ir.FloatType() if real == types.float32 else ir.DoubleType()
        self.size, self.lanes = SIZE[real], LANES[real]
        self.type = ir.VectorType(self.real, self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.suffix = f"v{self.lanes}{SUFFIX[real]}"
        self.zero = ir.Constant(self.type, None)

    def at(self, address: Any, *distances: Any) -> Any:
        """The address so many bytes further."""
        for distance in distances:
            if isinstance(distance, int):
                if distance == 0:
                    continue
                distance = I64(distance)
            address = self.builder.add(address, distance)
        return address

    def pointer(self, address: Any, kind: Any = None) -> Any:
        return self.builder.inttoptr(address, (kind or self.type).as_pointer())

    def load(self, address: Any) -> Any:
        return self.builder.load(self.pointer(address), align=self.size)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.pointer(address), align=self.size)

    def first_lanes(self, count: Any) -> Any:
        """A mask of the lanes below `count`, a 64-bit integer."""
        b, kind = self.builder, ir.VectorType(I32, self.lanes)
        limit = b.insert_element(ir.Constant(kind, ir.Undefined), b.trunc(count, I32), I32(0))
        limit = b.shuffle_vector(limit, ir.Constant(kind, ir.Undefined), ir.Constant(kind, None))
        return b.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), limit)

    def load_part(self, address: Any, mask: Any) -> Any:
        """The lanes of a mask, and zeros."""
        kinds = [self.type.as_pointer(), I32, self.mask_type, self.type]
        name = f"llvm.masked.load.{self.suffix}.p0"
        load = self._intrinsic(name, self.type, kinds)
        return self.builder.call(load, [self.pointer(address), I32(self.size), mask, self.zero])

    def store_part(self, value: Any, address: Any, mask: Any) -> None:
        kinds = [self.type, self.type.as_pointer(), I32, self.mask_type]
        store = self._intrinsic(f"llvm.masked.store.{self.suffix}.p0", ir.VoidType(), kinds)
        self.builder.call(store, [value, self.pointer(address), I32(self.size), mask])

    def everywhere(self, address: Any) -> Any:
        """The number at an address, in all lanes."""
        b = self.builder
        one = b.load(self.pointer(address, self.real), align=self.size)
        undefined = ir.Constant(self.type, ir.Undefined)
        first = b.insert_element(undefined, one, I32(0))
        lanes = ir.Constant(ir.VectorType(I32, self.lanes), None)
        return b.shuffle_vector(first, undefined, lanes)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.add(self.builder.fmul(a, b, flags=CONTRACT), c)

    def add(self, a: Any, b: Any) -> Any:
        return self.builder.fadd(a, b, flags=CONTRACT)

    def transposed(self, rows: list[Any]) -> list[Any]:
        """As many vectors as each has lanes: exchange halves, then quarters, ..."""
        kind = ir.VectorType(I32, self.lanes)
        distance = self.lanes // 2
        while distance:
            low = [i if i & distance == 0 else self.lanes + i - distance for i in range(self.lanes)]
            high = [
                i + distance if i & distance == 0 else self.lanes + i for i in range(self.lanes)
            ]
            swapped = list(rows)
            for i in range(self.lanes):
                if i & distance == 0:
                    pair = rows[i], rows[i + distance]
                    swapped[i] = self.builder.shuffle_vector(*pair, ir.Constant(kind, low))
                    swapped[i + distance] = self.builder.shuffle_vector(
                        *pair, ir.Constant(kind, high)
                    )
            rows, distance = swapped, distance // 2
        return rows

    def loop(
        self, count: Any, carried: list[Any], body: Callable[[Any, list[Any]], list[Any]]
    ) -> list[Any]:
        """Run body(i, carried) for i below `count`, which may be 0; what it carried at the end."""
        b = self.builder
        before = b.block
        head, inside, after = (b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(I64(0), before)
        state = [b.phi(value.type) for value in carried]
        for phi, value in zip(state, carried, strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", i, count), inside, after)
        b.position_at_end(inside)
        result = body(i, state)
        i.add_incoming(b.add(i, I64(1)), b.block)
        for phi, value in zip(state, result, strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return state

    def _intrinsic(self, name: str, result: Any, kinds: list[Any]) -> Any:
        found = self.builder.module.globals.get(name)
        return found or ir.Function(self.builder.module, ir.FunctionType(result, kinds), name)


def subroutine(
    builder: ir.IRBuilder, name: str, arguments: int, write: Callable[[ir.IRBuilder, Any], None]
) -> Any:
    """A function of 64-bit integers in the builder's module, written once.

    `write(builder, arguments)` writes it, up to its return.
    """
    found = builder.module.globals.get(name)
    if found is None:
        kind = ir.FunctionType(ir.VoidType(), [I64] * arguments)
        found = ir.Function(builder.module, kind, name)
        found.linkage = "internal"
        found.attributes.add("noinline")
        own = ir.IRBuilder(found.append_basic_block("entry"))
        write(own, found.args)
        own.ret_void()
    return found
