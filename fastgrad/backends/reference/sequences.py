"""Sequences as steps: the rows that are left at each time, the longest sequences first."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.reference.gradients import check_finite


def sequence_plan(lengths: Array, order: Array, offsets: Array) -> None:
    order[...] = np.argsort(-lengths, kind="stable")
    steps = np.arange(len(offsets) - 1)
    offsets[0] = 0
    offsets[1:] = np.cumsum((lengths[:, None] > steps).sum(axis=0))


def places(order: Array, offsets: Array, reverse: int) -> tuple[Array, Array, Array]:
    """Sequence and time that each row of the steps stands for; and how long each of `order` is."""
    counts = np.diff(offsets)
    lengths = (counts > np.arange(len(order))[:, None]).sum(axis=1)
    row = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
    step = np.repeat(np.arange(len(counts)), counts)
    return order[row], lengths[row] - 1 - step if reverse else step, lengths


def to_steps(x: Array, start: int, order: Array, offsets: Array, reverse: int, y: Array) -> None:
    sequence, step, _ = places(order, offsets, reverse)
    y[: offsets[-1]] = x[sequence, step, start : start + y.shape[1]]


def from_steps(
    x: Array, start: int, order: Array, offsets: Array, reverse: int, add: int, y: Array
) -> None:
    sequence, step, _ = places(order, offsets, reverse)
    columns = slice(start, start + x.shape[1])
    if not add:
        y[:, :, columns] = 0
        y[sequence, step, columns] = x[: offsets[-1]]
    else:
        y[sequence, step, columns] += x[: offsets[-1]]


def indices_to_steps(x: Array, order: Array, offsets: Array, reverse: int, y: Array) -> None:
    sequence, step, _ = places(order, offsets, reverse)
    y[: offsets[-1]] = x[sequence, step]
    y[offsets[-1] :] = -1


def last_steps(x: Array, start: int, order: Array, offsets: Array, y: Array) -> None:
    _, _, lengths = places(order, offsets, 0)
    i = np.arange(len(order))
    last = np.where(lengths > 0, len(order) + offsets[np.maximum(lengths - 1, 0)], 0) + i
    y[order, start : start + x.shape[1]] = x[last]


def take_rows(x: Array, start: int, order: Array, add: int, y: Array) -> None:
    taken = x[order, start : start + y.shape[1]]
    y[...] = y + taken if add else taken


def put_rows(x: Array, order: Array, y: Array) -> None:
    y[order] = x


def fill_rows(row: Array | None, y: Array) -> None:
    y[...] = 0 if row is None else row


def sum_rows(x: Array, sums: Array, status: Array | None) -> None:
    sums[...] = x.sum(axis=0)
    check_finite(sums, status)
