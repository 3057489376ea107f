"""What a model consists of, layer by layer, and what its passes take."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastgrad import checks
from fastgrad.containers import placed
from fastgrad.layers import Layer
from fastgrad.recurrent.models import recurrent_layers

if TYPE_CHECKING:
    from fastgrad.model import Sequential

_HEADS = ("layer", "output", "parameters", "flops forward", "flops backward", "memory")


@dataclass(frozen=True)
class LayerSummary:
    """One layer; flops and memory are those of one row of the input, a sequence being one.

    Attributes
    ----------
    name : str
        As in the names of its parameters: ``"1.0"`` is the first layer within layer 1.
    kind : str
        Its class.
    output_shape : tuple of int
        For the whole input.
    parameters : int
        Those of inner layers are counted once more there.
    flops_forward, flops_backward : int or None
        None where a layer of somebody else does not say.
    activation_bytes : int
        Kept in training from the forward pass to the backward pass.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    flops_forward: int | None
    flops_backward: int | None
    activation_bytes: int

    def cells(self) -> list[str]:
        """Itself as a row of a table."""
        indent = "  " * self.name.count(".")
        return [
            f"{indent}{self.name} {self.kind}",
            f"({', '.join(map(str, self.output_shape))}{',' * (len(self.output_shape) == 1)})",
            f"{self.parameters:,}",
            _counted(self.flops_forward),
            _counted(self.flops_backward),
            _size(self.activation_bytes),
        ]


@dataclass(frozen=True)
class Summary:
    """What `Sequential.summary` found; prints as a table, in a notebook as one of HTML.

    Attributes
    ----------
    layers : tuple of LayerSummary
        In the order of the forward pass, inner layers after the one that they are in.
    rows : int
        N of the input.
    parameters : int
    parameter_bytes : int
    flops_forward, flops_backward : int or None
        For a row; without the loss. None where one of the layers does not say.
    activation_bytes : int
        For a row, the input itself included.
    """

    layers: tuple[LayerSummary, ...]
    rows: int
    parameters: int
    parameter_bytes: int
    flops_forward: int | None
    flops_backward: int | None
    activation_bytes: int

    def totals(self) -> list[str]:
        """The sums, a line each."""
        memory = _size(self.activation_bytes)
        return [
            f"{self.parameters:,} parameters, {_size(self.parameter_bytes)}",
            f"a row: {_counted(self.flops_forward)} flops forward, "
            f"{_counted(self.flops_backward)} backward; {memory} of activations in training",
            f"{self.rows:,} rows: {_size(self.rows * self.activation_bytes)} of activations",
        ]

    def __str__(self) -> str:
        table = [list(_HEADS), *(layer.cells() for layer in self.layers)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for cells in table:
            left = [cell.ljust(width) for cell, width in zip(cells[:2], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
            lines.append("  ".join(left + right))
        return "\n".join([*lines, "", *self.totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{text}</th>" for text in _HEADS)
        body = "".join(
            "<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in layer.cells()) + "</tr>"
            for layer in self.layers
        )
        foot = "<br>".join(map(html.escape, self.totals()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>"


def summarize(model: Sequential, input_shape: tuple[int, ...] | None = None) -> Summary:
    """See `Sequential.summary`."""
    shape = _checked(model, input_shape)
    itemsize = model.dtype.itemsize
    row = (1, *shape[1:])
    found: list[LayerSummary] = []
    for i, (layer, own_shape, input_grad) in enumerate(placed(model.layers, row, False)):
        found += _described(layer, str(i), own_shape, input_grad, shape[0], itemsize)
    outer = [layer for layer in found if "." not in layer.name]
    return Summary(
        tuple(found),
        shape[0],
        model.num_parameters,
        model.num_parameters * itemsize,
        _sum(layer.flops_forward for layer in outer),
        _sum(layer.flops_backward for layer in outer),
        math.prod(row) * model.input_dtype.itemsize + sum(o.activation_bytes for o in outer),
    )


def _checked(model: Sequential, given: tuple[int, ...] | None) -> tuple[int, ...]:
    if given is None:
        steps = (1,) * bool(recurrent_layers(model.layers))
        if model.indices is not None:
            return (1, *steps)
        if model.inputs is None:
            raise ValueError("input_shape is needed: no layer says how many features it takes")
        return (1, *steps, model.inputs)
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"input_shape must be a tuple of integers, got {given!r}")
    shape = tuple(checks.count(f"input_shape[{i}]", size) for i, size in enumerate(given))
    wanted = "(N,) or (N, T)" if model.indices is not None else f"(N, {model.inputs or 'features'})"
    if model.indices is not None:
        good = len(shape) in (1, 2)
    else:
        good = len(shape) > 1 and model.inputs in (None, shape[-1])
    if not good:
        raise ValueError(f"input_shape is {shape}, needs {wanted}")
    return shape


def _described(
    layer: Layer,
    name: str,
    shape: tuple[int, ...],
    input_grad: bool,
    rows: int,
    itemsize: int,
) -> list[LayerSummary]:
    """A layer and all layers in it; `shape` is that of one row of its input."""
    inner: list[LayerSummary] = []
    outer: list[LayerSummary] = []
    for i, (part, own_shape, wanted) in enumerate(layer.inner(shape, input_grad)):
        found = _described(part, f"{name}.{i}", own_shape, wanted, rows, itemsize)
        outer.append(found[0])
        inner += found
    forward, backward = layer.flops(shape, input_grad) or (None, None)
    output = layer.output_shape(shape)
    itself = LayerSummary(
        name,
        type(layer).__name__,
        (rows, *output[1:]),
        sum(math.prod(size) for size, _ in layer.parameters().values()),
        _sum([forward, *(part.flops_forward for part in outer)]),
        _sum([backward, *(part.flops_backward for part in outer)]),
        layer.activation_bytes(shape, itemsize) + sum(part.activation_bytes for part in outer),
    )
    return [itself, *inner]


def _sum(values: list[int | None] | Iterator[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _counted(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _size(count: int) -> str:
    """In bytes, or the largest of the binary units that leaves at least 1."""
    if count < 1024:
        return f"{count} B"
    power = min(int(math.log2(count)) // 10, 4)
    return f"{count / 1024**power:.1f} {'KMGT'[power - 1]}iB"


def _escaped(cell: str) -> str:
    return html.escape(cell).replace("  ", "&emsp;")
