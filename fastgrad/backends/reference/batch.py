"""Cutting a minibatch out of the data, and the end of a step."""

from __future__ import annotations

from fastgrad.arena import Array


def gather_rows(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def gather_labels(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def end_step(loss: Array, rows: int, total: Array, cursor: Array, step: Array) -> None:
    total[0] += rows * loss[0]
    cursor[0] += rows
    step[0] += 1
