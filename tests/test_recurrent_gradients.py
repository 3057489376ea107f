"""Gradients through time: against differences, far from 1, and where there are none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from cells import (
    CELLS,
    PEEPHOLES,
    STATES,
    backward_of,
    cells,
    check_backward,
    check_forward,
    gradients,
    problem,
    rounded_forward,
    steps,
)
from harness import exact
from rounding import ACTIVATIONS, assert_within, rounding

import fastgrad as fg

LENGTHS = [5, 2, 5, 0, 1, 5, 4]


class Function:
    """Outputs of a recurrent kernel as a function of arrays, with its backward kernel."""

    def __init__(self, run, cell, given):
        self.run, self.cell, self.given = run, cell, given
        self.count = len(given["h"]) - len(given["gates"])
        self.rows = given["offsets"][-1]
        self.peepholes = [p for p in PEEPHOLES if p in given]
        offsets, last = given["offsets"], np.arange(self.count)
        for t in range(len(offsets) - 1):  # where each sequence ends
            last[: offsets[t + 1] - offsets[t]] = self.count + np.arange(*offsets[t : t + 2])
        self.last = last

    def arrays(self):
        """w, the gates of all steps, the initial states, peepholes."""
        given = self.given
        initial = [given[s][: self.count] for s in STATES[self.cell]]
        return (
            given["w"],
            given["gates"][: self.rows],
            *initial,
            *(given[p] for p in self.peepholes),
        )

    def forward(self, w, z, *rest):
        call = self.given | {"w": w, "gates": self.given["gates"].copy()}
        call["gates"][: self.rows] = z
        states = STATES[self.cell]
        for name, initial in zip(states, rest, strict=False):
            call[name] = np.concatenate([initial, self.given[name][self.count :]])
        call |= dict(zip(self.peepholes, rest[len(states) :], strict=True))
        return call, self.run(f"{self.cell}_forward", **call)

    def __call__(self, *arrays):
        """h of all steps, then all final states."""
        _, out = self.forward(*arrays)
        finals = [getattr(out, s)[self.last] for s in STATES[self.cell]]
        steps = out.h[self.count : self.count + self.rows]
        return np.concatenate([steps, *finals])

    def vjp(self, dy, *arrays):
        call, out = self.forward(*arrays)
        parts = np.split(dy, [self.rows + i * self.count for i in range(len(STATES[self.cell]))])
        above = {f"d{s}_last": part for s, part in zip(STATES[self.cell], parts[1:], strict=True)}
        above["dy"] = np.full_like(call["gates"][:, : dy.shape[1]], np.nan)
        above["dy"][: self.rows] = parts[0]
        got = backward_of(self.run, self.cell, call, out, above)
        initial = [getattr(got, f"d{s}0") for s in STATES[self.cell]]
        dz = got.gates[: self.rows].copy()
        if self.given.get("before"):
            dz[:, -dy.shape[1] :] = 0  # m is what the layer makes, its gate is not read
        return got.dw, dz, *initial, *(getattr(got, f"d{p}") for p in self.peepholes)

    def check(self):
        found = fg.gradcheck(self, *self.arrays(), vjp=self.vjp, tolerance=1e-7)
        assert found, found


@pytest.mark.parametrize("units", [1, 5, 16, 33])
@cells
def test_against_differences(run, rng, cell, options, units):
    """w, gates of all steps, initial states and peepholes, of all outputs and final states."""
    Function(run, cell, problem(cell, rng, np.float64, LENGTHS, units, **options)).check()


@pytest.mark.parametrize(("activation", "alpha"), ACTIVATIONS)
def test_activations_against_differences(run, rng, activation, alpha):
    options = {"activation": activation, "alpha": alpha}
    Function(run, "rnn", problem("rnn", rng, np.float64, LENGTHS, 7, **options)).check()


@cells
def test_flow_is_the_gradient_of_the_steps_behind(run, rng, cell, options):
    """dL/dh_t is that of the initial state of what comes after t, and dy_t; dL/dc_t likewise.

    A step lies between the gradient that it was given and the one that it hands on.
    """
    given = problem(cell, rng, np.float64, LENGTHS, 9, **options)
    above, out = gradients(cell, rng, given), run(f"{cell}_forward", **given)
    got = backward_of(run, cell, given, out, above)
    norms, count = [], len(LENGTHS)
    for t, (now, here, _) in enumerate(steps(given)):
        offsets = given["offsets"][t + 1 :] - now.stop
        n = now.stop - now.start
        rest = dict(given, offsets=offsets, gates=given["gates"][now.stop :])
        for s in STATES[cell]:
            rest[s] = np.concatenate([getattr(out, s)[here], given[s][count + now.stop :]])
        behind = {k: v[:n] for k, v in above.items() if k != "dy"} | {"dy": above["dy"][now.stop :]}
        back = backward_of(run, cell, rest, run(f"{cell}_forward", **rest), behind)
        dh = back.dh0 + above["dy"][now]
        dc = back.dc0 if "c" in STATES[cell] else np.zeros(0)
        came = np.sqrt((dh**2).sum() + (dc**2).sum())
        if cell == "lstm":
            own = SimpleNamespace(o=out.gates[now, 27:36], t=np.tanh(out.c[here]))
            dz_o = dh * own.t * own.o * (1 - own.o)
            dc = dc + dh * own.o * (1 - own.t**2) + dz_o * given.get("p_o", 0)
        if cell == "lstm_norm":
            moments = {"mean": out.mean_c[now], "scale": out.scale_c[now]}
            how = {"x": out.c[here], "weight": given["norm_c"], "center": 1, **moments}
            d_seen = dh * out.gates[now, 27:36] * (1 - out.seen[now] ** 2)
            dc = dc + exact("layer_norm_backward", dy=d_seen, **how).dx
        norms.append((np.linalg.norm(dh), np.linalg.norm(dc), came))
    norms = np.array(norms)
    # as many roundings as there are steps, of sums of at most 4 H + 10 terms
    bound = rounding(norms, np.float64, 5 * 46)
    assert_within(got.flow[:, :2], norms[:, :2], bound[:, :2])
    went = []
    for t, (now, _, _) in enumerate(steps(given)):
        n = now.stop - now.start
        handed = [got.dh0[:n], got.dc0[:n] if "c" in STATES[cell] else np.zeros(0)]
        if t:  # to the states of the step before, which dy has not reached yet
            start = given["offsets"][t - 1]
            rest = dict(given, offsets=given["offsets"][t:] - now.start)
            rest["gates"] = given["gates"][now.start :]
            for s in STATES[cell]:
                initial = getattr(out, s)[count + start : count + start + n]
                rest[s] = np.concatenate([initial, given[s][count + now.start :]])
            behind = {k: v[:n] for k, v in above.items() if k != "dy"}
            behind["dy"] = above["dy"][now.start :]
            back = backward_of(run, cell, rest, run(f"{cell}_forward", **rest), behind)
            handed = [back.dh0, back.dc0 if "c" in STATES[cell] else np.zeros(0)]
        went.append(np.sqrt(sum((x**2).sum() for x in handed)))
    ratios = np.array(went) / norms[:, 2]
    assert_within(got.flow[:, 2], ratios, rounding(ratios, np.float64, 2 * 5 * 46))


@pytest.mark.parametrize("size", [1e-30, 1e30])
@cells
def test_gradients_far_from_1_have_norms(run, rng, cell, options, size):
    """Their squares leave float32, and float64 accumulates them."""
    given = problem(cell, rng, np.float32, [4, 4, 2], 21, **options)
    above = gradients(cell, rng, given)
    out = rounded_forward(cell, given)
    usual = backward_of(run, cell, given, out, above)
    above = {k: v * np.float32(size) for k, v in above.items()}
    got = backward_of(run, cell, given, out, above)
    check_backward(cell, given, out, above, 1, got)
    assert np.isfinite(got.flow).all()
    assert (got.flow[:, 0] > 0).all()
    # 4 steps, of sums of at most 4 H + 10 terms; and size, which is rounded
    wanted = usual.flow * np.array([size, size, 1])
    norms = wanted[:, :1] + wanted[:, 1:2] + np.array([0, 0, 1]) * wanted[:, 2:]
    assert_within(got.flow, wanted, rounding(norms, np.float32, 2 * 4 * 94 + 1))
    assert got.status[0] == 0


@cells
def test_saturated_gates_have_finite_gradients(run, rng, dtype, cell, options):
    given = problem(cell, rng, dtype, [3, 3, 1], 17, **options)
    rows = given["offsets"][-1]
    signs = rng.choice([-1e4, 0, 1e4], size=given["gates"][:rows].shape)
    given["gates"][:rows] = signs
    out = run(f"{cell}_forward", **given)
    check_forward(cell, given, out)
    above = gradients(cell, rng, given)
    got = backward_of(run, cell, given, out, above)
    check_backward(cell, given, out, above, 1, got)
    assert np.isfinite(got.gates[:rows]).all()
    assert np.isfinite(got.dw).all()
    assert got.status[0] == 0


@pytest.mark.parametrize(("cell", "options"), list(CELLS.values())[1:], ids=list(CELLS)[1:])
def test_what_all_gates_being_shut_or_open_means(run, rng, dtype, cell, options):
    """A GRU keeps its state or takes the new one, an LSTM its cell; gradients pass or do not."""
    for keep in (True, False):
        given = problem(cell, rng, dtype, [6, 6], 9, **options)
        sign = 1e4 if keep else -1e4
        blocks = np.split(given["gates"], 4, axis=1)
        if cell == "gru":
            blocks[2][...] = sign
        else:
            blocks[0][...], blocks[1][...] = -sign, sign
        given["gates"] = np.concatenate(blocks, axis=1)
        out = run(f"{cell}_forward", **given)
        state = STATES[cell][-1]
        states = getattr(out, state).reshape(7, 2, 9)
        kept = np.broadcast_to(states[:1], states.shape)
        # n + z (h - n) is rounded twice in each of 6 steps
        bound = rounding(np.abs(kept) + 1, dtype, 12)
        assert (np.abs(states - kept) <= bound).all() == keep
        d_last = f"d{state}_last"
        above = {d_last: gradients(cell, rng, given)[d_last]}
        got = backward_of(run, cell, given, out, above)
        carried = getattr(got, f"d{state}0")
        if keep:
            assert np.array_equal(carried, above[d_last])
            assert_within(got.flow[:, 2], np.ones(6), rounding(np.ones(6), np.float64, 22))
        else:
            assert not carried.any() or cell == "gru"  # whose n sees the state as well


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("where", ["gates", "h", "w"])
@cells
def test_what_is_no_number_spreads_and_raises_the_status(run, rng, dtype, cell, options, where):
    """To the states of its sequence, and to no other, unless it is a weight."""
    given = problem(cell, rng, dtype, [4, 4, 4, 3], 17, **options)
    given[where] = given[where].copy()
    given[where][1, -1] = np.nan  # sequence 1 at step 0
    if where == "gates" and options.get("before"):
        given[where][1, 0] = np.nan  # the last block is not read
    out = run(f"{cell}_forward", **given)
    assert np.isnan(out.h[13]).any()  # sequence 1 at step 2
    others = [0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18]
    if where != "w":
        assert np.isfinite(out.h[others]).all()
    assert backward_of(run, cell, given, out, gradients(cell, rng, given)).status[0] == 1


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@cells
def test_a_gradient_that_is_not_finite_raises_the_status(run, rng, dtype, cell, options, bad):
    given = problem(cell, rng, dtype, [3, 2], 9, **options)
    out = rounded_forward(cell, given)
    for name in gradients(cell, rng, given):
        above = gradients(cell, rng, given)
        assert backward_of(run, cell, given, out, above).status[0] == 0
        above[name][0, 4] = bad
        assert backward_of(run, cell, given, out, above).status[0] == 1


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_peephole_that_is_not_finite_raises_the_status(run, rng, dtype):
    """Where it is all that is not: that of o is the sum of gradients times c."""
    given = problem("lstm", rng, dtype, [1], 3, peepholes=("p_o",))
    out = rounded_forward("lstm", given)
    largest = np.finfo(dtype).max
    above = {"dh_last": np.full((1, 3), largest**0.45, dtype)}
    out.h[...] = 0
    out.gates[...] = 0.5
    for c, status in ((1.0, 0), (largest**0.9, 1)):
        out.c[1] = c
        got = backward_of(run, "lstm", given, out, above)
        assert not got.dw.any()
        assert np.isfinite(got.dp_o).all() == (status == 0)
        assert got.status[0] == status
