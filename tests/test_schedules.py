"""Schedules of the learning rate: against PyTorch, and what holds for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad import schedules
from fastgrad.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseSquareRoot,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Product,
    ReduceOnPlateau,
    Schedule,
    Sequence,
    Step,
    Warmup,
)

STEPS = np.arange(80)
EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).with_name("golden") / "schedules.npz") as file:
        return dict(file)


# name in the golden file: the same here, over 80 steps
SAME = {
    "constant": Sequence([Constant(0.3), Constant()], [20]),
    "linear": Linear(50, 0.25, 0.75),
    "polynomial": Polynomial(60, power=2.5),
    "step": Step(15, 0.5),
    "multi_step": MultiStep([10, 11, 60], 0.3),
    "exponential": Exponential(1, 0.95),
    "cosine": Cosine(end=0.1),
    "restarts": Cosine(end=0.2, cycles=4),
    "growing_restarts": Cosine(84, cycles=3, cycle_mult=2),
    "warmup_cosine": Warmup(0.1, then=Cosine(), start=1 / 3),
    "sequence": Sequence([Linear(20, 0.5, 1.0), Step(10, 0.5), Polynomial(0.75, 2)], [25, 0.75]),
    "product": Linear(10, 0.1, 1.0) * Exponential(1, 0.97),
    "one_cycle": OneCycle(),
    "one_cycle_linear": OneCycle(80, rise=0.45, start=0.1, end=1e-5, anneal="linear"),
    "one_cycle_uneven": OneCycle(1.0, rise=0.237, end=1 / 25 / 50),
}


@pytest.mark.parametrize("name", SAME)
def test_pytorch(golden, name):
    # PyTorch multiplies from step to step, so that each step may add some roundings
    wanted = golden[name]
    np.testing.assert_allclose(SAME[name].factors(STEPS, 80), wanted, rtol=80 * 4 * EPS, atol=EPS)


@pytest.mark.parametrize("name", ["one_cycle", "one_cycle_linear", "one_cycle_uneven"])
def test_pytorch_momentum(golden, name):
    one = schedules.from_config({**SAME[name].config(), "momentum_range": [0.85, 0.95]})
    np.testing.assert_allclose(one.momentum(STEPS, 80), golden[f"{name}.momentum"], rtol=8 * EPS)


PLATEAUS = {
    "plateau": {"patience": 2},
    "plateau_abs": {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.5},
    "plateau_max": {"patience": 0, "mode": "max", "factor": 0.7, "cooldown": 3, "threshold": 0.02},
    "plateau_max_abs": {"patience": 1, "mode": "max", "factor": 0.3, "threshold_mode": "abs"},
    "plateau_floor": {"patience": 0, "factor": 0.2, "min_factor": 0.01, "cooldown": 1},
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_pytorch_plateau(golden, name):
    plateau, found, reduced = ReduceOnPlateau(**PLATEAUS[name]), [], []
    for step, metric in enumerate(golden["metric"]):
        found.append(float(plateau.factors(step)))
        reduced.append(plateau.update(3 - metric if plateau.mode == "max" else metric))
        # a plateau made anew from what JSON holds goes on the same
        state = json.loads(json.dumps(plateau.state(), allow_nan=False))
        plateau = schedules.from_config(plateau.config())
        plateau.set_state(state)
    wanted = golden[name]
    np.testing.assert_allclose(found, wanted, rtol=80 * EPS)
    assert np.array_equal(np.diff(wanted) < 0, np.diff(found) < 0)
    assert reduced[:-1] == (np.diff(found) < 0).tolist()
    assert len(set(found)) > 3


def test_a_metric_that_is_not_finite_is_no_improvement():
    plateau = ReduceOnPlateau(0.5, patience=1, mode="max")
    assert [plateau.update(m) for m in (np.nan, np.inf, np.float32(3), np.nan)] == [
        False, True, False, False,
    ]  # fmt: skip
    assert plateau.state() == {"scale": 0.5, "best": 3.0, "bad_epochs": 1, "cooldown_left": 0}


def test_inverse_square_root_is_that_of_the_transformer():
    t = np.arange(1, 1000)
    wanted = np.minimum(t**-0.5, t * 100**-1.5)  # eq. 3 for a width of 1; its first step is 1
    schedule = Warmup(100, then=InverseSquareRoot(100), start=0.0)
    np.testing.assert_allclose(0.1 * schedule.factors(t), wanted, rtol=8 * EPS)


def test_what_the_plainest_calls_give():
    assert Warmup(4).factors(range(6)).tolist() == [0.25, 0.4375, 0.625, 0.8125, 1, 1]
    assert Warmup(2, then=Linear(4)).factors(range(7)).tolist() == [
        0.5,
        0.75,
        1,
        0.75,
        0.5,
        0.25,
        0,
    ]
    assert Linear().factors([0, 5, 10, 99], 10).tolist() == [1, 0.5, 0, 0]
    assert Step(0.5).factors([0, 4, 5, 9], 10).tolist() == [1, 1, 0.1, 0.1]
    assert InverseSquareRoot(5).factors([0, 15]).tolist() == [1, 0.5]
    ends = Exponential(1.0, 0.25).factors([0, 50, 100, 200], 100)
    assert ends.tolist() == [1, 0.5, 0.25, 0.0625]
    assert Cosine(end=0.3).factors([0, 10, 20], 10).tolist() == [1, 0.3, 0.3]


durations = st.one_of(st.integers(1, 300), st.floats(0.01, 1))
parts = st.floats(0, 1)
decays = st.floats(1e-3, 1)
simple = st.one_of(
    st.builds(Constant, parts),
    st.builds(Linear, durations, parts, parts),
    st.builds(Polynomial, durations, st.floats(0.1, 4), parts),
    st.builds(Step, durations, decays),
    st.builds(MultiStep, st.lists(st.integers(1, 300), min_size=1).map(sorted), decays),
    st.builds(Exponential, durations, decays),
    st.builds(InverseSquareRoot, durations),
    st.builds(Cosine, st.integers(20, 300), parts, st.integers(1, 3), st.floats(0.5, 2)),
    st.builds(
        OneCycle,
        durations,
        st.floats(0.1, 0.9),
        parts,
        parts,
        st.sampled_from(["cosine", "linear"]),
        st.sampled_from([None, (0.85, 0.95)]),
    ),
    st.builds(ReduceOnPlateau),
)
all_schedules = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(Warmup, durations, inner, st.one_of(st.none(), parts)),
        st.builds(lambda a, b, at: Sequence([a, b], [at]), inner, inner, durations),
        st.builds(lambda a: a * Step(7), inner),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(all_schedules, st.integers(1, 400))
def test_every_schedule(schedule, total):
    steps = np.arange(total + 20)
    factors = schedule.factors(steps, total)
    assert factors.dtype == np.float64
    assert factors.shape == steps.shape
    assert (factors >= 0).all()
    assert (factors <= 1 + 4 * EPS).all()
    assert factors.tolist() == [float(schedule.factors(t, total)) for t in steps]
    assert np.array_equal(schedule.factors(steps.reshape(1, -1).T, total)[:, 0], factors)

    momenta = schedule.momentum(steps, total)
    if momenta is not None:
        assert momenta.tolist() == [float(schedule.momentum(t, total)) for t in steps]
        assert ((momenta >= 0.85 - EPS) & (momenta <= 0.95 + EPS)).all()

    stored = json.loads(json.dumps(schedule.config(), allow_nan=False))
    same = schedules.from_config(stored)
    assert repr(same) == repr(schedule)
    assert same.config() == stored
    assert np.array_equal(same.factors(steps, total), factors)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 200), simple, st.one_of(st.none(), parts))
def test_a_warmup_meets_what_follows(steps, then, start):
    factors = Warmup(steps, then, start).factors(np.arange(steps + 50), steps + 200)
    first = float(then.factors(0, 200))
    assert np.array_equal(factors[steps:], then.factors(np.arange(50), 200))
    slope = np.diff(factors[: steps + 1])
    assert (abs(slope - slope.mean()) <= 8 * EPS).all()
    assert factors[0] == pytest.approx(first * (1 / steps if start is None else start), rel=4 * EPS)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 200), parts, st.floats(0.2, 3))
def test_curves_without_corners_have_no_jumps(steps, end, power):
    t = np.arange(steps + 20)
    line = Linear(steps, 1.0, end).factors(t)
    for curve, steepest in (
        (Cosine(steps, end), np.pi / 2),
        (Polynomial(steps, max(power, 1), end), max(power, 1)),
        (OneCycle(steps, 0.5, end, end), np.pi * steps / (steps - 2) if steps > 2 else np.inf),
    ):
        jumps = abs(np.diff(curve.factors(t)))
        assert (jumps <= steepest * (1 - end) / steps + 4 * EPS).all(), curve
        if not isinstance(curve, OneCycle):
            assert curve.factors(steps) == line[steps] == end
            assert (np.diff(curve.factors(t)) <= 2 * EPS).all()


def test_momentum_of_joined_schedules():
    cycle = OneCycle(10, momentum_range=(0.8, 0.9))
    assert Cosine().momentum([0, 1], 10) is None
    assert Sequence([Cosine(), Linear()], [0.5]).momentum([0], 10) is None
    own = cycle.momentum(range(20))
    assert own[0] == own[9] == own[19] == 0.9
    assert own.min() == 0.8
    warm = Warmup(5, cycle).momentum(range(25))
    assert warm.tolist() == [0.9] * 5 + own.tolist()
    between = Sequence([Linear(), cycle, Linear()], [5, 15]).momentum(range(25), 25)
    assert between.tolist() == [0.9] * 5 + own[:10].tolist() + [0.9] * 10
    assert np.array_equal((Step(3) * cycle).momentum(range(20)), own)
    with pytest.raises(ValueError, match="2 of the schedules multiplied change the momentum"):
        (cycle * cycle).momentum([0])


def test_every_plateau_is_found():
    one, other = ReduceOnPlateau(), ReduceOnPlateau()
    whole = Warmup(3, one * Cosine()) * Sequence([Linear(), other], [0.5])
    assert whole.plateaus() == [one, other]
    assert Cosine().plateaus() == []
    before = whole.factors(range(10), 10)
    one.set_state({"scale": 0.5, "best": None, "bad_epochs": 0, "cooldown_left": 0})
    assert np.array_equal(whole.factors(range(10), 10), before / 2)


def test_a_short_run_does_not_come_to_what_follows():
    schedule = Warmup(1000, then=Cosine())
    assert np.array_equal(schedule.factors(range(10), 10), Warmup(1000).factors(range(10)))
    assert Sequence([Linear(4), Cosine()], [20]).factors([0, 3], 10).tolist() == [1, 0.25]


def test_one_of_your_own():
    class Even(Schedule):
        def curve(self, steps, total):
            return np.where(steps % 2, 0.0, 1.0)

    assert (Even() * Constant(0.5)).factors([0, 1, 2]).tolist() == [0.5, 0, 0.5]
    assert Warmup(2, Even()).factors([0, 2, 3]).tolist() == [0.5, 1, 0]


def test_get():
    cosine = Cosine()
    assert schedules.get(cosine) is cosine
    assert schedules.get(None).factors([3]).tolist() == [1]
    assert schedules.get(0.5).factors([3]).tolist() == [0.5]
    assert type(schedules.get("one_cycle")) is OneCycle


BAD = {
    "negative factor": (lambda: Constant(-1), r"factor must lie in \[0, inf\), got -1"),
    "steps 0": (lambda: Linear(0), "steps must be at least 1, got 0"),
    "float steps": (lambda: Linear(100.0), r"steps must be .* in \(0, 1\], got 100.0"),
    "nan steps": (lambda: Cosine(float("nan")), r"steps must be .* \(0, 1\], got nan"),
    "steps of text": (lambda: Cosine("all"), "steps must be an integer, got 'all'"),
    "true steps": (lambda: Cosine(True), "steps must be an integer, got True"),
    "power": (lambda: Polynomial(5, 0), r"power must lie in \(0, inf\), got 0"),
    "growing": (lambda: Step(5, 2.0), r"factor must lie in \(0, 1\], got 2.0"),
    "no milestones": (lambda: MultiStep([]), r"milestones must be a list of durations, got \[\]"),
    "a milestone": (lambda: MultiStep(5), "milestones must be a list of durations, got 5"),
    "milestone -1": (lambda: MultiStep([3, -1]), r"milestones\[1\] must be at least 1, got -1"),
    "unordered": (
        lambda: MultiStep([0.5, 3]).factors([0], 10),
        r"milestones must be in order, got \(0.5, 3\), steps \[5, 3\]",
    ),
    "no every": (lambda: Exponential(0.0), r"every must be .* got 0.0"),
    "timescale": (lambda: InverseSquareRoot(None), "timescale must be an integer, got None"),
    "end": (lambda: Cosine(end=1.5), r"end must lie in \[0, 1\], got 1.5"),
    "cycles": (lambda: Cosine(cycles=0), "cycles must be at least 1, got 0"),
    "cycle_mult": (lambda: Cosine(cycle_mult=0), r"cycle_mult must lie in \(0, inf\), got 0"),
    "too many cycles": (lambda: Cosine(3, cycles=4), "4 cycles, .* do not fit into 3 steps"),
    "cycles that grow": (
        lambda: Cosine(cycles=9, cycle_mult=1e300).factors([0], 99),
        "9 cycles, each 1e.300 times as long as the one before, do not fit into 99 steps",
    ),
    "rise": (lambda: OneCycle(rise=1), r"rise must lie in \(0, 1\), got 1"),
    "anneal": (lambda: OneCycle(anneal="cos"), "anneal must be 'cosine' or 'linear', got 'cos'"),
    "momentum": (lambda: OneCycle(momentum_range=0.9), "momentum_range must be a pair .* got 0.9"),
    "momentum 1": (lambda: OneCycle(momentum_range=(0.9, 1)), r"momentum_range\[1\] must lie in"),
    "high, low": (
        lambda: OneCycle(momentum_range=(0.9, 0.8)),
        r"momentum_range must be \(lowest, highest\), got \(0.9, 0.8\)",
    ),
    "then": (lambda: Warmup(5, then="cosine"), "then must be a Schedule, got 'cosine'"),
    "start": (lambda: Warmup(5, start=2), r"start must lie in \[0, 1\], got 2"),
    "one schedule": (lambda: Sequence([Cosine()], []), "schedules must be two or more, got 1"),
    "no list": (lambda: Product(Cosine()), r"schedules must be a list of Schedule, got Cosine\("),
    "no schedule": (lambda: Product([Cosine(), 2]), r"schedules\[1\] must be a Schedule, got 2"),
    "milestones": (
        lambda: Sequence([Cosine(), Cosine()], [1, 2]),
        "milestones must be 1 for 2 schedules, got 2",
    ),
    "falling": (
        lambda: Sequence([Cosine()] * 3, [5, 5]).factors([0]),
        r"milestones must rise, got \(5, 5\), steps \[5, 5\]",
    ),
    "times 2": (lambda: Cosine() * 2, "unsupported operand"),
    "no total": (
        lambda: Warmup(5, Cosine()).factors([0]),
        "steps 1.0 is a fraction of a run of unknown length: give a number of steps",
    ),
    "total 0": (lambda: Cosine().factors([0], 0), "total must be at least 1, got 0"),
    "float total": (lambda: Cosine().factors([0], 10.0), "total must be an integer, got 10.0"),
    "float step": (lambda: Cosine(5).factors([0.5]), "steps must be integers, got dtype float64"),
    "step -1": (lambda: Cosine(5).factors([3, -1]), "steps must be at least 0, got -1"),
    "plateau factor": (lambda: ReduceOnPlateau(1.0), r"factor must lie in \(0, 1\), got 1.0"),
    "patience": (lambda: ReduceOnPlateau(patience=-1), "patience must be at least 0, got -1"),
    "mode": (lambda: ReduceOnPlateau(mode="up"), "mode must be 'auto' or 'min' or 'max', got 'up'"),
    "threshold": (lambda: ReduceOnPlateau(threshold=-1), r"threshold must lie in \[0, inf\)"),
    "threshold_mode": (lambda: ReduceOnPlateau(threshold_mode=1), "threshold_mode must be 'rel'"),
    "cooldown": (lambda: ReduceOnPlateau(cooldown=0.5), "cooldown must be an integer, got 0.5"),
    "min_factor": (lambda: ReduceOnPlateau(min_factor=2), r"min_factor must lie in \[0, 1\]"),
    "monitor": (lambda: ReduceOnPlateau(monitor=3), "monitor must be a name in the history, got 3"),
    "metric": (lambda: ReduceOnPlateau().update("low"), "metric must be a number, got 'low'"),
    "state": (lambda: ReduceOnPlateau().set_state({}), "state must have scale, best, bad_epochs"),
    "scale": (
        lambda: ReduceOnPlateau().set_state(
            {"scale": 2, "best": 1, "bad_epochs": 0, "cooldown_left": 0}
        ),
        r"scale must lie in \[0, 1\], got 2",
    ),
    "unknown": (lambda: schedules.get("cos"), "schedule: expected one of constant, .* got 'cos'"),
    "class": (lambda: schedules.get(Cosine), "schedule: expected one of .* got <class"),
    "config": (lambda: schedules.from_config([]), r'expected a mapping with a "name", got \[\]'),
    "config name": (
        lambda: schedules.from_config({"name": "Cosinus"}),
        "schedule: expected one of Constant, .* got 'Cosinus'",
    ),
    "config key": (
        lambda: schedules.from_config({"name": "Cosine", "T_max": 3}),
        r"schedule Cosine\(steps.*unexpected keyword argument 'T_max'",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_bad_state_changes_nothing():
    plateau = ReduceOnPlateau()
    plateau.update(3.0)
    before = plateau.state()
    for name, wrong in (("best", "low"), ("bad_epochs", -1), ("cooldown_left", 0.5)):
        with pytest.raises((ValueError, TypeError), match=name):
            plateau.set_state(
                {"scale": 0.5, "best": 9, "bad_epochs": 2, "cooldown_left": 2, name: wrong}
            )
        assert plateau.state() == before
