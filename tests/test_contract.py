"""The door of every backend: what a call must look like, and what is said of one that does not."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from harness import SIZES, example

from fastgrad.backends import contract

NAMES = {"activation": contract.ACTIVATIONS, "function": contract.FUNCTIONS}
kernels = pytest.mark.parametrize("kernel", contract.CONTRACT)


@kernels
def test_every_line_can_be_read(kernel):
    specs = contract.arguments(kernel)
    names = [a.name for a in specs]
    assert len(names) == len(set(names))
    assert any(a.written for a in specs)
    sizes = {dim for a in specs for dim in a.dims or ()}
    for i, a in enumerate(specs):
        if a.dims is None:
            assert a.kind in ("float", "int", "activation", "function", "loss")
            assert not a.written
        if a.alias is not None:
            assert a.written
            assert a.alias in names[:i]
        if a.below is not None:
            assert a.kind == "i8"
            assert a.below in sizes


def test_a_line_that_cannot_be_read_is_quoted(monkeypatch):
    monkeypatch.setitem(contract.CONTRACT, "bad", "x[n] -> y[n]&x")
    with pytest.raises(ValueError, match=r"contract of bad: cannot read 'y\[n\]&x'"):
        contract.arguments("bad")


@kernels
def test_parameters_are_those_of_the_contract(ops, kernel):
    expected = [a.name for a in contract.arguments(kernel)]
    assert list(inspect.signature(ops.raw(kernel)).parameters) == expected


def test_an_unknown_kernel_is_named(ops):
    with pytest.raises(AttributeError, match=f"{ops.name} has no kernel 'product_tt'"):
        ops.product_tt()


# Each function takes an argument of a good float64 call and yields calls that it spoils: the
# changed arguments, the type of the error, and its message after "kernel: ".


def wrong_types(a, given, specs):
    value = given[a.name]
    if a.dims is None:
        for wrong in ({"float": "x", "int": 1.5}.get(a.kind, 3), None, np.zeros(2)):
            yield {a.name: wrong}, TypeError, f"{a.name} must be a {a.kind}, got {wrong!r}"
        return
    yield {a.name: value.tolist()}, TypeError, f"{a.name} must be an array, got list"
    if not a.optional:
        yield {a.name: None}, TypeError, f"{a.name} must be an array, got NoneType"


def wrong_dtypes(a, given, specs):
    value = given[a.name]
    first = next((b for b in specs if b.dims and not b.kind), None)
    needs = np.dtype(a.kind or np.float64) if a is not first else "float32 or float64"
    swapped = value.dtype.newbyteorder()
    others = [np.float16, np.int32, np.complex128, swapped] + [np.float32] * (a is not first)
    for dtype in map(np.dtype, others):
        message = f"{a.name} has dtype {dtype}, needs {needs}"
        yield {a.name: np.zeros(value.shape, dtype)}, TypeError, message


def wrong_shapes(a, given, specs):
    """A longer axis is wrong where the contract or an earlier argument says how long it is."""
    value, dims = given[a.name], ",".join(a.dims)
    for wrong in (value[None], value[..., 0].copy()):
        yield {a.name: wrong}, ValueError, f"{a.name} has shape {wrong.shape}, needs [{dims}] = "
    earlier = {dim for b in specs[: specs.index(a)] for dim in b.dims or ()}
    for axis, dim in enumerate(a.dims):
        if dim.isdigit() or dim in earlier:
            long = np.concatenate([value, value], axis)
            message = f"{a.name} has shape {long.shape}, needs [{dims}] = {value.shape}"
            yield {a.name: long}, ValueError, message


def wrong_layouts(a, given, specs):
    value = given[a.name]
    for wrong in (np.repeat(value, 2, axis=-1)[..., ::2], np.asfortranarray(value), value[::-1]):
        if not wrong.flags.c_contiguous:
            message = f"{a.name} must be C-contiguous, got strides {wrong.strides}"
            yield {a.name: wrong}, ValueError, message
    if a.written:
        frozen = value.copy()
        frozen.flags.writeable = False
        message = f"{a.name} is written to, but the array is read-only"
        yield {a.name: frozen}, ValueError, message
    shifted = np.zeros(value.nbytes + 1, np.uint8)[1:].view(value.dtype).reshape(value.shape)
    shifted[...] = value
    yield {a.name: shifted}, ValueError, f"{a.name} must be aligned to its elements"


def wrong_indices(a, given, specs):
    if a.below:
        for wrong, got in ((-1, "-1..0"), (SIZES[a.below], f"0..{SIZES[a.below]}")):
            indices = np.zeros_like(given[a.name])
            indices[-1] = wrong
            message = f"{a.name} must lie in [0, {SIZES[a.below]}), got {got}"
            yield {a.name: indices}, ValueError, message


def overlaps(a, given, specs):
    """Two arrays that share one element of eight bytes."""
    for b in specs[specs.index(a) + 1 :]:
        if b.dims and (a.written or b.written):
            x, y = given[a.name], given[b.name]
            memory = np.zeros(x.size + y.size - 1)
            left = memory[: x.size].view(x.dtype).reshape(x.shape)
            right = memory[x.size - 1 :].view(y.dtype).reshape(y.shape)
            message = f"{a.name} and {b.name} must not overlap"
            yield {a.name: left, b.name: right}, ValueError, message


def unknown_names(a, given, specs):
    if a.kind in NAMES:
        message = f"{a.name} must be one of {', '.join(NAMES[a.kind])}, got 'mish'"
        yield {a.name: "mish"}, ValueError, message


def assert_refused(ops, kernel, arguments, error, message):
    arrays = [value for value in arguments if isinstance(value, np.ndarray)]
    before = [array.tobytes() for array in arrays]
    with pytest.raises(error, match=re.escape(f"{kernel}: {message}")):
        getattr(ops, kernel)(*arguments)
    assert [array.tobytes() for array in arrays] == before


ARRAY_FAULTS = [wrong_dtypes, wrong_shapes, wrong_layouts, wrong_indices, overlaps]
FAULTS = [wrong_types, unknown_names, *ARRAY_FAULTS]


@kernels
@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: faults.__name__)
def test_a_bad_argument_is_refused(ops, rng, kernel, faults):
    given, specs = example(kernel, np.float64, rng), contract.arguments(kernel)
    for a in specs:
        if a.dims is None and faults in ARRAY_FAULTS:
            continue
        for changes, error, message in faults(a, given, specs):
            assert_refused(ops, kernel, (given | changes).values(), error, message)


@kernels
def test_a_wrong_number_of_arguments_is_refused(ops, rng, kernel):
    values = list(example(kernel, np.float64, rng).values())
    for bad in (values[:-1], [*values, None], []):
        message = f"takes {len(values)} arguments, got {len(bad)}"
        assert_refused(ops, kernel, bad, TypeError, message)


RANGES = [
    ("gather_rows", {"cursor": [3]}, "cursor is 3, needs 0 to 2 for 2 rows of 4"),
    ("gather_labels", {"cursor": [-1]}, "cursor is -1, needs 0 to 2 for 2 rows of 4"),
    ("group_norms", {"blocks": [0, 7]}, "blocks must rise within [0, 6], got [0 7]"),
    ("group_norms", {"blocks": [-1, 6]}, "blocks must rise within [0, 6], got [-1  6]"),
    ("rescale", {"blocks": [0, 4, 2]}, "blocks must rise within [0, 6], got [0 4 2]"),
    ("rescale", {"groups": [0, 2]}, "groups must rise within [0, 1], got [0 2]"),
    ("clip_value", {"blocks": [0, 7]}, "blocks must rise within [0, 6], got [0 7]"),
    ("see_gradient", {"blocks": [0, 7]}, "blocks must rise within [0, 6], got [0 7]"),
    ("see_update", {"blocks": [0, 7]}, "blocks must rise within [0, 6], got [0 7]"),
    ("put_columns", {"start": 3}, "start must lie in [0, 2], got 3"),
    ("take_columns", {"start": -1}, "start must lie in [0, 2], got -1"),
]


@pytest.mark.parametrize(("kernel", "changes", "message"), RANGES)
def test_nothing_points_past_an_array(ops, kernel, changes, message):
    sizes = {"R": 5, "M": 4, "N": 2, "F": 3, "G": 5, "P": 6, "n": 6}
    given = {}
    for a in contract.arguments(kernel):
        if a.dims is None:
            given[a.name] = 1
        else:
            shape = [int(dim) if dim.isdigit() else sizes.get(dim, 1) for dim in a.dims]
            given[a.name] = np.zeros(shape, a.kind or np.float64)
    blocks = changes.get("blocks", [0, 6])
    groups = changes.get("groups", [0, len(blocks) - 1])
    columns = given["sums"].shape[1] if np.ndim(given.get("sums")) == 2 else 2
    edges = {"blocks": blocks, "groups": groups, "sums": np.zeros((len(blocks) - 1, columns))}
    edges |= {name: np.zeros((len(groups) - 1, 2)) for name in ("norms", "bounds")}
    for name, values in (edges | changes).items():
        if name in given and np.ndim(given[name]) == np.ndim(values):
            kind = np.asarray(given[name]).dtype
            given[name] = np.array(values, kind) if np.ndim(values) else values
    assert_refused(ops, kernel, given.values(), ValueError, message)
