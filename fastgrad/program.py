"""Recording: layers, losses and optimizers describe a step once; backends replay it many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad.arena import ALIGNMENT, Array, aligned
from fastgrad.backends import Backend


class Workspace:
    """The memory behind the arrays of recordings, one after the other.

    A recording for fewer rows lies in the memory of the recording for more, so that the ragged
    last minibatch costs nothing.
    """

    def __init__(self) -> None:
        self.buffers: list[Array] = []

    def buffer(self, i: int, nbytes: int) -> Array:
        """Buffer number i, at least that large; the older, smaller one stays with its users."""
        if i == len(self.buffers):
            self.buffers.append(aligned(nbytes, np.uint8))
        elif self.buffers[i].nbytes < nbytes:
            self.buffers[i] = aligned(nbytes, np.uint8)
        return self.buffers[i]


@dataclass(frozen=True)
class State:
    """The state of a recurrent layer for as many sequences, in the order of the batch.

    Attributes
    ----------
    initial, final : ndarray, (N, units)
        Before the first step, if the recording starts from it, and after the last one.
    d_final, d_initial : ndarray, (N, units)
        Gradients with respect to them: given, and found.
    lasting : bool
        Whether each batch goes on from it, as in a stateful layer.
    """

    initial: Array
    final: Array
    d_final: Array
    d_initial: Array
    lasting: bool


MOST_COUNTS = 16  # of sequences, of which states that do not last are kept; recordings are fewer


class Memory:
    """The states of a model's recurrent layers; recordings for as many sequences share them.

    Attributes
    ----------
    sequences : int
        How many the last pass had, 0 before the first one.
    """

    def __init__(self) -> None:
        self.sequences = 0
        self._states: dict[tuple[str, tuple[int, int]], State] = {}

    def state(self, name: str, shape: tuple[int, int], dtype: Any, lasting: bool = False) -> State:
        """The state of that name; zeros, when it is asked for first."""
        key = name, shape
        if key not in self._states:
            self._forget(shape[0])
            initial, final, d_final, d_initial = (np.zeros(shape, dtype) for _ in range(4))
            self._states[key] = State(initial, final, d_final, d_initial, lasting)
        return self._states[key]

    def _forget(self, sequences: int) -> None:
        """Drop states of numbers of sequences asked for long ago, if nothing goes on from them."""
        counts = {shape[0] for (_, shape), state in self._states.items() if not state.lasting}
        if sequences in counts or len(counts) < MOST_COUNTS:
            return
        first = next(s[0] for (_, s), state in self._states.items() if not state.lasting)
        self._states = {
            key: state for key, state in self._states.items() if key[1][0] != first or state.lasting
        }

    def lasting(self) -> dict[str, Array]:
        """What the next batches go on from, as live arrays: ``"32.0.h_l0"`` for 32 sequences."""
        return {
            f"{shape[0]}.{name}": state.initial
            for (name, shape), state in self._states.items()
            if state.lasting
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
        return {name: s for (name, shape), s in self._states.items() if shape[0] == sequences}

    def reset(self) -> None:
        """Have all start from zeros."""
        for state in self._states.values():
            state.initial[...] = 0


@dataclass(frozen=True)
class InSteps:
    """What a recurrent layer gives at each step; `fastgrad.recurrent.steps` says how it lies.

    Attributes
    ----------
    h : ndarray, (N + N T, units)
        N rows of the initial state first.
    order, offsets : ndarray of int64
    reverse : bool
        Whether sequences are read from their last step to their first.
    """

    h: Array
    order: Array
    offsets: Array
    reverse: bool


class Tape:
    """Kernel calls in the order in which a replay runs them, and the arrays between them.

    Parameters
    ----------
    backend : Backend
        Whose kernels are recorded.
    workspace : Workspace
        Where `empty` takes its arrays from.
    dtype : float32 or float64
    status : int64[1], optional
        Raised by kernels that meet a loss or gradient which is not finite; None to let it pass.
    seed : int
        Of all that is random in the recorded layers.
    count : int64[1], optional
        Says which run it is when one starts, so that runs differ; both passes must see the same.
    lengths : int64[N], optional
        How many steps of each sequence count; the others are padding.
    memory : Memory, optional
        Where recurrent layers leave their states.
    start : "own", "given" or "carried"
        What recurrent layers start from: zeros or what they have learned, or their states in the
        memory; those carried are replaced by the final ones after each run. A stateful layer's
        always are.
    keep_weights : bool
        Whether recurrent layers may go on with the weights that the first run has found.

    Attributes
    ----------
    through_time : dict of str to ndarray
        By layer, level and direction ("0.l0"), norms of the gradient at each step; see "flow" in
        `contract`.
    in_steps : dict of str to InSteps
        By the same names, their outputs.
    """

    def __init__(
        self,
        backend: Backend,
        workspace: Workspace,
        dtype: Any,
        status: Array | None = None,
        seed: int = 0,
        count: Array | None = None,
        lengths: Array | None = None,
        memory: Memory | None = None,
        start: str = "own",
        keep_weights: bool = False,
    ) -> None:
        self.status = status
        self.seed = seed
        self.count = np.zeros(1, np.int64) if count is None else count
        self.backend = backend
        self.dtype = np.dtype(dtype)
        self.calls: list[Any] = []
        self.keep: list[Any] = []
        self.when_good: list[Any] = []
        self.lengths = lengths
        self.memory = Memory() if memory is None else memory
        self.start = start
        self.keep_weights = keep_weights
        self.through_time: dict[str, Array] = {}
        self.in_steps: dict[str, InSteps] = {}
        self.path = ""
        self._workspace = workspace
        self._random_layers = 0
        self._meets = False
        self._used = 0
        self._owner: dict[int, int] = {}
        self._free: list[int] = []

    def empty(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """An array for the time of the recording; its content is whatever was there."""
        kind = np.dtype(dtype or self.dtype)
        nbytes = max(math.prod(shape) * kind.itemsize, ALIGNMENT)
        fitting = [i for i in self._free if self._workspace.buffers[i].nbytes >= nbytes]
        if fitting:
            i = min(fitting, key=lambda i: self._workspace.buffers[i].nbytes)
            self._free.remove(i)
        else:
            i = self._used
            self._used += 1
        array = self._workspace.buffer(i, nbytes)[: math.prod(shape) * kind.itemsize]
        result: Array = array.view(kind).reshape(shape)
        self._owner[result.ctypes.data] = i
        self.keep.append(result)
        return result

    def release(self, array: Array) -> None:
        """Say that no later call needs this array's content; its memory may be given out again."""
        i = self._owner.get(array.ctypes.data)
        if i is not None and i not in self._free:
            self._free.append(i)

    def mark(self) -> tuple[list[int], dict[int, int], int]:
        """What memory is in use now, for `back_to`."""
        return list(self._free), dict(self._owner), self._used

    def back_to(self, mark: tuple[list[int], dict[int, int], int]) -> None:
        """Go on as if nothing had been recorded since, as another way to do so begins.

        What was recorded since shares its memory with what is recorded next: of the two, one runs.
        """
        free, owner, used = mark
        self._free = [*free, *range(used, self._used)]
        self._owner = dict(owner)

    def random_layer(self) -> int:
        """The number of one more layer that is random, by which it differs from the others."""
        self._random_layers += 1
        return self._random_layers - 1

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Have `path` end with that name, within the block: where in the model a layer is."""
        before = self.path
        self.path += f"{name}."
        yield
        self.path = before

    @contextmanager
    def met(self, between: bool) -> Iterator[None]:
        """Have all threads meet between the calls recorded here, where that is asked for.

        Compiled calls that hand a batch on by rows follow each other without it, as the layers
        of this package allow; what others do with the memory they are given is not known.
        """
        before, self._meets = self._meets, between
        yield
        if between:
            self.calls.append(_nothing)
        self._meets = before

    def call(self, kernel: str, *values: Any) -> None:
        """Record one kernel call; `contract.CONTRACT` says what the values are."""
        if self._meets:
            self.calls.append(_nothing)
        self.calls.append(self.backend.record(kernel, *values))
        self.keep.append(values)

    def call_when_good(self, kernel: str, *values: Any) -> None:
        """Record a call that changes what outlives the step: it runs when nothing has failed."""
        self.when_good.append(self.backend.record(kernel, *values))
        self.keep.append(values)

    def python(self, function: Callable[[], None]) -> None:
        """Record a call back into Python, for layers that are written in it."""
        self.calls.append(function)

    def good(self) -> None:
        """Here a step is known to be good; what waits for that runs next."""
        self.calls += self.when_good
        self.when_good = []

    def take(self) -> list[Any]:
        """The calls recorded since the last take."""
        calls, self.calls = self.calls, []
        return calls


def _nothing() -> None:
    """A call into Python, before and after which all threads meet."""
