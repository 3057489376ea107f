"""The states of recurrent layers, which outlive the recordings that use them or do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from fastgrad.arena import Array


@dataclass(frozen=True)
class State:
    """The state of a recurrent layer for as many sequences, in the order of the batch.

    Attributes
    ----------
    initial, final : ndarray, (N, units)
        Before the first step, if the recording starts from it, and after the last one.
    d_final, d_initial : ndarray, (N, units)
        Gradients with respect to them: given, and found.
    """

    initial: Array
    final: Array
    d_final: Array
    d_initial: Array


class Memory:
    """The states of a model's recurrent layers; recordings for as many sequences share them.

    Those that do not last are here as long as a recording uses them, and not in copies.

    Attributes
    ----------
    sequences : int
        How many the last pass had, 0 before the first one.
    """

    def __init__(self) -> None:
        self.sequences = 0
        self._lasting: dict[tuple[str, tuple[int, int]], State] = {}
        self._passing: WeakValueDictionary[tuple[str, tuple[int, int]], State]
        self._passing = WeakValueDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {"sequences": self.sequences, "_lasting": self._lasting}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._passing = WeakValueDictionary()

    def state(self, name: str, shape: tuple[int, int], dtype: Any, lasting: bool = False) -> State:
        """The state of that name; zeros, when it is asked for first."""
        states = self._lasting if lasting else self._passing
        state = states.get((name, shape))
        if state is None:
            state = State(*(np.zeros(shape, dtype) for _ in range(4)))
            states[name, shape] = state
        return state

    def lasting(self) -> dict[str, Array]:
        """What the next batches go on from, as live arrays: ``"32.0.h_l0"`` for 32 sequences."""
        return {
            f"{shape[0]}.{name}": state.initial for (name, shape), state in self._lasting.items()
        }

    def put_lasting(self, values: Mapping[str, Array]) -> None:
        """Go on from these."""
        for key, value in values.items():
            rows, units = value.shape
            name = key.partition(".")[2]
            self.sequences = self.sequences or rows
            self.state(name, (rows, units), value.dtype, True).initial[...] = value

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Start from zeros within the block, and after it from what there was before."""
        kept = {name: array.copy() for name, array in self.lasting().items()}
        sequences = self.sequences
        self.reset()
        try:
            yield
        finally:
            self.reset()
            self.put_lasting(kept)
            self.sequences = sequences

    def of(self, sequences: int) -> dict[str, State]:
        """All states for as many sequences, by name."""
        states = {**self._lasting, **self._passing}
        return {name: s for (name, shape), s in states.items() if shape[0] == sequences}

    def last(self) -> dict[str, Array]:
        """Those after the last pass, as copies; of those that last what the next one goes on from.

        The latter are as before it where it has failed.
        """
        lasting = {name for name, shape in self._lasting if shape[0] == self.sequences}
        return {
            name: (state.initial if name in lasting else state.final).copy()
            for name, state in self.of(self.sequences).items()
        }

    def reset(self) -> None:
        """Have all start from zeros."""
        for state in (*self._lasting.values(), *self._passing.values()):
            state.initial[...] = 0
