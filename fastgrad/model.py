"""`Sequential`: layers in a row, whose passes are recorded once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad import backends, checks
from fastgrad.arena import Array
from fastgrad.containers import features_of, own, record_all
from fastgrad.data.file_rows import FileRows
from fastgrad.data.windows import parts, without_padding
from fastgrad.layers import Backward, Layer
from fastgrad.parameters import Parameters
from fastgrad.passes import Pass, record_pass, run_backward, run_forward
from fastgrad.predicting import predict
from fastgrad.program import Tape, Workspace
from fastgrad.recent import Recent
from fastgrad.recurrent.models import recurrent_layers
from fastgrad.recurrent.time_gradients import TimeGradients, time_gradients
from fastgrad.states import Memory, State
from fastgrad.summary import Summary, summarize


class Sequential(Parameters):
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
        super().__init__(self.layers, generator, self.dtype)
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
        self._passes: Recent[Pass] = Recent(4)
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
    def input_dtype(self) -> np.dtype[Any]:
        """The model's own, or int64 where it takes indices."""
        return self.dtype if self.indices is None else np.dtype(np.int64)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the outputs for an input of that shape."""
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def checked(self, name: str, x: Any, check_finite: bool = True, lengths: Any = None) -> Array:
        """A batch as the first layer takes it, C-contiguous and of `input_dtype`.

        With `lengths` padding may be anything, and is 0 in what is returned.

        Raises
        ------
        ValueError, TypeError
            If it has another shape or kind, no rows, values that are not finite (looked for with
            `check_finite`), or indices that are out of range; the error calls it `name`.
        """
        if self.indices is not None:
            return checks.indices(name, x, self.indices, lengths)
        return checks.rows(
            name, x, self.inputs, self.dtype, check_finite, lengths, self._sequential
        )

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
        given = self._given(X, lengths)
        steps = None if lengths is None else self.checked_lengths("lengths", lengths, given.shape)
        if steps is not None and not steps.any():
            raise ValueError("lengths are all 0: no step counts")

        def rows() -> Iterator[Array]:
            with parts(given, self.input_dtype, 1, self.indices, steps) as (_, windows):
                yield from windows if steps is None else without_padding(windows, steps)

        self.layers[0].fit_input(rows, own(self.buffers, 0), again)

    def _given(self, X: Any, lengths: Any = None) -> Array | FileRows:
        """Rows that the first layer takes; those in files are checked when they are read."""
        if not isinstance(X, FileRows):
            return self.checked("X", X, lengths=lengths)
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
            How many steps of each sequence count; what comes after them is padding, and may be
            anything, in outputs too.
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
        return run_forward(self, x, train, lengths, states)

    def backward(self, dy: Any, input_grad: bool = True, d_states: Any = None) -> Array | None:
        """Gradients of ``sum(dy * y)`` for the batch of the last ``forward(x, train=True)``.

        Parameters
        ----------
        dy : array-like, the shape of y
            In padding it may be anything, and counts as 0.
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
        return run_backward(self, dy, input_grad, d_states)

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
        return self._memory.last()

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

        Of a user's activation the file has the name and no code; see `fastgrad.load`.

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
        """The recording for inputs of that shape; one of the four used last, or a new one."""
        key = (shape, train, lengths, start, backends.active().name)
        return self._passes.get(key, lambda: record_pass(self, shape, train, lengths, start))


def checked_model(model: Any) -> Sequential:
    """Whether it is one at all."""
    if not isinstance(model, Sequential):
        raise TypeError(f"model: expected a Sequential, got {type(model).__name__}")
    return model
