"""Initialization by data: every Dense layer is scaled until its outputs vary by 1."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import backends, checks
from fastgrad.initializers.checks import Array
from fastgrad.initializers.matrices import orthogonal
from fastgrad.program import Tape, Workspace

if TYPE_CHECKING:
    from fastgrad.model import Sequential


@dataclass(frozen=True)
class LSUVReport:
    """What `lsuv` did, by the names of the layers, in the order in which they run.

    Attributes
    ----------
    variance : dict of str to float
        Of the layer's pre-activations, over all rows and units, in the end.
    tries : dict of str to int
        How often its weights were divided by the root of that variance.
    """

    variance: dict[str, float] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "\n".join(
            f"{name:<12} variance {variance:.4f}  tries {self.tries[name]}"
            for name, variance in self.variance.items()
        )


def lsuv(
    model: Sequential, x: Any, tol: float = 0.1, max_tries: int = 10, rng: Any = None
) -> LSUVReport:
    """Layer-sequential unit variance: Mishkin & Matas 2016, arXiv:1511.06422, algorithm 1.

    The weights of each Dense layer become orthonormal (Saxe et al. 2013). Then, in the order in
    which a forward pass on x comes to them, each layer's weights are divided by the root of the
    variance of what the layer computes before its activation, until that is 1 within `tol`. So the
    layer sees the others as they are after it: activations, blocks and normalization included.

    Parameters
    ----------
    model : Sequential
        Its Dense layers, at any depth of nesting, are initialized in place, biases excepted. Other
        layers keep what they have; running statistics do not move.
    x : array-like, (N, inputs) or (N, T, inputs); of indices (N,) or (N, T)
        Rows as in training; a few hundred are enough.
    tol : float
        Largest difference of a variance from 1; greater than 0.
    max_tries : int
        Most divisions for one layer. Without biases one is enough.
    rng : int or numpy.random.Generator
        Seed of the orthonormal weights.

    Returns
    -------
    LSUVReport

    Raises
    ------
    TypeError, ValueError
        If `model` is no Sequential or has no Dense layer, x does not suit it, or a layer's outputs
        do not vary (a layer before it is dead), are not finite, or still vary otherwise after
        `max_tries`, because of its biases. The model is then as it was; the message names the
        layer.
    """
    from fastgrad.model import Sequential

    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a fastgrad.Sequential, got {model!r}")
    rows = model.checked("x", x)
    tol = checks.number("tol", tol, 0.0, open_low=True)
    max_tries = checks.count("max_tries", max_tries)
    tape = _Scaling(model, tol, max_tries, checks.generator(rng))
    before = model.flat_params.copy()
    try:
        start = tape.empty(rows.shape, rows.dtype)
        start[...] = rows
        _, outputs, _ = model.record(tape, start, train=True)
        for i, output in enumerate(outputs):
            if not np.isfinite(output).all():
                raise ValueError(f"the output of layer {i} is not finite")
        if not tape.report.tries:
            raise ValueError("model has no Dense layer to initialize")
    except BaseException:
        model.flat_params[...] = before
        raise
    return tape.report


class _Scaling(Tape):
    """A tape that runs each call at once, and initializes a Dense layer just before its call."""

    def __init__(
        self, model: Sequential, tol: float, max_tries: int, rng: np.random.Generator
    ) -> None:
        super().__init__(backends.active(), Workspace(), model.dtype)
        self.report = LSUVReport()
        self._tol, self._max_tries, self._rng = tol, max_tries, rng
        self._names = {
            view.ctypes.data: name.rpartition(".")[0] for name, view in model.params.items()
        }

    def call(self, kernel: str, *values: Any) -> None:
        if kernel == "dense_forward":
            rows, weight, bias, _, _, y, _ = values
            name = self._names.get(weight.ctypes.data)
            if name is not None and name not in self.report.tries:
                self._scale(name, rows, weight, bias, y)
        super().call(kernel, *values)
        self._run()

    def python(self, function: Any) -> None:
        super().python(function)
        self._run()

    def _run(self) -> None:
        status = np.zeros(1, np.int64)
        self.backend.program([self.take()], status, self.keep).run([1], backends.num_threads())

    def _scale(self, name: str, rows: Array, weight: Array, bias: Array | None, y: Array) -> None:
        weight[...] = orthogonal()(weight.shape, self._rng, weight.dtype)
        for tries in range(self._max_tries + 1):
            self.backend.dense_forward(rows, weight, bias, "identity", 0.0, y, None)
            variance = _variance(y)
            if not math.isfinite(variance):
                raise ValueError(f"the output of layer {name} is not finite")
            if variance == 0 or not rows.any():
                raise ValueError(
                    f"the output of layer {name} does not vary: its input is 0, or one row alone"
                )
            if abs(variance - 1) <= self._tol:
                self.report.variance[name], self.report.tries[name] = variance, tries
                return
            if tries < self._max_tries:
                with np.errstate(over="ignore"):  # and is found as not finite
                    weight /= math.sqrt(variance)
        raise ValueError(
            f"the output of layer {name} has the variance {variance:.4g} after {tries} tries, "
            f"needs 1 within {self._tol:g}; its biases may vary too much"
        )


def _variance(y: Array) -> float:
    """Of all elements, in float64, whatever their size."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.var(y, dtype=np.float64))
