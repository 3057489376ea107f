"""Recurrent kernels: every step and every gradient, within bounds of one step's rounding."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
from cells import (
    CELLS,
    PEEPHOLES,
    backward_of,
    cells,
    check_backward,
    check_forward,
    gradients,
    problem,
    rounded_forward,
)
from harness import meant
from nets import bits
from rounding import ACTIVATIONS

from fastgrad.backends.contract import room

# Sequences, units, steps; about the sizes of blocks that products are made in
WHOLE = [
    (1, 1, 9), (1, 16, 2), (1, 130, 9), (2, 33, 2), (7, 15, 1), (8, 16, 9), (9, 130, 1),
    (16, 100, 2), (17, 1, 2), (33, 64, 1),
]  # fmt: skip
RAGGED = [
    (2, 7, 9), (7, 64, 9), (8, 50, 2), (9, 17, 9), (16, 33, 9), (17, 50, 9), (33, 7, 9),
    (33, 130, 2),
]  # fmt: skip
WITH_INPUTS = {name: case for name, case in CELLS.items() if name != "norm"}  # may take inputs
with_inputs = pytest.mark.parametrize(("cell", "options"), WITH_INPUTS.values(), ids=WITH_INPUTS)
FOUR = {name: cell for name, cell in CELLS.items() if name != "lstm"}  # a part of its peepholes
four_cells = pytest.mark.parametrize(("cell", "options"), FOUR.values(), ids=FOUR)


def subsets(names):
    return chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))


def ragged(rng, count, times):
    """Lengths of all kinds; one of them is 0 where there are a few."""
    lengths = rng.integers(times + 1, size=count)
    lengths[0] = times
    if count > 2:
        lengths[-1] = 0
    return lengths


def both(run, cell, given, above, initial):
    """Both kernels, each against its steps."""
    check_forward(cell, given, run(f"{cell}_forward", **given))
    out = rounded_forward(cell, given)
    got = backward_of(run, cell, given, out, above, initial)
    check_backward(cell, given, out, above, initial, got)
    assert got.status[0] == 0
    return got


@four_cells
@pytest.mark.parametrize("size", WHOLE + RAGGED, ids="{0[0]}x{0[1]}x{0[2]}".format)
def test_sizes(run, rng, dtype, cell, options, size):
    count, units, times = size
    steps = ragged(rng, count, times) if size in RAGGED else [times] * count
    given = problem(cell, rng, dtype, steps, units, **options)
    both(run, cell, given, gradients(cell, rng, given), initial=1)


@four_cells
def test_numbers_of_sequences(run, rng, dtype, cell, options):
    """All that the rest of a block may be."""
    for count in (*range(1, 20), 25, 31, 32, 34):
        given = problem(cell, rng, dtype, [2] * count + [1] * (count % 3), 17, **options)
        both(run, cell, given, gradients(cell, rng, given), initial=1)


@four_cells
def test_numbers_of_units(run, rng, dtype, cell, options):
    for units in (*range(1, 20), 25, 31, 32, 34):
        given = problem(cell, rng, dtype, [2, 1, 2], units, **options)
        both(run, cell, given, gradients(cell, rng, given), initial=1)


@pytest.mark.parametrize("initial", [0, 1])
@cells
def test_gradients_from_above_may_be_left_out(run, rng, dtype, cell, options, initial):
    """What is left out is zero."""
    given = problem(cell, rng, dtype, [3, 2, 0, 3, 1], 18, **options)
    whole = gradients(cell, rng, given)
    for names in subsets(whole):
        above = {k: whole[k] for k in names}
        got = both(run, cell, given, above, initial)
        zeros = {k: np.zeros_like(v) for k, v in whole.items() if k not in names}
        out = rounded_forward(cell, given)
        again = backward_of(run, cell, given, out, above | zeros, initial)
        kernel = {"offsets": given["offsets"], "h": out.h, "gates": out.gates, "initial": initial}
        wanted = meant(f"{cell}_backward", kernel, again)
        for name, array in meant(f"{cell}_backward", kernel, got).items():
            assert np.array_equal(array, wanted[name], equal_nan=True), name


@pytest.mark.parametrize("names", list(subsets(PEEPHOLES)), ids=" ".join)
def test_peepholes_one_by_one(run, rng, dtype, names):
    """One that is missing is as one of zeros."""
    given = problem("lstm", rng, dtype, [4, 3, 0, 4, 1], 19, peepholes=names)
    above = gradients("lstm", rng, given)
    got = both(run, "lstm", given, above, initial=1)
    assert {name for name in vars(got) if name.startswith("dp_")} == {f"d{p}" for p in names}
    zeros = {p: np.zeros(19, dtype) for p in PEEPHOLES if p not in names}
    both(run, "lstm", given | zeros, above, initial=1)


@pytest.mark.parametrize(("activation", "alpha"), ACTIVATIONS)
def test_activations(run, rng, dtype, activation, alpha):
    options = {"activation": activation, "alpha": alpha}
    for count, units in ((1, 5), (9, 33)):
        steps = ragged(rng, count, 6)
        given = problem("rnn", rng, dtype, steps, units, **options)
        both(run, "rnn", given, gradients("rnn", rng, given), initial=1)


@cells
def test_no_steps(run, rng, dtype, cell, options):
    """Where all sequences are empty, only the gradients of final states go on."""
    given = problem(cell, rng, dtype, [0, 0, 0], 9, times=2, **options)
    above = gradients(cell, rng, given)
    got = both(run, cell, given, above, initial=1)
    assert not got.dw.any()
    assert not got.flow[:, :2].any()
    assert np.isnan(got.flow[:, 2]).all()
    assert bits(got.dh0) == bits(above["dh_last"])


@cells
def test_status_may_be_left_out(run, rng, dtype, cell, options):
    given = problem(cell, rng, dtype, [3, 1], 9, **options)
    above, out = gradients(cell, rng, given), rounded_forward(cell, given)
    whole = backward_of(run, cell, given, out, above)
    part = backward_of(run, cell, given, out, above, status=None)
    assert bits(part.dw, part.dh0, part.flow) == bits(whole.dw, whole.dh0, whole.flow)


@cells
def test_a_batch_is_its_rows(ops, run, rng, dtype, cell, options):
    """Bit for bit, forward and back in time, whatever else there is in the batch."""
    if ops.name == "reference":
        pytest.skip("products of NumPy depend on how many rows there are")
    lengths = [6, 6, 5, 5, 5, 4, 3, 3, 2, 2, 1, 1, 0] + [0] * 4
    given = problem(cell, rng, dtype, lengths, 21, **options)
    above, offsets = gradients(cell, rng, given), given["offsets"]
    out = run(f"{cell}_forward", **given)
    got = backward_of(run, cell, given, out, above)
    count = len(lengths)
    for i in range(count):
        rows = offsets[: lengths[i]] + i
        states = np.append(i, count + rows).astype(int)
        alone = dict(given, offsets=np.arange(lengths[i] + 1), gates=given["gates"][rows])
        names = [k for k in ("h", "c") if k in given]
        alone |= {k: given[k][states] for k in names}
        one = run(f"{cell}_forward", **alone)
        assert all(bits(getattr(one, k)) == bits(getattr(out, k)[states]) for k in names)
        last = {k: v[rows] if k == "dy" else v[i : i + 1] for k, v in above.items()}
        back = backward_of(run, cell, alone, one, last)
        width = (3 if options.get("before") else got.gates.shape[1] // 21) * 21
        assert bits(back.gates[:, :width]) == bits(got.gates[rows, :width])
        assert all(
            bits(getattr(back, f"d{k}0")[0]) == bits(getattr(got, f"d{k}0")[i]) for k in names
        )


@with_inputs
@pytest.mark.parametrize(("count", "units", "inputs"), [(7, 17, 3), (17, 50, 1), (33, 16, 40)])
def test_inputs_within_a_step_are_those_made_before(
    run, rng, dtype, cell, options, count, units, inputs
):
    given = problem(cell, rng, dtype, ragged(rng, count, 5), units, **options)
    high = len(given["w"])
    turned = units if cell == "gru" else 0
    x = rng.standard_normal((len(given["gates"]), inputs)).astype(dtype)
    w_ih = rng.standard_normal((high, inputs)).astype(dtype)
    bias = rng.standard_normal(high + turned).astype(dtype)
    few = {"x": x, "bias": bias, "offsets": given["offsets"], "turned": turned}
    gates = run("gate_inputs_forward", w=w_ih, **few).z
    separate = run(f"{cell}_forward", **given | {"gates": gates})
    blocks = 4 if cell == "lstm" else 3 if cell == "gru" else 1
    panels = np.zeros(room(blocks, units, count, inputs), dtype)
    within = {"x": x, "w_ih": w_ih, "bias": bias, "panels": panels}
    fused = run(f"{cell}_forward", **given | within)
    end = given["offsets"][-1]
    assert bits(separate.h[: count + end], separate.gates[:end]) == bits(
        fused.h[: count + end], fused.gates[:end]
    )


@with_inputs
def test_inputs_are_given_whole(run, rng, cell, options):
    given = problem(cell, rng, np.float64, [3, 2], 5, **options)
    x = np.zeros((len(given["gates"]), 4))
    with pytest.raises(ValueError, match="x, w_ih and bias must be given all three or not at all"):
        run(f"{cell}_forward", **given | {"x": x})
