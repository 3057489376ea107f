"""Between sequences, (N, T, F), and steps: the rows of all sequences at each time."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.program import Tape


class Steps:
    """Records what moves a batch of sequences into steps and back.

    In steps the rows of one time lie together, so that a recurrent layer works on whole blocks of
    memory; with lengths the longest sequence comes first, and padding has no rows at all.

    Parameters
    ----------
    tape : Tape
    sequences, times : int
        N and T.

    Attributes
    ----------
    order : int64 (N,)
        The sequences in the order that they have in steps.
    offsets : int64 (T + 1,)
        Where each step starts.
    rows : int
        N T, the most that there may be.
    """

    def __init__(self, tape: Tape, sequences: int, times: int) -> None:
        self.tape = tape
        self.sequences, self.times = sequences, times
        self.rows = sequences * times
        if times not in tape.plans:
            tape.plans[times] = _plan(tape, sequences, times)
        self.order, self.offsets = tape.plans[times]

    def straight(self, reverse: bool) -> bool:
        """Whether sequences are steps already."""
        few = self.sequences == 1 or self.times == 1
        return few and self.tape.lengths is None and (self.times == 1 or not reverse)

    def take(self, x: Array, start: int, features: int, reverse: bool) -> Array:
        """Columns of x (N, T, G) as (rows, features); x itself where nothing has to move."""
        if self.straight(reverse) and features == x.shape[2]:
            return x.reshape(self.rows, features)
        y = self.tape.empty((self.rows, features))
        self.tape.call("to_steps", x, start, self.order, self.offsets, int(reverse), y)
        return y

    def take_indices(self, x: Array, reverse: bool) -> Array:
        """x (N, T) as (rows,)."""
        if self.straight(reverse):
            return x.reshape(self.rows)
        y = self.tape.empty((self.rows,), np.int64)
        self.tape.call("indices_to_steps", x, self.order, self.offsets, int(reverse), y)
        return y

    def put(self, x: Array, y: Array, start: int, reverse: bool, add: bool = False) -> None:
        """Put x (rows, F) into columns of y (N, T, G), or add it to them; padding becomes 0."""
        self.tape.call("from_steps", x, start, self.order, self.offsets, int(reverse), int(add), y)


def _plan(tape: Tape, sequences: int, times: int) -> tuple[Array, Array]:
    """Order and offsets."""
    if tape.lengths is None:
        return np.arange(sequences), sequences * np.arange(times + 1)
    order, offsets = tape.empty((sequences,), np.int64), tape.empty((times + 1,), np.int64)
    tape.call("sequence_plan", tape.lengths, order, offsets)
    return order, offsets
