"""Recorded steps, and how minibatches of a data set come into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.arena import Array, aligned
from fastgrad.program import Tape


@dataclass
class Step:
    """The recorded step for one minibatch shape."""

    x: Array
    target: Array
    weight: Array | None
    outputs: list[Array]  # of every layer
    calls: list[Any]
    tape: Tape
    program: Any = None  # of this one step alone


@dataclass
class Feed:
    """The program of whole epochs over given arrays."""

    key: Any
    order: Array
    program: Any
    times: list[int]
    steps: list[Step]


class Held:
    """Copies, each in a place of its own, of data that a program cannot point to as it is."""

    def __init__(self) -> None:
        self._copies: dict[str, Array] = {}

    def hold(self, name: str, given: object, converted: Array) -> Array:
        """The user's own array where nothing had to be converted; else the copy, made anew."""
        if given is converted:
            return converted
        copy = self._copies.get(name)
        if copy is None or copy.shape != converted.shape or copy.dtype != converted.dtype:
            copy = self._copies[name] = aligned(converted.shape, converted.dtype)
        copy[...] = converted
        return copy


def gather(step: Step, arrays: list[Array], order: Array, cursor: Array) -> list[Any]:
    """Calls that fill the step's inputs with the rows at the cursor.

    Parameters
    ----------
    step : Step
    arrays : list of ndarray
        Inputs, targets and, if the step has them, weights; a row for each sample.
    order : int64 (N,)
        Row numbers in the order of training.
    cursor : int64 (1,)
        Where in `order` the next minibatch starts.
    """
    record, dtype = step.tape.backend.record, step.tape.dtype
    calls = []
    for source, out in zip(arrays, (step.x, step.target, step.weight), strict=False):
        assert out is not None
        if source.dtype == np.int64 and source.ndim == 1:
            calls.append(record("gather_labels", source, order, cursor, out))
        else:  # labels of sequences move as the bytes of some reals
            flat = source.view(dtype).reshape(len(source), -1)
            into = out.view(dtype).reshape(len(out), -1)
            calls.append(record("gather_rows", flat, order, cursor, into))
    return calls
