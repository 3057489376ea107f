"""The passes of a model: recorded for one input shape, and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import backends, checks, padding
from fastgrad.arena import Array
from fastgrad.layers import Backward
from fastgrad.program import Tape
from fastgrad.states import State

if TYPE_CHECKING:
    from fastgrad.model import Sequential


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


def record_pass(
    model: Sequential, shape: tuple[int, ...], train: bool, lengths: bool, start: str
) -> Pass:
    """The forward pass for inputs of that shape; `start` is that of `Tape`."""
    backend = backends.active()
    tape = Tape(
        backend,
        model._workspaces[train],
        model.dtype,
        seed=model._seed,
        count=model._count,
        lengths=np.zeros(shape[0], np.int64) if lengths else None,
        memory=model._memory,
        start=start,
    )
    x = tape.empty(shape, model.input_dtype)
    y, outputs, record_backward = model.record(tape, x, train)
    tape.good()
    status = np.zeros(1, np.int64)
    program = backend.program([tape.take()], status, tape.keep)
    return Pass(tape, x, y, outputs, record_backward, program, status, train, {}, tape.mark())


def run_forward(model: Sequential, x: Any, train: bool, lengths: Any, states: Any) -> Array:
    """See `Sequential.forward`."""
    rows = model.checked("x", x, lengths=lengths)
    steps = None if lengths is None else model.checked_lengths("lengths", lengths, rows.shape)
    start = "own" if states is None else "given"
    known = model._pass(rows.shape, train, steps is not None, start)
    known.x[...] = rows
    if known.tape.lengths is not None:
        known.tape.lengths[...] = steps
    if states is not None:
        _fill(model._states_of(len(rows)), "states", states, "initial", model.dtype)
    model._last = None  # in case a layer raises: what it leaves is no forward pass
    if train:
        model._count[0] += 1
    known.forward.run([1], backends.num_threads())
    known.spent = False
    model._last = known if train else None
    model._memory.sequences = len(rows)
    return known.y.copy()


def run_backward(model: Sequential, dy: Any, input_grad: bool, d_states: Any) -> Array | None:
    """See `Sequential.backward`."""
    if model._last is None:
        raise RuntimeError("backward needs a forward(x, train=True) before it")
    if input_grad and model.indices is not None:
        raise ValueError("indices have no gradient: call backward(dy, input_grad=False)")
    known = model._last
    if known.spent:
        raise RuntimeError(
            "backward overwrites what recurrent layers have kept: it needs another forward pass"
        )
    gradient = checks.array("dy", dy, known.y.shape, model.dtype)
    if gradient.ndim > 2 and gradient.shape[1] == known.x.shape[1]:
        gradient = padding.cleared(gradient, known.tape.lengths)
    if known.tape.start == "given":
        given = {} if d_states is None else d_states
        _fill(model._states_of(len(known.x)), "d_states", given, "d_final", model.dtype)
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
    model._flow = known.tape.through_time
    known.spent = bool(known.tape.in_steps)
    return dx.copy() if input_grad and dx is not None else None


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
