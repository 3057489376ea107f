"""Outputs for any number of rows, in memory that is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import backends, checks
from fastgrad.arena import Array, write
from fastgrad.data.windows import parts
from fastgrad.recurrent.models import stateful_layer

if TYPE_CHECKING:
    from fastgrad.model import Sequential
    from fastgrad.passes import Pass

_ROWS = 1024  # at a time, unless told otherwise
_STEPS = 32 * _ROWS  # of sequences, that is


def run(model: Sequential, x: Array, lengths: Array | None, start: str = "own") -> Pass:
    """The prediction for checked rows, still where it has been made."""
    known = model._pass(x.shape, train=False, lengths=lengths is not None, start=start)
    write(known.x, x)
    if known.tape.lengths is not None:
        known.tape.lengths[...] = lengths
    known.forward.run([1], backends.num_threads())
    model._memory.sequences = len(x)
    return known


def predict(
    model: Sequential, X: Any, batch_size: int | None, out: Array | None, lengths: Any
) -> Array:
    """See `Sequential.predict`."""
    given = model._given(X, lengths)
    steps = None if lengths is None else model.checked_lengths("lengths", lengths, given.shape)
    size = _size(model, given.shape, batch_size)
    outputs, done = out, 0
    with parts(given, model.input_dtype, size, model.indices, steps) as (count, windows):
        for window in windows:
            for start in range(0, len(window), size):
                part = window[start : start + size]
                now = slice(done, done + len(part))
                y = run(model, part, None if steps is None else steps[now]).y
                if done == 0:
                    shape = (count, *y.shape[1:])
                    if outputs is None:
                        outputs = np.empty(shape, model.dtype)
                    checks.output("out", outputs, shape)
                assert outputs is not None
                outputs[now] = y
                done += len(part)
    assert outputs is not None
    return outputs


def _size(model: Sequential, shape: tuple[int, ...], given: int | None) -> int:
    """Rows at a time."""
    name = stateful_layer(model.layers)
    if given is None:
        if name is not None:
            return shape[0]
        steps = shape[1] if model.are_sequences(shape) else 1
        return max(1, min(_ROWS, _STEPS // steps))
    size = checks.count("batch_size", given)
    if name is not None and size < shape[0]:
        raise ValueError(
            f"layer {name} is stateful, so that all {shape[0]} rows must be one batch: leave out "
            f"batch_size, got {size}"
        )
    return size
