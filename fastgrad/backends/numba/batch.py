"""Cutting a minibatch out of the data, its weights, its end and a step's, scheduled values."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline, overload
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.machine import I32
from fastgrad.backends.numba.memory import address, copy, given, number, part
from fastgrad.backends.numba.team import Team, share

AHEAD = 2048  # bytes between the row that is copied and the row that is fetched
LINE = 64  # bytes that come from memory at a time


def fetch(place: int) -> None:
    """Have what lies at an address brought into the cache."""


@intrinsic
def _fetch(typingctx: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # to be read, at home in all caches, data
        builder.call(call, [builder.inttoptr(arguments[0], byte), I32(0), I32(3), I32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@overload(fetch)
def _overload_fetch(place: Any) -> Any:
    return lambda place: _fetch(place)


@inline
def fill(target: Array, value: float) -> None:
    for i in range(len(target)):
        target[i] = value


@kernel(work="4 * N * F")
def gather_rows(team: Team, source: Array, order: Array, cursor: Array, out: Array) -> None:
    rows, columns = out.shape
    low, high = share(team, rows, 1)
    own = part(order, cursor[0], rows)
    if columns == 1:
        column, to = part(source, 0, len(source)), part(out, 0, rows)
        for i in range(low, high):
            to[i] = column[np.uint64(own[i])]  # as unsigned: never from the end
        return
    # rows come from anywhere in the data: fetch those to come while this one is copied
    size = columns * source.itemsize
    ahead = 1 + AHEAD // (size + 1)
    start = address(source)
    for i in range(low, high):
        if i + ahead < high:
            to_come = start + own[i + ahead] * size
            for at in range(0, size, LINE):
                fetch(to_come + at)
        copy(part(source, own[i] * columns, columns), part(out, i * columns, columns))


@kernel(work="8 * N")
def gather_labels(team: Team, source: Array, order: Array, cursor: Array, out: Array) -> None:
    low, high = share(team, len(out), 8)
    own = part(order, cursor[0], len(out))
    for i in range(low, high):
        out[i] = source[np.uint64(own[i])]  # as unsigned: never from the end


@kernel(work="N * T")
def sequence_weights(
    team: Team, lengths: Array | None, sample_weight: Array | None, weight: Array
) -> None:
    rows, steps = weight.shape
    low, high = share(team, rows, 1)
    value, length = number(weight, 1.0), steps
    zero = number(weight, 0.0)
    for i in range(low, high):
        if given(sample_weight):
            value = sample_weight[i]
        if given(lengths):
            length = min(max(lengths[i], 0), steps)
        fill(part(weight, i * steps, length), value)
        fill(part(weight, i * steps + length, steps - length), zero)


@kernel
def end_batch(
    team: Team,
    loss: Array,
    rows: int,
    lengths: Array | None,
    total: Array,
    cursor: Array,
    batches: Array,
) -> None:
    count = rows
    if given(lengths):
        count = 0
        for i in range(len(lengths)):
            count += lengths[i]
    total[0] += count * loss[0]
    total[1] += count
    cursor[0] += rows
    batches[0] += 1


@kernel
def end_step(team: Team, step: Array) -> None:
    step[0] += 1
