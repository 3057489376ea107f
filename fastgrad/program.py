"""Recording: layers, losses and optimizers describe a step once; backends replay it many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from fastgrad.arena import ALIGNMENT, Array, aligned
from fastgrad.backends import Backend
from fastgrad.custom import UserActivation
from fastgrad.states import Memory, State

# name, alpha and slopes of an activation
Known: TypeAlias = tuple[str | UserActivation, float, Array | None]


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


class Watcher(Protocol):
    """Who is told what layers give, and the gradients of it, while they are recorded.

    `Tape.path` says whose they are.
    """

    def output(self, tape: Tape, y: Array, known: Known | None) -> None:
        """What comes out of a layer; and the name, alpha and slopes of its activation."""

    def gradient(self, tape: Tape, dy: Array) -> None:
        """The gradient with respect to that."""

    def inner_gradient(self, tape: Tape, dz: Array) -> None:
        """The gradient with respect to what a layer's activation is given."""


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
        Whether all runs have the same weights, so that what depends on them alone is made once: by
        `on_weights`, and what kernels pack by the first run.
    watcher : Watcher, optional
        Whom layers show what they give.

    Attributes
    ----------
    through_time : dict of str to ndarray
        By layer, level and direction ("0.l0"), norms of the gradient at each step; see "flow" in
        `contract`.
    in_steps : dict of str to InSteps
        By the same names, their outputs.
    plans : dict of int to (ndarray, ndarray)
        By the number of steps, order and offsets of the sequences, which all layers share; see
        "sequence_plan" in `contract`.
    on_weights : list
        With `keep_weights`, calls to run once before all others.
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
        watcher: Watcher | None = None,
    ) -> None:
        self.watcher = watcher
        self.status = status
        self.seed = seed
        self.count = np.zeros(1, np.int64) if count is None else count
        self.backend = backend
        self.dtype = np.dtype(dtype)
        self.calls: list[Any] = []
        self.keep: list[Any] = []
        self.when_good: list[Any] = []
        self.on_weights: list[Any] = []
        self.lengths = lengths
        self.memory = Memory() if memory is None else memory
        self.start = start
        self.keep_weights = keep_weights
        self.through_time: dict[str, Array] = {}
        self.in_steps: dict[str, InSteps] = {}
        self.plans: dict[int, tuple[Array, Array]] = {}
        self.path = ""
        self._activation: tuple[Array, Known] | None = None
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

    def state(self, name: str, shape: tuple[int, int], lasting: bool) -> State:
        """The state of that name at this place of the model, kept as long as the recording."""
        state = self.memory.state(f"{self.path}{name}", shape, self.dtype, lasting)
        self.keep.append(state)
        return state

    def of_weights(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """As `empty`, for what depends on weights alone.

        With `keep_weights` its content stays from run to run: its memory is never that of another
        array, whatever is released.
        """
        if not self.keep_weights:
            return self.empty(shape, dtype)
        array = aligned(shape, dtype or self.dtype)
        self.keep.append(array)
        return array

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

    def call_on_weights(self, kernel: str, *values: Any) -> None:
        """Record a call that reads weights and arrays `of_weights`, and writes such arrays."""
        if not self.keep_weights:
            self.call(kernel, *values)
            return
        self.on_weights.append(self.backend.record(kernel, *values))
        self.keep.append(values)

    def call_when_good(self, kernel: str, *values: Any) -> None:
        """Record a call that changes what outlives the step: it runs when nothing has failed."""
        self.when_good.append(self.backend.record(kernel, *values))
        self.keep.append(values)

    def python(self, function: Callable[[], None]) -> None:
        """Record a call back into Python, for layers that are written in it."""
        self.calls.append(function)

    def activated(
        self, y: Array, activation: str | UserActivation, alpha: float, slope: Array | None
    ) -> None:
        """Say what activation has given y, with its slopes where those are kept."""
        self._activation = y, (activation, alpha, slope)

    def see_output(self, y: Array) -> None:
        """Show what the layer at `path` gives."""
        known, self._activation = self._activation, None
        if self.watcher is not None:
            own = known is not None and known[0] is y
            self.watcher.output(self, y, known[1] if known is not None and own else None)

    def see_gradient(self, dy: Array) -> None:
        """Show the gradient with respect to what the layer at `path` gives."""
        if self.watcher is not None:
            self.watcher.gradient(self, dy)

    def see_inner_gradient(self, dz: Array) -> None:
        """Show the gradient with respect to what its activation is given."""
        if self.watcher is not None:
            self.watcher.inner_gradient(self, dz)

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


_nothing.does_nothing = True  # type: ignore[attr-defined]  # for backends whose calls all meet
