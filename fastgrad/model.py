"""`Sequential`: layers in a row, their parameters in one arena, their passes recorded once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad import backends, checks
from fastgrad.arena import Arena, Array, Part, Views
from fastgrad.containers import buffers_of, features_of, own, parameters_of, record_all
from fastgrad.data.file_rows import FileRows
from fastgrad.data.windows import parts, without_padding
from fastgrad.initializers import InitFunction
from fastgrad.layers import Backward, Layer
from fastgrad.predicting import predict
from fastgrad.program import Memory, State, Tape, Workspace
from fastgrad.recurrent.models import recurrent_layers
from fastgrad.recurrent.time_gradients import TimeGradients, time_gradients
from fastgrad.summary import Summary, summarize


@dataclass
class Pass:
    """The recorded forward pass for one input shape, and its backward pass once asked for."""

    tape: Tape
    x: Array
    y: Array
    outputs: list[Array]  # of every layer, for the search for the first one that is not finite
    record_backward: Backward
    forward: Any
    status: Array
    train: bool
    backwards: dict[bool, tuple[Array, Array | None, Any]]  # by input_grad: dy, dx, program
    mark: Any  # of the tape, after the forward pass
    spent: bool = False  # whether a backward pass has overwritten what the forward pass kept


class Sequential:
    """Layers applied one after the other.

    Parameters
    ----------
    *layers : Layer or Sequential
        A Sequential takes part as one layer, with a copy of its parameters (``"1.0.weight"``).
    rng : int or numpy.random.Generator
        Seed of the initial parameters, and of what is random in training (`Dropout`).
    dtype : "float32" or "float64"

    Attributes
    ----------
    params, grads : mapping of str to ndarray
        Views of parameters and gradients by PyTorch's names: ``"0.weight"`` (outputs, inputs),
        ``"0.bias"``. Writing into a view (``params["0.weight"][...] = w``) changes the model.
    buffers : mapping of str to ndarray
        Views of what is kept and saved with the model, but not trained: ``"1.running_mean"``.
    flat_params, flat_grads, flat_buffers : ndarray
        The arenas: all parameters, all gradients, all buffers, as one vector each.
    metadata : dict of str to str
        Saved and loaded with the model.
    """

    def __init__(
        self, *layers: Layer | Sequential, rng: Any = None, dtype: Any = "float32"
    ) -> None:
        self.dtype = checks.dtype(dtype)
        self.layers = checks.layers(layers)
        generator = checks.generator(rng)
        self.inputs, self.outputs = features_of(self.layers)
        self.indices = self.layers[0].indices
        specs = parameters_of(self.layers)
        shapes = {name: shape for name, (shape, _) in specs.items()}
        self._param_arena = Arena(shapes, self.dtype)
        self._grad_arena = Arena(shapes, self.dtype)
        for name, (shape, init) in specs.items():
            values = _drawn(name, init, shape, generator, self.dtype)
            self.params[name] = values  # says so when an initializer returns another shape
        buffers = buffers_of(self.layers)
        self._buffer_arena = Arena({n: shape for n, (shape, _) in buffers.items()}, self.dtype)
        for name, (shape, init) in buffers.items():
            self.buffers[name] = _drawn(name, init, shape, generator, self.dtype)
        self._drawn = None if rng is not None else zlib.crc32(self.flat_params.data)
        self._seed = checks.seed_of(generator)
        self._count = np.zeros(1, np.int64)  # of the forward passes in training
        self.metadata: dict[str, str] = {}
        self._sequential = bool(recurrent_layers(self.layers))
        self._memory = Memory()
        self._forget()

    def values(self) -> dict[str, Array] | None:
        """Parameters and buffers, but None where they are what chance gave a model without rng:
        the model that it becomes a part of then draws them from its own."""
        if self._drawn is not None and self._drawn == zlib.crc32(self.flat_params.data):
            return None
        return {**self.params, **self.buffers}

    def _forget(self) -> None:
        """Have nothing recorded."""
        # apart, so that a look at other data between forward and backward does no harm
        self._workspaces = {train: Workspace() for train in (False, True)}
        self._passes: dict[Any, Pass] = {}
        self._flow: Mapping[str, Array] = {}  # of the last backward pass, here or in a Trainer
        self._last: Pass | None = None

    def __getstate__(self) -> dict[str, Any]:
        # points into the memory of this model
        recorded = ("_workspaces", "_passes", "_flow", "_last")
        return {name: value for name, value in vars(self).items() if name not in recorded}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    @property
    def params(self) -> Views:
        """Views of the parameters, by name."""
        return self._param_arena.views

    @property
    def grads(self) -> Views:
        """Views of the gradients of the last backward pass or training step, by name."""
        return self._grad_arena.views

    @property
    def buffers(self) -> Views:
        """Views of what is kept and saved, but not trained, by name."""
        return self._buffer_arena.views

    @property
    def flat_buffers(self) -> Array:
        """All buffers as one vector, laid out as `flat_params`."""
        return self._buffer_arena.flat

    @property
    def flat_params(self) -> Array:
        """All parameters as one vector; between two arrays lie up to 15 zeros."""
        return self._param_arena.flat

    @property
    def flat_grads(self) -> Array:
        """All gradients as one vector, laid out as `flat_params`."""
        return self._grad_arena.flat

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where in the flat vectors each parameter lies."""
        parts = self._param_arena.parts
        matrices = [part.name for part in parts if len(part.shape) == 2]
        return tuple(replace(part, hidden=part.name in matrices[1:-1]) for part in parts)

    @property
    def num_parameters(self) -> int:
        """How many numbers training changes."""
        return sum(view.size for view in self.params.values())

    def layer_starts(self) -> list[int]:
        """Where in the flat vectors each layer with parameters starts."""
        starts: dict[str, int] = {}
        for name, start in self._param_arena.starts.items():
            starts.setdefault(name.rpartition(".")[0], start)
        return list(starts.values())

    @property
    def input_dtype(self) -> np.dtype[Any]:
        """The model's own, or int64 where it takes indices."""
        return self.dtype if self.indices is None else np.dtype(np.int64)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the outputs for an input of that shape."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def checked(self, name: str, x: Any, check_finite: bool = True) -> Array:
        """A batch as the first layer takes it, C-contiguous and of `input_dtype`.

        Raises
        ------
        ValueError, TypeError
            If it has another shape or kind, no rows, values that are not finite (looked for with
            `check_finite`), or indices that are out of range; the error calls it `name`.
        """
        if self.indices is not None:
            return checks.indices(name, x, self.indices)
        return checks.rows(name, x, self.inputs, self.dtype, check_finite, self._sequential)

    def are_sequences(self, shape: tuple[int, ...]) -> bool:
        """Whether an input of that shape is sequences: (N, T, inputs), or of indices (N, T)."""
        return len(shape) == self._sequence_axes

    @property
    def _sequence_axes(self) -> int:
        return 3 if self.indices is None else 2

    def checked_lengths(self, name: str, lengths: Any, shape: tuple[int, ...]) -> Array:
        """Lengths of the sequences in an input of that shape, (N,) int64.

        Raises
        ------
        ValueError, TypeError
            If they do not fit; the error calls them `name`.
        """
        return checks.lengths(name, lengths, shape, self._sequence_axes)

    def fit_input(self, X: Any, again: bool = True, lengths: Any = None) -> None:
        """Take the statistics of `Standardize` from these rows.

        Parameters
        ----------
        X : array-like, (N, inputs) or (N, T, inputs), or FileRows
            Training rows only: what is held out must not be seen.
        again : bool
            Whether statistics that the model has already are taken anew.
        lengths : array-like (N,), optional
            How many steps of each sequence count.

        Raises
        ------
        ValueError, TypeError
            As `forward`.
        """
        given = self._given(X)
        steps = None if lengths is None else self.checked_lengths("lengths", lengths, given.shape)
        if steps is not None and not steps.any():
            raise ValueError("lengths are all 0: no step counts")

        def rows() -> Iterator[Array]:
            with parts(given, self.input_dtype, 1, self.indices) as (_, windows):
                yield from windows if steps is None else without_padding(windows, steps)

        self.layers[0].fit_input(rows, own(self.buffers, 0), again)

    def _given(self, X: Any) -> Array | FileRows:
        """Rows that the first layer takes; those in files are checked when they are read."""
        if not isinstance(X, FileRows):
            return self.checked("X", X)
        X.check(self.inputs, self.indices, self._sequential)
        return X

    def summary(self, input_shape: tuple[int, ...] | None = None) -> Summary:
        """Shapes, parameters, operations and memory of every layer, to be printed.

        Parameters
        ----------
        input_shape : tuple of int, optional
            (N, inputs) or (N, T, inputs); of indices (N,) or (N, T). Default: one row, and one step
            of it where layers are recurrent.

        Returns
        -------
        Summary
        """
        return summarize(self, input_shape)

    def record(self, tape: Tape, x: Array, train: bool) -> tuple[Array, list[Array], Backward]:
        """Record all layers on x; return output, every layer's output, and the way back."""
        kept = {**self.params, **self.buffers}
        return record_all(self.layers, tape, x, kept, self.grads, train)

    def forward(self, x: Any, train: bool = True, lengths: Any = None, states: Any = None) -> Array:
        """Outputs for a batch.

        Parameters
        ----------
        x : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T)
        train : bool
            Whether a backward pass follows.
        lengths : array-like (N,), optional
            How many steps of each sequence count; what comes after them is padding.
        states : mapping of str to array-like (N, units), optional
            What recurrent layers start from, by the names in `states`, ``"0.h_l0"`` and for an LSTM
            ``"0.c_l0"``; those that are not named start from zeros.

        Returns
        -------
        ndarray, (N, outputs) or (N, T, outputs)
            A new array.

        Raises
        ------
        ValueError, TypeError
            If x has another shape or kind, no rows, values that are not finite, or indices that
            are out of range; likewise for lengths and states.
        RuntimeError
            If `Standardize` has no statistics yet.
        """
        rows = self.checked("x", x)
        steps = None if lengths is None else self.checked_lengths("lengths", lengths, rows.shape)
        start = "own" if states is None else "given"
        known = self._pass(rows.shape, train, steps is not None, start)
        known.x[...] = rows
        if known.tape.lengths is not None:
            known.tape.lengths[...] = steps
        if states is not None:
            _fill(self._states_of(len(rows)), "states", states, "initial", self.dtype)
        self._last = None  # in case a layer raises: what it leaves is no forward pass
        if train:
            self._count[0] += 1
        known.forward.run([1], backends.num_threads())
        known.spent = False
        self._last = known if train else None
        self._memory.sequences = len(rows)
        return known.y.copy()

    def backward(self, dy: Any, input_grad: bool = True, d_states: Any = None) -> Array | None:
        """Gradients of ``sum(dy * y)`` for the batch of the last ``forward(x, train=True)``.

        Parameters
        ----------
        dy : array-like, the shape of y
        input_grad : bool
            Whether the gradient of the input is wanted as well; indices have none.
        d_states : mapping of str to array-like (N, units), optional
            Gradients of the final states, after a forward pass with `states`: what is added to the
            sum is ``d_states[name] * states[name]``.

        Returns
        -------
        dx : ndarray of x's shape, or None without `input_grad`
            `grads` holds the gradients of the parameters.

        Raises
        ------
        RuntimeError
            Without such a forward pass; or a second time after it in a model with recurrent layers,
            which overwrite what theirs has kept.
        ValueError
            If dy has another shape, or there is no gradient of the input.
        """
        if self._last is None:
            raise RuntimeError("backward needs a forward(x, train=True) before it")
        if input_grad and self.indices is not None:
            raise ValueError("indices have no gradient: call backward(dy, input_grad=False)")
        known = self._last
        if known.spent:
            raise RuntimeError(
                "backward overwrites what recurrent layers have kept: it needs another forward pass"
            )
        gradient = checks.array("dy", dy, known.y.shape, self.dtype)
        if known.tape.start == "given":
            given = {} if d_states is None else d_states
            _fill(self._states_of(len(known.x)), "d_states", given, "d_final", self.dtype)
        elif d_states is not None:
            raise ValueError("d_states needs a forward pass with states")
        if input_grad not in known.backwards:
            known.tape.back_to(known.mark)
            buffer = known.tape.empty(known.y.shape)
            dx = known.record_backward(buffer, input_grad)
            calls = known.tape.take()
            program = known.tape.backend.program([calls], known.status, known.tape.keep)
            known.backwards[input_grad] = buffer, dx, program
        buffer, dx, program = known.backwards[input_grad]
        buffer[...] = gradient
        program.run([1], backends.num_threads())
        self._flow = known.tape.through_time
        known.spent = bool(known.tape.in_steps)
        return dx.copy() if input_grad and dx is not None else None

    @property
    def states(self) -> dict[str, Array]:
        """The states of recurrent layers, (N, units) each, as copies.

        Those after the last `forward`, `predict` or training step, for the rows that it had: the
        last rows where `predict` has not taken all at once, the last minibatch of an epoch. Of a
        stateful layer they are what the next batch of as many rows goes on from: after a step that
        has failed those before it, after `reset_states` zeros; validation leaves them alone, and
        copies of the model have them, too. ``"0.h_l0"`` is that of layer 0, of its lowest level.
        Empty before the first pass.
        """
        return {
            name: (state.initial if state.lasting else state.final).copy()
            for name, state in self._states_of(self._memory.sequences).items()
        }

    @property
    def state_grads(self) -> dict[str, Array]:
        """Gradients of the initial states, after `backward` of a forward pass with `states`."""
        known = {} if self._last is None else self._states_of(len(self._last.x))
        return {name: state.d_initial.copy() for name, state in known.items()}

    def reset_states(self) -> None:
        """Have stateful layers start from zeros, for whatever number of rows.

        Each number of rows has states of its own.
        """
        self._memory.reset()

    def _states_of(self, sequences: int) -> dict[str, State]:
        return self._memory.of(sequences)

    @property
    def time_gradients(self) -> dict[str, TimeGradients]:
        """Norms of the gradient at each step of recurrent layers, in the last backward pass.

        That is the one of `backward`, of `Trainer.step`, or of the last minibatch of an epoch,
        before clips. ``"0.l0"`` is layer 0, its lowest level, ``"0.l0_reverse"`` the reverse
        direction of that. Empty before the first such pass. The arrays are copies.

        Examples
        --------
        >>> import fastgrad as fg
        >>> model = fg.Sequential(fg.RNN(3, 8), rng=0)
        >>> y = model.forward([[[1.0, 0.0, 0.0]] * 20])
        >>> dx = model.backward(y)
        >>> model.time_gradients["0.l0"].h.shape
        (20,)
        """
        return time_gradients(self.layers, self._flow)

    def predict(
        self,
        X: Any,
        batch_size: int | None = None,
        out: Array | None = None,
        lengths: Any = None,
    ) -> Array:
        """Outputs for any number of rows, `batch_size` of them at a time.

        Parameters
        ----------
        X : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T); or FileRows
        batch_size : int, optional
            By default 1024, but of sequences fewer where these would be more than 32768 steps, so
            that memory is bounded. A model with a stateful layer takes all rows at once.
        out : ndarray of the result's shape, optional
            Where to put the outputs: a memmap, for instance, where they are many.
        lengths : array-like (N,), optional
            How many steps of each sequence count.

        Returns
        -------
        ndarray, (N, outputs) or (N, T, outputs)
            `out`, where it is given. In sequences, what comes after the steps that count means
            nothing.
        """
        return predict(self, X, batch_size, out, lengths)

    def save(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write parameters and description to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : path
        metadata : mapping of str to str, optional
            Replaces `self.metadata` first.
        """
        from fastgrad.io import save

        save(self, path, metadata)

    def __repr__(self) -> str:
        rows = "".join(f"  {i}: {layer!r}\n" for i, layer in enumerate(self.layers))
        return f"Sequential(\n{rows})  # {self.num_parameters:,} parameters, {self.dtype}"

    def _pass(
        self, shape: tuple[int, ...], train: bool, lengths: bool = False, start: str = "own"
    ) -> Pass:
        backend = backends.active()
        key = (shape, train, lengths, start, backend.name)
        if key not in self._passes:
            if len(self._passes) >= 4:  # shapes of long ago need not be remembered
                self._passes.pop(next(iter(self._passes)))
            workspace = self._workspaces[train]
            tape = Tape(
                backend,
                workspace,
                self.dtype,
                seed=self._seed,
                count=self._count,
                lengths=np.zeros(shape[0], np.int64) if lengths else None,
                memory=self._memory,
                start=start,
            )
            x = tape.empty(shape, self.input_dtype)
            y, outputs, record_backward = self.record(tape, x, train)
            tape.good()
            status = np.zeros(1, np.int64)
            program = backend.program([tape.take()], status, tape.keep)
            self._passes[key] = Pass(
                tape, x, y, outputs, record_backward, program, status, train, {}, tape.mark()
            )
        return self._passes[key]


def _drawn(
    name: str,
    init: InitFunction,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    dtype: np.dtype[Any],
) -> Array:
    """What an array starts with; errors name it."""
    try:
        return np.asarray(init(shape, rng, dtype))
    except ValueError as why:
        raise ValueError(f"{name}: {why}") from why


def _fill(
    states: Mapping[str, State], what: str, given: Mapping[str, Any], name: str, dtype: Any
) -> None:
    """Write what is given into the states' arrays of that name, and zeros into the others'."""
    if not isinstance(given, Mapping):
        names = ", ".join(f"{key!r}: ..." for key in states)
        raise TypeError(f"{what} must map names to arrays, {{{names}}}, got {type(given).__name__}")
    unknown = given.keys() - states.keys()
    if unknown:
        raise ValueError(f"there is no state {min(unknown)!r}, only {', '.join(states) or 'none'}")
    values = {
        key: checks.array(f"{what}[{key!r}]", value, states[key].final.shape, dtype)
        for key, value in given.items()
    }
    for key, value in values.items():
        checks.finite(f"{what}[{key!r}]", value)
    for key, state in states.items():
        getattr(state, name)[...] = values.get(key, 0)
