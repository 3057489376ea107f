"""Cutting a minibatch out of the data, its weights, its end and a step's, scheduled values."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array


def gather_rows(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def gather_labels(source: Array, order: Array, cursor: Array, out: Array) -> None:
    out[...] = source[order[cursor[0] : cursor[0] + len(out)]]


def sequence_weights(lengths: Array | None, sample_weight: Array | None, weight: Array) -> None:
    weight[...] = 1 if sample_weight is None else sample_weight[:, None]
    if lengths is not None:
        weight[np.arange(weight.shape[1]) >= lengths[:, None]] = 0


def end_batch(
    loss: Array, rows: int, lengths: Array | None, total: Array, cursor: Array, batches: Array
) -> None:
    count = rows if lengths is None else lengths.sum()
    total += count * loss[0], count
    cursor[0] += rows
    batches[0] += 1


def end_step(step: Array) -> None:
    step[0] += 1


def schedule(table: Array, places: Array, first: Array, step: Array, values: Array) -> None:
    values[places] = table[min(max(step[0] - first[0], 0), len(table) - 1)]
