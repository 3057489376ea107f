"""`provenance`: where a NaN or an infinite number comes from.

A step that fails is run once more, kernel by kernel, in memory of its own: from the same
parameters, rows and random numbers. The first kernel that makes such a number of finite ones has
produced it; whoever reads it and writes more of them has passed it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastgrad import backends, checks, losses, padding, samples
from fastgrad.health.measurements import Measurements
from fastgrad.health.provenance_reading import Reader
from fastgrad.health.provenance_trace import Trace
from fastgrad.health.ranges import Range
from fastgrad.model import Sequential, checked_model
from fastgrad.snapshot import KEPT, Snapshot, states_of


@dataclass(frozen=True)
class Provenance:
    """Where the first number that was not finite came from.

    Attributes
    ----------
    kind : "nan" or "inf"
    operation : str
        What made it: "product", "activation", "normalization", "recurrent step", "sum", "dropout",
        "loss", "penalty", "gradient product" or "Python layer"; or where it was already: "input
        data", "weights", "statistics" (buffers), "initial state", "optimizer state" (and so in
        the weights), "optimizer update" (of the last step).
    backward : bool
        Whether that was in the backward pass.
    layer : str or None
        Name of the layer ("0", "2.1"); None for losses, penalties and input data.
    tensor : str
        The parameter ("2.weight"; in the backward pass its gradient), or what else it is.
    time_step : int or None
        In sequences.
    sample : int or None
        The row of the minibatch; of a sum over rows the one with the largest term. None where all
        have the same part in it.
    row : int or None
        The row of X, where the minibatch was one of an epoch over arrays; with a `validation`
        fraction X is what is left to train on.
    index : tuple of int
        Of the element in its tensor.
    inputs : mapping of str to Range
        How large the numbers were that it was made of.
    passed_on : tuple of str
        Layers that took it and gave more of them, in that order.
    cause : str
        All that in one sentence.
    step : int
        Optimizer steps done before.
    recent : tuple of (int, tuple of int)
        Step and rows of X of the last good steps of the epoch, `snapshot.KEPT` at most.
    history : Measurements or None
        What was measured in the steps before.
    """

    kind: str
    operation: str
    backward: bool
    layer: str | None
    tensor: str
    time_step: int | None
    sample: int | None
    row: int | None
    index: tuple[int, ...]
    inputs: Mapping[str, Range]
    passed_on: tuple[str, ...]
    cause: str
    step: int = 0
    recent: tuple[tuple[int, tuple[int, ...]], ...] = ()
    history: Measurements | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        which = "gradient of " * (self.backward and "." in self.tensor)
        rows = [f"step {self.step}: {self.cause}"]
        where = {
            "layer": self.layer,
            "operation": self.operation + ", backward" * self.backward,
            "tensor": f"{which}{self.tensor} {list(self.index)}",
            "time step": self.time_step,
            "sample": self.sample,
            "row of X": self.row,
            "passed on by": ", ".join(self.passed_on) or "no layer",
        }
        rows += [f"  {name:<13} {value}" for name, value in where.items() if value is not None]
        rows += [f"  {name}: {seen}" for name, seen in self.inputs.items()]
        return "\n".join(rows + self._before())

    def _before(self) -> list[str]:
        """A line for each of the steps before."""
        own = dict(self.recent)
        lines = {step: f"  step {step}" for step in own}
        if self.history is not None:
            seen = self.history[-KEPT:]
            totals = seen.total_gradient_norm
            weights = np.linalg.norm(seen.weight_norms, axis=1)
            for i, step in enumerate(seen.steps.tolist()):
                lines[step] = (
                    f"  step {step}  loss {seen.losses[i]:.4g}  |g| {totals[i]:.3g}  "
                    f"|w| {weights[i]:.3g}  rate {seen.rates[i]:.3g}"
                )
        for step, rows in own.items():
            shown = ", ".join(map(str, rows[:8])) + ", ..." * (len(rows) > 8)
            lines[step] += f"  rows {shown}"
        return ["the steps before:", *(lines[step] for step in sorted(lines))] if lines else []


def provenance(
    model: Sequential,
    x: Any,
    y: Any = None,
    loss: Any = None,
    lengths: Any = None,
    dy: Any = None,
    sample_weight: Any = None,
) -> Provenance | None:
    """Look for the origin of a number that is not finite in the passes over one batch.

    The model is left as it is. Dropout drops what it has dropped in the last forward pass.

    Parameters
    ----------
    model : Sequential
    x : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T)
        May hold numbers that are not finite.
    y : array-like, optional
        Targets, with `loss`: the backward pass follows the forward pass.
    loss : str or Loss, optional
    lengths : array-like (N,), optional
        How many steps of each sequence count.
    dy : array-like, the shape of the outputs, optional
        Instead of a loss: the gradient from which the backward pass starts.
    sample_weight : array-like, optional
        As for `Trainer.step`.

    Returns
    -------
    Provenance or None
        None where all is finite.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Examples
    --------
    >>> import fastgrad as fg
    >>> model = fg.Sequential(fg.Dense(2, 3, weight_init="ones"), fg.Activation("relu"), rng=0)
    >>> found = fg.health.provenance(model, [[1.0, 1.0], [3e38, 3e38]])
    >>> found.operation, found.layer, found.sample, found.passed_on
    ('product', '0', 1, ('1',))
    """
    checked_model(model)
    if (y is None) != (loss is None) or (sample_weight is not None and loss is None):
        raise ValueError("y, sample_weight and loss belong together")
    if dy is not None and loss is not None:
        raise ValueError("dy is the gradient of the outputs: give it, or a loss, but not both")
    rows = model.checked("x", x, check_finite=False, lengths=lengths)
    steps = None if lengths is None else model.checked_lengths("lengths", lengths, rows.shape)
    outputs = model.output_shape(rows.shape)
    snapshot = Snapshot(
        model,
        rows,
        backends.active().name,
        model._seed,
        int(model._count[0]),
        lengths=steps,
        states=states_of(model, len(rows)),
    )
    if loss is not None:
        own = samples.checked(losses.get(loss), rows, outputs, model.dtype, y, sample_weight, steps)
        snapshot.target, snapshot.weight, snapshot.loss = own.target, own.weight, own.loss
    elif dy is not None:
        snapshot.dy = padding.cleared(checks.array("dy", dy, outputs, model.dtype), steps)
    return of_snapshot(snapshot)


def of_snapshot(snapshot: Snapshot, history: Measurements | None = None) -> Provenance | None:
    """What comes of a snapshot's passes; None where all is finite.

    Parameters
    ----------
    snapshot : Snapshot
    history : Measurements, optional
        Of the steps before, to be shown with it, instead of those in the snapshot.
    """
    trace = Trace(snapshot)
    origin = trace.origin()
    if origin is None:
        return None
    read = Reader(trace).read(origin)
    passed = tuple(name for name in trace.passed_on(origin) if name != read.layer)
    place, rows = read.place, snapshot.rows
    cause = read.cause + (f"; passed on by {_listed(passed)}" if passed else "")
    return Provenance(
        kind=read.kind,
        operation=read.operation,
        backward=trace.calls[origin.call].backward and origin.argument is None,
        layer=read.layer,
        tensor=read.tensor,
        time_step=place.time_step,
        sample=place.sample,
        row=None if rows is None or place.sample is None else int(rows[place.sample]),
        index=place.index,
        inputs=read.inputs,
        passed_on=passed,
        cause=cause,
        step=snapshot.steps,
        recent=tuple((step, tuple(own.tolist())) for step, own in snapshot.recent),
        history=history or snapshot.history,
    )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"layer{'s' * (len(names) > 1)} {shown}"
