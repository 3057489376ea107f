"""The directional finite-difference check of a backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgrad import checks, padding
from fastgrad.arena import Array
from fastgrad.model import Sequential
from fastgrad.samples import Samples


@dataclass(frozen=True)
class GradCheck:
    """What `gradcheck` found, per array.

    Attributes
    ----------
    analytic, numeric : dict of str to float
        The directional derivative by the backward pass, and by central differences.
    errors : dict of str to float
        Their difference, relative to the larger of the two and of rounding's share.
    ok : bool
        Whether every error is at most the tolerance.
    """

    analytic: dict[str, float]
    numeric: dict[str, float]
    errors: dict[str, float]
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether every error is at most the tolerance."""
        return all(error <= self.tolerance for error in self.errors.values())

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        lines = [
            f"{name:<12} analytic {self.analytic[name]: .6e}  numeric {self.numeric[name]: .6e}  "
            f"error {error:.1e}{'' if error <= self.tolerance else '  <-- too large'}"
            for name, error in self.errors.items()
        ]
        return "\n".join(lines)


def gradcheck(
    function: Sequential | Callable[..., Any],
    *inputs: Any,
    vjp: Callable[..., Sequence[Any]] | None = None,
    loss: Any = None,
    y: Any = None,
    lengths: Any = None,
    tolerance: float = 1e-6,
    rng: Any = 0,
) -> GradCheck:
    """Compare a backward pass with central differences along one random direction per array.

    Each array costs two evaluations, whatever its size. Everything should be float64.

    Parameters
    ----------
    function : Sequential or callable
        A float64 model, checked in its parameters and input; or ``f(*inputs)``, an array.
    *inputs : array-like
        The model's input ``x``; or the arguments of f.
    vjp : callable
        For a callable: ``vjp(dy, *inputs)`` returns the gradient of ``sum(dy * f)`` for each input.
    loss, y : optional
        For a model: check the gradient of this loss with targets y, instead of ``sum(dy * out)``.
    lengths : array-like (N,), optional
        For a model of sequences: how many steps of each count.
    tolerance : float
        Largest relative error that passes.
    rng : int or numpy.random.Generator
        Seed of the directions and of dy.

    Returns
    -------
    GradCheck
        True if all errors are within the tolerance; prints as a table.

    Notes
    -----
    With step h a central difference errs by O(h^2) and by rounding / h; h is the cube root of
    float64's epsilon, scaled to each array. At a kink (relu at 0) the two do not agree.
    All evaluations of a model are in training, and drop the same elements (`Dropout`).
    """
    generator = checks.generator(rng)
    if isinstance(function, Sequential):
        if len(inputs) != 1:
            raise TypeError(f"a model is checked at one input x, got {len(inputs)}")
        return _check_model(function, inputs[0], loss, y, lengths, tolerance, generator)
    if vjp is None:
        raise TypeError("vjp is needed to check a callable")
    arrays = [np.array(value, np.float64) for value in inputs]
    out = np.asarray(function(*arrays))
    dy = generator.standard_normal(out.shape)
    gradients = vjp(dy, *arrays)
    named = {f"input {i}": array for i, array in enumerate(arrays)}
    exact = dict(zip(named, (np.asarray(g) for g in gradients), strict=True))
    terms = float(np.abs(dy * out).sum())
    return _compare(
        named, exact, lambda: float((dy * function(*arrays)).sum()), terms, tolerance, generator
    )


def _check_model(
    model: Sequential,
    x: Any,
    loss: Any,
    y: Any,
    lengths: Any,
    tolerance: float,
    rng: np.random.Generator,
) -> GradCheck:
    if model.dtype != np.float64:
        raise TypeError(f"gradcheck needs a float64 model, got {model.dtype}")
    x = np.array(model.checked("x", x, lengths=lengths))
    has_dx = model.indices is None
    buffers = model.flat_buffers.copy()  # which a look at the model must not move
    count = model._count.copy()
    states = {name: array.copy() for name, array in model._memory.lasting().items()}

    def forward() -> Array:
        model._count[...] = count  # what is dropped is the same each time
        model._memory.reset()
        model._memory.put_lasting(states)
        return model.forward(x, train=True, lengths=lengths)

    out = forward()
    if loss is None:
        dy = rng.standard_normal(out.shape)
        if lengths is not None and out.ndim > 2:  # outputs mean nothing in the padding
            dy = padding.cleared(dy, model.checked_lengths("lengths", lengths, x.shape))

        def value() -> float:
            return float((dy * forward()).sum())
    else:
        from fastgrad.train import Trainer

        trainer = Trainer(model, loss, "sgd")
        dy = _loss_gradient(trainer.samples(x, y, lengths=lengths), out)

        def value() -> float:
            return trainer.loss_of(forward(), y, lengths=lengths)

    forward()
    dx = model.backward(dy, has_dx)
    named: dict[str, Array] = dict(model.params)
    exact = {name: view.copy() for name, view in model.grads.items()}
    if dx is not None:
        named, exact = {"x": x, **named}, {"x": dx, **exact}
    terms = float(np.abs(dy * out).sum()) if loss is None else 0.0
    found = _compare(named, exact, value, terms, tolerance, rng)
    model.flat_buffers[...] = buffers
    model._memory.reset()
    model._memory.put_lasting(states)
    return found


def _loss_gradient(samples: Samples, z: Array) -> Array:
    from fastgrad import backends
    from fastgrad.program import Tape, Workspace

    tape = Tape(backends.active(), Workspace(), z.dtype, lengths=samples.lengths)
    dz = samples.loss.record(tape, z, samples.target, None, np.zeros(1))
    status = np.zeros(1, np.int64)
    tape.backend.program([tape.take()], status, tape.keep).run([1], backends.num_threads())
    return dz.copy()


def _compare(
    named: dict[str, Array],
    exact: dict[str, Array],
    value: Callable[[], float],
    terms: float,
    tolerance: float,
    rng: np.random.Generator,
) -> GradCheck:
    analytic, numeric, errors = {}, {}, {}
    eps = float(np.finfo(np.float64).eps)
    for name, array in named.items():
        direction = rng.standard_normal(array.shape)
        length = float(np.linalg.norm(direction)) or 1.0
        h = eps ** (1 / 3) * max(1.0, float(np.linalg.norm(array))) / length
        start = array.copy()
        array[...] = start + h * direction
        above = value()
        array[...] = start - h * direction
        below = value()
        array[...] = start
        analytic[name] = float((exact[name] * direction).sum())
        numeric[name] = (above - below) / (2 * h)
        # rounding of the two values, or of the terms that cancel in them, divided by 2 h
        noise = eps * max(abs(above) + abs(below), terms) / (2 * h)
        scale = max(abs(analytic[name]), abs(numeric[name]), noise / tolerance)
        errors[name] = abs(analytic[name] - numeric[name]) / scale if scale else 0.0
    return GradCheck(analytic, numeric, errors, tolerance)
