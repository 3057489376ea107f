"""Cutting a minibatch out of the data, the end of a minibatch and of a step, scheduled values."""

from __future__ import annotations

from fastgrad.arena import Array


def gather_rows(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def gather_labels(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def end_batch(loss: Array, rows: int, total: Array, cursor: Array, batches: Array) -> None:
    total += rows * loss[0], rows
    cursor[0] += rows
    batches[0] += 1


def end_step(step: Array) -> None:
    step[0] += 1


def schedule(table: Array, places: Array, first: Array, step: Array, values: Array) -> None:
    values[places] = table[min(max(step[0] - first[0], 0), len(table) - 1)]
