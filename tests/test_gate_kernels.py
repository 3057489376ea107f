"""What inputs add to gates: products, biases and tables, in the order of each layer's gates."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits
from rounding import assert_within, rounding
from running_error import Rounded, sum_of

# Rows, rows that count, inputs, units
SIZES = [(1, 1, 1, 1), (9, 7, 7, 5), (16, 16, 16, 16), (17, 15, 33, 17), (33, 30, 3, 33)]
SIZES += [(130, 100, 15, 50), (8, 0, 4, 3), (300, 299, 2, 7)]
sizes = pytest.mark.parametrize("size", SIZES, ids="{0[0]}:{0[1]}x{0[2]}x{0[3]}".format)
# Blocks of a weight: 1 of an RNN, 4 of an LSTM; r, z, n of a GRU, which turns them to n, r, z.
LAYOUTS = {"rnn": 1, "lstm": 4, "gru": 3}
layouts = pytest.mark.parametrize("layout", LAYOUTS)


def turned(layout, rows):
    """Rows in the blocks of a weight, in the order of gates."""
    if layout != "gru":
        return rows
    r, z, n = np.split(rows, 3)
    return np.concatenate([n, r, z])


def turned_back(layout, rows):
    if layout != "gru":
        return rows
    n, r, z = np.split(rows, 3)
    return np.concatenate([r, z, n])


def problem(rng, dtype, size, layout):
    """Arguments by name; what lies behind the last step is NaN."""
    rows, counted, inputs, units = size
    high = LAYOUTS[layout] * units
    wide = high + units * (layout == "gru")
    shapes = {"x": (rows, inputs), "w": (high, inputs), "bias": (wide,), "dz": (rows, wide)}
    found = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    for name in ("x", "dz"):
        found[name][counted:] = np.nan
    steps = [counted - counted // 3, counted // 3]
    found["offsets"] = np.cumsum([0, *steps])
    found["turned"] = units if layout == "gru" else 0
    return found


def only(given, names):
    return {name: given[name] for name in names.split()}


@layouts
@sizes
def test_inputs(run, rng, dtype, size, layout):
    given, counted, high = problem(rng, dtype, size, layout), size[1], LAYOUTS[layout] * size[3]
    z = run("gate_inputs_forward", **only(given, "x w bias offsets turned")).z[:counted]
    x, w = Rounded.given(given["x"][:counted], dtype), turned(layout, given["w"])
    bias = Rounded.given(np.broadcast_to(given["bias"], z.shape), dtype)
    sum_of(bias[:, :high], (x, Rounded.given(w.T, dtype))).holds(z[:, :high])
    assert bits(z[:, high:]) == bits(np.broadcast_to(given["bias"][high:], z[:, high:].shape))


@layouts
@sizes
def test_gradients_of_inputs(run, rng, dtype, size, layout):
    given, counted, high = problem(rng, dtype, size, layout), size[1], LAYOUTS[layout] * size[3]
    arguments = only(given, "x w dz offsets turned")
    got = run("gate_inputs_backward", **arguments)
    x, dz = (Rounded.given(given[k][:counted], dtype) for k in ("x", "dz"))
    w = Rounded.given(turned(layout, given["w"]), dtype)
    sum_of(0, (dz[:, :high], w)).holds(got.dx[:counted])
    dw = sum_of(0, (dz[:, :high].T, x))
    assert_within(got.dw, *(turned_back(layout, part) for part in (dw.value, dw.error)))
    assert got.status[0] == 0
    for left_out in ("dx", "status"):
        part = run("gate_inputs_backward", **arguments, **{left_out: None})
        assert bits(part.dw) == bits(got.dw)


@pytest.mark.parametrize("apart", [0, 1])
@layouts
@sizes
def test_biases(run, rng, dtype, size, layout, apart):
    """A block of b_hh that r multiplies stands apart, the others are added."""
    given, counted, units = problem(rng, dtype, size, layout), size[1], size[3]
    high = LAYOUTS[layout] * units
    b_ih, b_hh = rng.standard_normal((2, high)).astype(dtype)
    how = only(given, "turned") | {"apart": apart}
    got = run("gate_bias", b_ih=b_ih, b_hh=b_hh, bias=given["bias"], **how).bias
    n = slice(2 * units, None)
    wanted = turned(layout, b_ih + b_hh)
    if layout == "gru":
        last = b_hh[n] if apart else np.zeros(units, dtype)
        first = b_ih[n] if apart else wanted[:units]
        wanted = np.concatenate([first, wanted[units:], last])
    assert bits(got) == bits(wanted)

    grads = run(
        "gate_bias_backward",
        **only(given, "dz offsets"),
        db_ih=np.full(high, np.nan, dtype),
        db_hh=np.full(high, np.nan, dtype),
        **how,
    )
    dz = given["dz"][:counted].astype(np.float64)
    sums, size_of = dz.sum(axis=0), np.abs(dz).sum(axis=0)
    bound = rounding(size_of, dtype, counted)
    parts = [turned_back(layout, part[:high]) for part in (sums, bound)]
    assert_within(grads.db_ih, *parts)
    if layout == "gru" and apart:
        for part, of_m in zip(parts, (sums, bound), strict=True):
            part[n] = of_m[high:]
    assert_within(grads.db_hh, *parts)
    assert grads.status[0] == 0


@pytest.mark.parametrize("vocabulary", [1, 2, 17, 65])
@pytest.mark.parametrize("units", [1, 7, 16, 33])
@layouts
def test_a_table_is_what_one_hot_inputs_give(run, rng, dtype, layout, units, vocabulary):
    given = problem(rng, dtype, (vocabulary, vocabulary, vocabulary, units), layout)
    given["x"] = np.eye(vocabulary, dtype=dtype)
    wanted = run("gate_inputs_forward", **only(given, "x w bias offsets turned")).z
    table = run("gate_table", **only(given, "w bias turned")).table
    assert np.array_equal(table, wanted)
    wanted = run("gate_inputs_backward", **only(given, "x w dz offsets turned")).dw
    how = only(given, "turned") | {"dw": np.full_like(wanted, np.nan)}
    got = run("gate_table_backward", dtable=given["dz"], **how)
    assert np.array_equal(got.dw, wanted)
    assert got.status[0] == 0


@layouts
def test_a_row_without_numbers_stays_alone(run, rng, dtype, layout):
    given = problem(rng, dtype, (20, 20, 9, 6), layout)
    whole = run("gate_inputs_forward", **only(given, "x w bias offsets turned")).z
    given["x"][11, 4] = np.nan
    z = run("gate_inputs_forward", **only(given, "x w bias offsets turned")).z
    high = LAYOUTS[layout] * 6
    assert np.isnan(z[11, :high]).all()
    assert bits(np.delete(z, 11, axis=0)) == bits(np.delete(whole, 11, axis=0))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@layouts
def test_a_gradient_that_is_not_finite_raises_the_status(run, rng, dtype, layout, bad):
    given = problem(rng, dtype, (20, 18, 9, 6), layout)
    high = LAYOUTS[layout] * 6
    given["dz"][17, high - 1] = bad
    for left_out in ({}, {"dx": None}):
        arguments = only(given, "x w dz offsets turned")
        assert run("gate_inputs_backward", **arguments, **left_out).status[0] == 1
    empty = np.empty(high, dtype)
    how = only(given, "dz offsets turned") | {"apart": 1, "db_ih": empty, "db_hh": empty}
    assert run("gate_bias_backward", **how).status[0] == 1
    dw = np.empty((high, 20), dtype)
    how = only(given, "turned") | {"dw": dw}
    dtable = np.where(np.arange(20)[:, None] < 18, given["dz"], 0)
    assert run("gate_table_backward", dtable=dtable, **how).status[0] == 1


def test_a_bias_of_its_own_that_is_not_finite_raises_the_status(run, rng, dtype):
    """That of the block which a GRU's weight does not have."""
    given = problem(rng, dtype, (20, 18, 9, 6), "gru")
    given["dz"][3, -1] = np.nan
    empty = np.empty(18, dtype)
    how = only(given, "dz offsets turned") | {"db_ih": empty, "db_hh": empty}
    assert run("gate_bias_backward", apart=1, **how).status[0] == 1
    assert run("gate_bias_backward", apart=0, **how).status[0] == 0
    assert run("gate_inputs_backward", **only(given, "x w dz offsets turned")).status[0] == 0
