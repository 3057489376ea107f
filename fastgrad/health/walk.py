"""`Walk`: both passes over one minibatch, with a look at every gradient on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import backends
from fastgrad.arena import Array
from fastgrad.containers import record_all
from fastgrad.program import Known, Tape, Workspace
from fastgrad.samples import Samples

if TYPE_CHECKING:
    from fastgrad.model import Sequential

Seen = dict[str, Any]


class Walk:
    """A `Watcher` that has a function look at arrays when they hold what they are named for.

    Parameters
    ----------
    look : callable
        What is kept of an array: a norm, or a copy.

    Attributes
    ----------
    outputs, gradients, inner_gradients : dict
        What has been kept of them, by the names of the layers. The gradient with respect to what
        a row of layers is given has the name ``"input"`` there.
    """

    def __init__(self, look: Callable[[Array], Any]) -> None:
        self._look = look
        self.outputs: Seen = {}
        self.gradients: Seen = {}
        self.inner_gradients: Seen = {}

    def output(self, tape: Tape, y: Array, known: Known | None) -> None:
        """Look at what comes out of a layer."""
        self._record(tape, y, self.outputs)

    def gradient(self, tape: Tape, dy: Array) -> None:
        """Look at the gradient with respect to that."""
        self._record(tape, dy, self.gradients)

    def inner_gradient(self, tape: Tape, dz: Array) -> None:
        """Look at the gradient with respect to what the layer's activation is given."""
        self._record(tape, dz, self.inner_gradients)

    def _record(self, tape: Tape, array: Array, into: Seen) -> None:
        name = tape.path.rstrip(".")

        def keep() -> None:
            into[name] = self._look(array)

        tape.python(keep)


def walk(
    model: Sequential, samples: Samples, look: Callable[[Array], Any], seed: int = 0, count: int = 0
) -> tuple[Walk, dict[str, Array]]:
    """Run both passes over a minibatch; nothing that outlives them changes.

    Parameters
    ----------
    model : Sequential
        Stateful layers start from zeros.
    samples : Samples
    look : callable
    seed, count : int
        Of dropout: those of a trainer and of its minibatch drop the same.

    Returns
    -------
    Walk
    dict of str to ndarray
        Gradients of the parameters.
    """
    watcher = Walk(look)
    lengths = None if samples.lengths is None else samples.lengths.copy()
    status = np.zeros(1, np.int64)
    tape = Tape(
        backends.active(),
        Workspace(),
        model.dtype,
        seed=seed,
        count=np.array([count], np.int64),
        lengths=lengths,
        watcher=watcher,
    )
    x = tape.empty(samples.x.shape, samples.x.dtype)
    x[...] = samples.x
    grads = {name: np.zeros_like(array) for name, array in model.grads.items()}
    kept = {**model.params, **model.buffers}
    z, _, backward = record_all(model.layers, tape, x, kept, grads, True)
    loss = np.zeros(1)
    dz = samples.loss.record(tape, z, samples.target.copy(), samples.weight, loss)
    backward(dz, False)
    tape.backend.program([tape.take()], status, tape.keep).run([1], backends.num_threads())
    return watcher, grads
