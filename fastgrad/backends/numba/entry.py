"""Kernels: Python functions of a team and the contract's arguments, and their recorded calls.

design:
 a) A kernel is compiled once for each dtype, whatever its arguments: arrays that are left out have
    the address 0, names are numbers.
 b) A recorded call is the kernel's arguments as Numba passes them, one 64-bit number after the
    other, and an entry that loads them and calls. Entries are a few lines of LLVM code, one for
    each list of types, so that a program is a table of addresses for one compiled loop.
"""

from __future__ import annotations

import functools
import inspect
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.compiler_lock import global_compiler_lock

from fastgrad.backends import contract
from fastgrad.backends.numba.compiling import cached, services
from fastgrad.backends.numba.machine import I64
from fastgrad.backends.numba.memory import Memory
from fastgrad.backends.numba.product import SCRATCH
from fastgrad.backends.numba.team import Team

_REALS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}
_KINDS = {"f8": types.float64, "i8": types.int64, "float": types.float64}


class Call:
    """A recorded call.

    Attributes
    ----------
    kernel : Kernel
    real : Numba type
    work : float
        In multiply-adds or their like; how many threads share it follows from that.
    """

    def __init__(self, kernel: Kernel, real: Any, values: tuple[Any, ...], work: float) -> None:
        self.kernel, self.real, self.values, self.work = kernel, real, values, work
        self._record: Any = None

    def addresses(self) -> tuple[int, int]:
        """Of the entry, and of the arguments."""
        entry, function = self.kernel.entry(self.real)
        if self._record is None:  # several programs may hold this call
            packed = self.kernel.packed(self.real, self.values)
            self._record = np.array([function, *packed], np.int64)
        return entry, self._record.ctypes.data

    def __call__(self) -> None:
        """Run it in Python."""
        team = Team(0, 1, 0, np.zeros(SCRATCH[self.real], self.real.name))
        with np.errstate(all="ignore"):
            self.kernel.function(team, *self.kernel.coded(self.real, self.values))


class Kernel:
    """A kernel of this backend.

    Parameters
    ----------
    function : callable
        Of the team and what the contract lists.
    work : str, optional
        A formula of the contract's sizes. Without it one thread runs the call alone.
    """

    def __init__(self, function: Callable[..., None], work: str | None) -> None:
        self.name = function.__name__
        self.function = function
        self._compiled = cached(function)
        self._work = None if work is None else compile(work, self.name, "eval")
        self._specs = contract.arguments(self.name)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = list(inspect.signature(function).parameters)[1:]
        self.__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in parameters])
        self._entries: dict[Any, tuple[int, int]] = {}
        self.__name__ = self.name

    def __call__(self, *values: Any) -> Call:
        """Record a call."""
        sizes: dict[str, int] = {}
        real = types.float64
        for spec, value in zip(self._specs, values, strict=True):
            if spec.dims is None or value is None:
                continue
            if spec.kind is None:
                real = _REALS[value.dtype]
            for dim, size in zip(spec.dims, value.shape, strict=True):
                times, symbol, extra = contract.size_of(dim)
                sizes[symbol] = (size - extra) // times
        work = 0.0 if self._work is None else float(eval(self._work, {}, sizes))
        return Call(self, real, values, work)

    def coded(self, real: Any, values: tuple[Any, ...]) -> list[Any]:
        """The values as the function takes them: names are their numbers."""
        return [
            _code(spec.kind, value, real) if spec.kind in _NAMED else value
            for spec, value in zip(self._specs, values, strict=True)
        ]

    def signature(self, real: Any) -> tuple[Any, ...]:
        """Numba types of the arguments."""
        scratch = Memory(real, 1)
        team = types.NamedTuple([types.int64, types.int64, types.int64, scratch], Team)
        return (team, *(_type(spec, real) for spec in self._specs))

    def is_ready(self, real: Any) -> bool:
        """Whether nothing is left to compile."""
        return real in self._entries

    def entry(self, real: Any) -> tuple[int, int]:
        """Addresses of what to call, and of the function that this needs to be given."""
        if real not in self._entries:
            if any(spec.dims and not spec.kind for spec in self._specs):
                services(real)
            signature = self.signature(real)
            self._compiled.compile(signature)
            compiled = self._compiled.overloads[signature]
            function = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
            self._entries[real] = _entry(compiled.target_context, signature), function
        return self._entries[real]

    def packed(self, real: Any, values: tuple[Any, ...]) -> list[int]:
        """The arguments, from scratch on, as `_entry` reads them."""
        size = SCRATCH[real]
        itemsize = np.dtype(real.name).itemsize
        numbers = [0, 0, size, itemsize, 0, size, itemsize]
        for spec, value in zip(self._specs, self.coded(real, values), strict=True):
            if spec.dims is not None:
                numbers += _array(value, len(spec.dims))
            elif spec.kind == "float":
                numbers += struct.unpack("q", struct.pack("d", value))
            else:
                numbers.append(int(value))
        return numbers


def kernel(function: Callable[..., None] | None = None, *, work: str | None = None) -> Any:
    """Make a `Kernel` of a function; as decorator, with or without arguments."""
    if function is None:
        return functools.partial(kernel, work=work)
    return Kernel(function, work)


_NAMED: dict[str, tuple[str, ...]] = {
    "activation": contract.ACTIVATIONS,
    "function": contract.FUNCTIONS,
    "loss": (),
}


def _code(kind: str, value: Any, real: Any) -> int:
    """The number of a name; of what a user has written, the address for the dtype."""
    return _NAMED[kind].index(value) if isinstance(value, str) else int(value.address(real.name))


def _type(spec: contract.Argument, real: Any) -> Any:
    if spec.dims is None:
        return _KINDS.get(str(spec.kind), types.int64)
    return Memory(_KINDS[spec.kind] if spec.kind else real, len(spec.dims))


def _array(value: Any, dimensions: int) -> list[int]:
    """Owner and parent, which are nobody's business here; size, where it lies, its shape."""
    if value is None:
        return [0] * (5 + 2 * dimensions)
    place = value.ctypes.data
    return [0, 0, value.size, value.itemsize, place, *value.shape, *value.strides]


_ENTRIES: dict[tuple[str, ...], tuple[int, Any]] = {}  # by LLVM's types; address and its owner


def _entry(context: Any, signature: tuple[Any, ...]) -> int:
    """Address of the code that calls a function of these types; the same for all of them."""
    kind = context.call_conv.get_function_type(types.none, signature)
    names = tuple(map(str, kind.args))
    with global_compiler_lock:
        if names not in _ENTRIES:
            _ENTRIES[names] = _compiled_entry(context, kind)
    return _ENTRIES[names][0]


def _compiled_entry(context: Any, function: Any) -> tuple[int, Any]:
    """Code that is given the address of a record, rank, used, inner and the address of scratch."""
    library = context.codegen().create_library("fastgrad_entry")
    module = library.create_ir_module("fastgrad_entry")
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * 5), "fastgrad_entry")
    builder = ir.IRBuilder(entry.append_basic_block())
    record, *team = entry.args
    place = builder.inttoptr(record, I64.as_pointer())

    def number(i: int) -> Any:
        return builder.load(builder.gep(place, [I64(i)]))

    result, error, *wanted = function.args
    arguments = [builder.alloca(result.pointee), builder.alloca(error.pointee)]
    # rank, used, inner; then scratch, whose fifth number is its address
    given = [*team[:3], *(number(1 + i) for i in range(len(wanted) - 3))]
    given[7] = team[3]
    for kind, value in zip(wanted, given, strict=True):
        if isinstance(kind, ir.PointerType):
            value = builder.inttoptr(value, kind)
        elif kind != I64:
            value = builder.bitcast(value, kind)
        arguments.append(value)
    builder.call(builder.inttoptr(number(0), function.as_pointer()), arguments)
    builder.ret_void()
    library.add_ir_module(module)
    library.finalize()
    return library.get_pointer_to_function("fastgrad_entry"), library
