"""Layers side by side, which all take the same input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastgrad import checks
from fastgrad.arena import Array
from fastgrad.containers import Specs, buffers_of, is_foreign, listed, own, parameters_of
from fastgrad.layers import Backward, Layer, Rows, rows_of
from fastgrad.model import Sequential
from fastgrad.program import Tape

MERGES = ("concat", "sum")


class Parallel(Layer):
    """Branches that take the same input, and whose outputs are put side by side or added.

    Parameters
    ----------
    *branches : Layer or Sequential
        At least two. A Sequential takes part as one layer, with a copy of its parameters, which
        are named by branch and layer: ``"1.0.2.weight"``.
    merge : "concat" or "sum"
        The features of all outputs, one branch after the other; or the sum of the outputs, which
        then need one shape.

    Examples
    --------
    >>> import fastgrad as fg
    >>> wide_and_deep = fg.Parallel(
    ...     fg.Dense(30, 1), fg.Sequential(fg.Dense(30, 64, "relu"), fg.Dense(64, 1)), merge="sum"
    ... )
    """

    def __init__(self, *branches: Layer | Sequential, merge: str = "concat") -> None:
        if merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}, got {merge!r}")
        if len(branches) < 2:
            raise ValueError(f"Parallel needs at least 2 branches, got {len(branches)}")
        self.merge = merge
        self.layers = checks.layers(branches)
        self.first_only = any(branch.first_only for branch in self.layers)
        self.inputs = _common("takes", "features", [b.inputs for b in self.layers])
        ranges = [branch.indices for branch in self.layers]
        if None in ranges and any(ranges):
            raise ValueError("some branches of a Parallel take indices, and others real numbers")
        self.indices = min((n for n in ranges if n is not None), default=None)
        self.output_features(self.inputs)

    def parameters(self) -> Specs:
        """Those of the branches, named by their number."""
        return parameters_of(self.layers)

    def buffers(self) -> Specs:
        """Those of the branches, named alike."""
        return buffers_of(self.layers)

    def output_features(self, inputs: int | None) -> int | None:
        """All of them, or those that each branch gives."""
        found = [branch.output_features(inputs) for branch in self.layers]
        if self.merge == "sum":
            return _common("gives", "features", found)
        known = [features for features in found if features is not None]
        return sum(known) if len(known) == len(found) else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that all branches share, with the features of the merged output."""
        return self._merged([branch.output_shape(shape) for branch in self.layers])

    def _merged(self, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
        concat = self.merge == "concat"
        if len({shape[:-1] if concat else shape for shape in shapes}) > 1:
            raise ValueError(
                f"the branches of a Parallel give outputs {', '.join(map(str, shapes))}"
            )
        return (*shapes[0][:-1], sum(s[-1] for s in shapes) if concat else shapes[0][-1])

    def fit_input(self, rows: Rows, params: Mapping[str, Array], again: bool) -> None:
        """Have all branches do it."""
        for i, branch in enumerate(self.layers):
            branch.fit_input(rows, own(params, i), again)

    def flops(self, shape: tuple[int, ...], input_grad: bool) -> tuple[int, int]:
        """The additions that merge outputs, and gradients of the input."""
        added = len(self.layers) - 1
        forward = added * math.prod(self.output_shape(shape)) if self.merge == "sum" else 0
        return forward, added * math.prod(shape) * input_grad

    def activation_bytes(self, shape: tuple[int, ...], itemsize: int) -> int:
        """The merged output."""
        return math.prod(self.output_shape(shape)) * itemsize

    def inner(
        self, shape: tuple[int, ...], input_grad: bool
    ) -> list[tuple[Layer, tuple[int, ...], bool]]:
        """The branches."""
        return [(branch, shape, input_grad) for branch in self.layers]

    def record(
        self,
        tape: Tape,
        x: Array,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        train: bool,
    ) -> tuple[Array, Backward]:
        """Record the branches one after the other, and what merges their outputs."""
        outputs, backwards = [], []
        for i, branch in enumerate(self.layers):
            with tape.met(is_foreign(branch)), tape.inside(str(i)):
                y, backward = branch.record(tape, x, own(params, i), own(grads, i), train)
                tape.see_output(y)
            outputs.append(y)
            backwards.append(backward)
        shapes = [y.shape for y in outputs]
        merged = tape.empty(self._merged(shapes))
        rows = rows_of(merged)
        # where in the merged output each branch's lies
        starts = [sum(s[-1] for s in shapes[:i]) for i in range(len(shapes))]
        if self.merge == "sum":
            starts = [0] * len(shapes)
            first, second = rows_of(outputs[0]), rows_of(outputs[1])
            tape.call("residual_forward", first, second, None, 1.0, rows)
            for y in outputs[2:]:
                tape.call("add", rows_of(y), rows)
        else:
            for y, start in zip(outputs, starts, strict=True):
                tape.call("put_columns", rows_of(y), start, rows)

        def record_backward(dy: Array, input_grad: bool) -> Array | None:
            total: Array | None = None
            for i, (branch, backward, shape, start) in enumerate(
                zip(self.layers, backwards, shapes, starts, strict=True)
            ):
                if not input_grad and not branch.parameters():
                    continue
                own_dy = tape.empty(shape)  # a branch may overwrite what it is given
                tape.call("take_columns", rows_of(dy), start, rows_of(own_dy))
                with tape.met(is_foreign(branch)), tape.inside(str(i)):
                    tape.see_gradient(own_dy)
                    dx = backward(own_dy, input_grad)
                if dx is None:
                    continue
                if total is None and input_grad:
                    total = dx
                    continue
                if total is not None:
                    tape.call("add", rows_of(dx), rows_of(total))
                tape.release(dx)
            tape.release(dy)
            return total

        return merged, record_backward

    def config(self) -> dict[str, Any]:
        """The branches and how they are merged."""
        return {"layers": self.layers, "merge": self.merge}

    def __repr__(self) -> str:
        return f"Parallel({listed(self.layers)}, merge={self.merge!r})"


Concat = Parallel  # by the name of what it does unless told otherwise


def _common(verb: str, what: str, values: list[int | None]) -> int | None:
    """The one number that all branches share, as far as they have one."""
    known = {i: value for i, value in enumerate(values) if value is not None}
    if len(set(known.values())) > 1:
        told = ", ".join(f"branch {i} {verb} {value}" for i, value in known.items())
        raise ValueError(f"the branches of a Parallel differ in {what}: {told}")
    return next(iter(known.values()), None)
