"""Sequences as steps and back: every row at its place, bit for bit, and nothing of the padding."""

from __future__ import annotations

import re

import numpy as np
import pytest
from harness import call, example, offsets_of
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import bits
from rounding import assert_within, rounding

from fastgrad import backends
from fastgrad.backends import contract

LENGTHS = {
    "one": [1],
    "one long": [9],
    "two": [2, 2],
    "empty": [0, 0, 0],
    "rising": [0, 1, 2, 3, 4, 5, 6],
    "equal": [3] * 8,
    "9": [9, 0, 1, 9, 2, 2, 9, 5, 1],
    "33": [4, 0, 9, 1, 1, 7, 2, 9, 3, 3, 3] * 3,
}
lengths = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
widths = pytest.mark.parametrize("width", [1, 7, 15, 16, 17, 33])
ways = pytest.mark.parametrize("reverse", [0, 1], ids=["forward", "reverse"])
TIMES = 9  # of all arrays, the longest sequence or not


def plan(lengths, times=TIMES):
    """Order and offsets, from what they mean."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    counts = [sum(length > t for length in lengths) for t in range(times)]
    return np.array(order, np.int64), np.cumsum([0, *counts])


def rows_of(lengths, reverse=0):
    """For each row of the steps its sequence and its time."""
    order, _ = plan(lengths)
    for t in range(TIMES):
        for i in order:
            if t < lengths[i]:
                yield int(i), (lengths[i] - 1 - t if reverse else t)


def sequences(rng, lengths, dtype, width):
    """(N, T, width), NaN in the padding, which nothing may look at."""
    x = rng.standard_normal((len(lengths), TIMES, width)).astype(dtype)
    for row, length in zip(x, lengths, strict=True):
        row[length:] = np.nan
    return x


@lengths
def test_plan(run, lengths):
    order, offsets = plan(lengths)
    out = run("sequence_plan", lengths=np.array(lengths), offsets=np.zeros(TIMES + 1, np.int64))
    assert out.order.tolist() == order.tolist()
    assert out.offsets.tolist() == offsets.tolist()


@pytest.mark.parametrize("name", ["reference", "cython"])
@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=70), st.integers(0, 3))
def test_a_plan_of_any_lengths(name, lengths, more):
    times = max(lengths) + more
    out = call(
        backends.load(name),
        "sequence_plan",
        lengths=np.array(lengths),
        offsets=np.zeros(times + 1, np.int64),
    )
    order, offsets = plan(lengths, times)
    assert out.order.tolist() == order.tolist()
    assert out.offsets.tolist() == offsets.tolist()
    assert np.array_equal(offsets[: max(lengths) + 1], offsets_of(lengths))


@ways
@widths
@lengths
def test_into_steps(run, rng, dtype, lengths, width, reverse):
    x = sequences(rng, lengths, dtype, width + 3)
    order, offsets = plan(lengths)
    y = np.full((len(lengths) * TIMES, width), np.nan, dtype)
    how = {"start": 2, "order": order, "offsets": offsets, "reverse": reverse}
    got = run("to_steps", x=x, y=y, **how).y[: offsets[-1]]
    wanted = [x[i, t, 2 : 2 + width] for i, t in rows_of(lengths, reverse)]
    assert bits(got) == bits(np.array(wanted, dtype))


@pytest.mark.parametrize("add", [0, 1], ids=["put", "add"])
@ways
@widths
@lengths
def test_out_of_steps(run, rng, dtype, lengths, width, reverse, add):
    order, offsets = plan(lengths)
    x = rng.standard_normal((len(lengths) * TIMES, width)).astype(dtype)
    x[offsets[-1] :] = np.nan
    y = rng.standard_normal((len(lengths), TIMES, width + 3)).astype(dtype)
    how = {"start": 1, "order": order, "offsets": offsets, "reverse": reverse, "add": add}
    got = run("from_steps", x=x, y=y, **how).y
    wanted = y.copy()
    if not add:
        wanted[:, :, 1 : 1 + width] = 0
    for row, (i, t) in zip(x, rows_of(lengths, reverse), strict=False):
        wanted[i, t, 1 : 1 + width] += row
    assert bits(got) == bits(wanted)


@ways
@lengths
def test_indices_into_steps(run, rng, lengths, reverse):
    x = rng.integers(100, size=(len(lengths), TIMES))
    order, offsets = plan(lengths)
    y = np.full(x.size, 7)
    got = run("indices_to_steps", x=x, order=order, offsets=offsets, reverse=reverse, y=y).y
    wanted = [x[i, t] for i, t in rows_of(lengths, reverse)]
    assert got.tolist() == wanted + [-1] * (x.size - len(wanted))


@widths
@lengths
def test_last_steps(run, rng, dtype, lengths, width):
    """That of a sequence without steps is its initial state."""
    count = len(lengths)
    order, offsets = plan(lengths)
    x = rng.standard_normal((count + count * TIMES, width)).astype(dtype)
    y = rng.standard_normal((count, width + 3)).astype(dtype)
    wanted = y.copy()
    wanted[order, 3:] = x[:count]
    places = list(rows_of(lengths))
    for i, length in enumerate(lengths):
        if length:
            wanted[i, 3:] = x[count + places.index((i, length - 1))]
    got = run("last_steps", x=x, start=3, order=order, offsets=offsets, y=y).y
    assert bits(got) == bits(wanted)


@widths
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 33])
def test_rows_in_another_order(run, rng, dtype, count, width):
    order = rng.permutation(count)
    x = rng.standard_normal((count, width + 3)).astype(dtype)
    y = rng.standard_normal((count, width)).astype(dtype)
    taken = np.array([x[i, 2 : 2 + width] for i in order])
    for add in (0, 1):
        got = run("take_rows", x=x, start=2, order=order, add=add, y=y).y
        assert bits(got) == bits(y + taken if add else taken)
    got = run("put_rows", x=x, order=order).y
    assert all(bits(got[i]) == bits(row) for i, row in zip(order, x, strict=True))


@widths
@pytest.mark.parametrize("count", [1, 7, 9, 130])
def test_rows_of_one_state(run, rng, dtype, count, width):
    """And the gradient of a state with which all rows start."""
    row = rng.standard_normal(width).astype(dtype)
    y = np.full((count, width), np.nan, dtype)
    assert bits(run("fill_rows", row=row, y=y).y) == bits(np.broadcast_to(row, y.shape))
    assert bits(run("fill_rows", row=None, y=y).y) == bytes(y.nbytes)
    x = rng.standard_normal((count, width)).astype(dtype)
    exact = x.sum(axis=0, dtype=np.float64)
    bound = rounding(np.abs(x).sum(axis=0, dtype=np.float64), dtype, count)
    got = run("sum_rows", x=x)
    assert_within(got.sums, exact, bound)
    assert got.status[0] == 0
    for bad in (np.nan, np.inf):
        x[rng.integers(count), rng.integers(width)] = bad
        assert run("sum_rows", x=x).status[0] == 1


STEPS = ("to_steps", "from_steps", "last_steps", "indices_to_steps")
IN_STEPS = [k for k in contract.CONTRACT if "offsets" in contract.CONTRACT[k] and "plan" not in k]
OFFSETS = [
    ([1, 5, 8, 9, 9], "offsets must start at 0, steps must not grow, got [1 5 8 9 9]"),
    ([0, 2, 5, 5, 5], "offsets must start at 0, steps must not grow, got [0 2 5 5 5]"),
    ([0, 5, 4, 4, 4], "offsets must start at 0, steps must not grow, got [0 5 4 4 4]"),
    ([0, 9, 18, 27, 36], "offsets end at 36, but there are 20 rows"),
]


def refused(ops, kernel, message, rng, changes):
    """That the door refuses an example call with these changes."""
    arguments = example(kernel, np.float64, rng) | changes
    with pytest.raises(ValueError, match=re.escape(f"{kernel}: {message}")):
        getattr(ops, kernel)(*arguments.values())


@pytest.mark.parametrize(("offsets", "message"), OFFSETS)
@pytest.mark.parametrize("kernel", IN_STEPS)
def test_steps_that_cannot_be_are_refused(ops, rng, kernel, offsets, message):
    refused(ops, kernel, message, rng, {"offsets": np.array(offsets)})


@pytest.mark.parametrize(
    "kernel", [*STEPS, "rnn_forward", "lstm_norm_forward", "lstm_backward", "gru_backward"]
)
def test_more_rows_than_sequences_are_refused(ops, rng, kernel):
    offsets = np.array([0, 6, 7, 7, 7])
    refused(ops, kernel, "step 0 has 6 rows of 5 sequences", rng, {"offsets": offsets})


@pytest.mark.parametrize("start", [-1, 4])
@pytest.mark.parametrize("kernel", ["to_steps", "from_steps", "last_steps", "take_rows"])
def test_columns_that_are_not_there_are_refused(ops, rng, kernel, start):
    refused(ops, kernel, f"start must lie in [0, 3], got {start}", rng, {"start": start})


TURNED = [
    ("gate_inputs_forward", 2, 3, 3),
    ("gate_inputs_backward", 1, 3, 3),
    ("gate_bias", 1, 3, 3),
    ("gate_bias_backward", 3, 3, 3),
    ("gate_table", -1, 3, 3),
    ("gate_table_backward", 1, 3, 3),
]


@pytest.mark.parametrize(("kernel", "turned", "rows", "gates"), TURNED)
def test_gates_that_do_not_fit_a_turned_weight_are_refused(ops, rng, kernel, turned, rows, gates):
    message = f"with turned {turned} a weight of {rows} rows does not fit {gates} gates"
    refused(ops, kernel, message, rng, {"turned": turned})


CELLS = ("rnn_forward", "rnn_backward", "lstm_forward", "lstm_backward", "lstm_norm_forward",
         "lstm_norm_backward", "gru_forward", "gru_backward")  # fmt: skip


@pytest.mark.parametrize("kernel", CELLS)
def test_panels_without_room_are_refused(ops, rng, kernel):
    room = example(kernel, np.float64, rng)["panels"].size
    message = f"panels has {room - 1} elements, needs {room}"
    refused(ops, kernel, message, rng, {"panels": np.zeros(room - 1)})


@pytest.mark.parametrize("kernel", CELLS[1::2])
def test_initial_states_of_other_sequences_are_refused(ops, rng, kernel):
    """h starts with as many rows as dh0 has."""
    states = {k: np.zeros((26, 5)) for k in ("h", "c") if f"{k}[Q" in contract.CONTRACT[kernel]}
    refused(ops, kernel, "h has 26 rows, needs 5 + 20", rng, states)
