"""`Session`: one input after the other, as in a control loop, with little around the kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from fastgrad import backends, checks
from fastgrad.arena import Array
from fastgrad.containers import record_all
from fastgrad.program import Tape, Workspace
from fastgrad.recurrent.models import recurrent_layers
from fastgrad.states import Memory

if TYPE_CHECKING:
    from fastgrad.model import Sequential


class Session:
    """A model's forward pass for inputs of one shape, called again and again.

    Recurrent layers go on from call to call, whether they are stateful or not, from zeros at first.
    The weights are those that the model had when the session was made, until `refresh`. Inputs are
    not searched for values that are not finite: such a value comes out again, and stays in the
    state until `reset`.

    Parameters
    ----------
    model : Sequential
    shape : tuple of int
        Of each input: (N, T, inputs), where T is 1 in a control loop; (N, inputs) without steps; of
        indices (N, T) or (N,).
    threads : int

    Raises
    ------
    ValueError, TypeError
        For a shape that the model does not take or that is no tuple of integers, and for layers
        that cannot go on from call to call: bidirectional ones, those in reverse, and those that
        learn their initial state.

    Examples
    --------
    >>> import fastgrad as fg
    >>> import numpy as np
    >>> model = fg.Sequential(fg.GRU(8, 64), fg.Dense(64, 2), rng=0)
    >>> step = fg.Session(model, (1, 1, 8))
    >>> step(np.zeros((1, 1, 8))).shape
    (1, 2)
    """

    def __init__(self, model: Sequential, shape: tuple[int, ...], threads: int = 1) -> None:
        self.model = model
        zeros = np.zeros(checks.shape("shape", shape), model.input_dtype)
        self.shape = model.checked("x", zeros).shape
        for name, layer in recurrent_layers(model.layers).items():
            for option in ("bidirectional", "reverse", "learn_initial"):
                if getattr(layer, option):
                    what = f"a session goes forward from zeros, but layer {name} has {option}"
                    raise ValueError(what)
        self._by_index = model.indices is not None
        self._threads = checks.count("threads", threads)
        self._memory = Memory()
        self.refresh()

    def refresh(self) -> None:
        """Take the model's present weights, and make what depends on them; the state stays."""
        backend, model = backends.active(), self.model
        tape = Tape(
            backend,
            Workspace(),
            model.dtype,
            memory=self._memory,
            start="carried",
            keep_weights=True,
        )
        self._x = tape.empty(self.shape, model.input_dtype)
        # kept by the tape: what the program points to must not change, and must not go away
        own = {name: array.copy() for name, array in {**model.params, **model.buffers}.items()}
        self._y, _, _ = record_all(model.layers, tape, self._x, own, {}, train=False)
        tape.good()
        if tape.on_weights:
            once = backend.program([tape.on_weights], np.zeros(1, np.int64), tape.keep)
            once.run([1], self._threads)
        self._call = backend.program([tape.take()], np.zeros(1, np.int64), tape.keep).call

    def reset(self) -> None:
        """Have recurrent layers start from zeros."""
        self._memory.reset()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Session cannot be copied or pickled: it points into its own memory; copy its model, "
            "and make a Session of that"
        )

    def __call__(self, x: Any) -> Array:
        """Outputs for one input, as a new array.

        Raises
        ------
        ValueError, TypeError
            If x has another shape or no real numbers, or indices are out of range.
        """
        if self._by_index or not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            x = self.model.checked("x", x)
        if x.shape != self.shape:
            raise ValueError(f"x has shape {x.shape}, needs {self.shape}")
        return self._call(x, self._x, self._y, self._threads)
