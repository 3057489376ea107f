"""Constraints on weights: they hold after every step, and touch nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain
from rounding import assert_within, rounding

import fastgrad as fg
from fastgrad import backends, constraints
from fastgrad.program import Tape, Workspace

X = np.random.default_rng(0).standard_normal((30, 5))
Y = np.random.default_rng(1).integers(3, size=30)


def tower(dtype="float64"):
    return fg.Sequential(
        fg.Dense(5, 8, "tanh"),
        fg.LayerNorm(8),
        fg.Residual(fg.Dense(8, 8, "relu"), learn_scale=True),
        fg.Dense(8, 3),
        rng=0,
        dtype=dtype,
    )


def norms(weight):
    """Of the rows, in long double."""
    rows = np.atleast_2d(weight).astype(np.longdouble)
    return np.sqrt((rows**2).sum(axis=1))


def trained(constraint, model=None, steps=5, optimizer=None, **options):
    """The model after each of so many steps."""
    model = model or tower()
    optimizer = optimizer or fg.SGD(0.5, momentum=0.9)
    trainer = fg.Trainer(
        model, "cross_entropy", optimizer, rng=0, constraints=constraint, **options
    )
    for _ in range(steps):
        trainer.step(X, Y)
        yield model


@pytest.mark.parametrize("limit", [0.1, 0.6, 1e-3])
def test_no_row_is_longer(engine, dtype, limit):
    """But by the rounding of its elements, and that of a sum of 8 squares in float64."""
    bound = limit * (1 + float(np.finfo(dtype).eps) + rounding(1, np.float64, 8 + 4))
    acted = 0
    for model in trained(fg.MaxNorm(limit), tower(dtype)):
        for name in ("0.weight", "2.0.weight", "3.weight"):
            found = norms(model.params[name])
            assert (found <= bound).all()
            acted += (found > 0.999 * limit).sum()
    assert acted > 0


@pytest.mark.parametrize("value", [1e-3, 1.0, "large"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_rows_are_scaled_exactly(engine, dtype, value):
    """Against long double, also where squares leave float64; short rows keep their bits."""
    value = float(np.finfo(dtype).max) / 40 if value == "large" else value
    rng = np.random.default_rng(0)
    model = fg.Sequential(fg.Dense(5000, 3), fg.Dense(3, 33), rng=0, dtype=dtype)
    for name in ("0.weight", "1.weight"):
        shape = model.params[name].shape
        model.params[name] = value * rng.uniform(0.1, 1, shape) * rng.choice([-1, 1], shape)
    limit = float(np.median(norms(model.params["1.weight"])))
    before = {name: view.copy() for name, view in model.params.items()}
    record(fg.MaxNorm(limit), model)
    for name in ("0.weight", "1.weight"):
        size = norms(before[name])
        factor = np.minimum(1, limit / size)[:, None]
        wanted = (before[name].astype(np.longdouble) * factor).astype(np.float64)
        bound = rounding(wanted, dtype, 4) + rounding(wanted, np.float64, before[name].shape[1])
        assert_within(model.params[name], wanted, bound, name)
        short = size < limit
        assert bits(model.params[name][short]) == bits(before[name][short])
    assert (norms(before["1.weight"]) < limit).any()


def record(constraint, model):
    """Impose the constraint, once and alone."""
    tape = Tape(backends.active(), Workspace(), model.dtype)
    constraint.record(tape, model)
    tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep).run([1], 2)


def test_what_is_no_number_stays_what_it_is(engine):
    """The next step will find it; no other row changes."""
    model = chain(5, 8, 3)
    for value in (np.nan, np.inf):
        model.params["0.weight"][1, 2] = value
        before = model.params["0.weight"].copy()
        record(fg.MaxNorm(0.01), model)
        np.testing.assert_array_equal(model.params["0.weight"][1], before[1])
        others = np.delete(model.params["0.weight"], 1, axis=0)
        assert (norms(others) < 0.0101).all()


def test_weights_alone_are_constrained():
    """And others by their full names, as one vector."""
    model = tower()
    model.params["0.bias"] = np.ones(8)
    before = {name: view.copy() for name, view in model.params.items()}
    record(fg.MaxNorm(0.25, {"3": None, "2": 0.125, "1.weight": 0.5}), model)
    for name, limit in {"0.weight": 0.25, "2.0.weight": 0.125, "1.weight": 0.5}.items():
        assert norms(model.params[name]).max() == pytest.approx(limit, rel=1e-15)
    for name in ("0.bias", "1.bias", "2.scale", "2.0.bias", "3.weight", "3.bias"):
        assert bits(model.params[name]) == bits(before[name])


def test_it_is_projected_descent(engine, dtype):
    """The same as a plain trainer whose rows are scaled by hand after each step."""
    by_hand = chain(5, 8, 3, dtype=dtype)
    plain = fg.Trainer(by_hand, "cross_entropy", fg.SGD(0.5), rng=0)
    for model in trained(fg.MaxNorm(0.5), chain(5, 8, 3, dtype=dtype), 6, fg.SGD(0.5)):
        plain.step(X, Y)
        for name in ("0.weight", "1.weight"):
            view = by_hand.params[name]
            factor = np.minimum(1, 0.5 / norms(view)).astype(np.float64)
            view[...] = np.where(factor[:, None] < 1, view * factor[:, None], view)
        bound = 6 * 3 * (5 + 8 + 3 + 30 + 20) * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(model.flat_params, by_hand.flat_params, rtol=0, atol=bound)


def test_unit_norms(engine, dtype):
    model = tower(dtype)
    model.params["0.weight"][2] = 0
    record(fg.UnitNorm({"2": False}), model)
    for name in ("0.weight", "3.weight"):
        found = norms(model.params[name])
        wanted = np.ones(len(found))
        wanted[2] = name != "0.weight"  # what is 0 has no direction
        assert_within(found.astype(np.float64), wanted, 2 * float(np.finfo(dtype).eps))
    assert bits(model.params["2.0.weight"]) == bits(tower(dtype).params["2.0.weight"])


def test_none_is_negative(engine, dtype):
    for model in trained(fg.NonNegative({"0": False, "3.bias": True}), tower(dtype)):
        assert (model.params["2.0.weight"] >= 0).all()
        assert (model.params["3.bias"] >= 0).all()
        assert (model.params["0.weight"] < 0).any()
    view, before = model.params["3.weight"], np.linspace(-1, 1, 24).reshape(3, 8)
    view[...] = before
    record(fg.NonNegative(), model)
    np.testing.assert_array_equal(view, np.maximum(before, 0).astype(dtype))


def test_several_act_in_order(engine):
    model = chain(5, 8, 3)
    record(fg.NonNegative(), model)
    record(fg.UnitNorm(), model)
    one = chain(5, 8, 3)
    both = fg.Trainer(one, "mse", fg.SGD(1e-30), constraints=[fg.NonNegative(), fg.UnitNorm()])
    both.step(X, np.zeros((30, 3)))
    assert bits(one.flat_params) == bits(model.flat_params)


def test_it_holds_in_epochs_and_in_averages(engine):
    model = tower()
    trainer = fg.Trainer(
        model, "cross_entropy", fg.SGD(0.5), rng=0, average=0.9, constraints=fg.MaxNorm(0.5)
    )
    for _ in range(3):
        trainer.epoch(X, Y, 7)
        assert norms(model.params["0.weight"]).max() < 0.5 + 1e-15
    with trainer.averaged():  # of a convex set
        assert norms(model.params["0.weight"]).max() < 0.5 + 1e-15


def test_threads_change_nothing(threads, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 300)), rng.integers(3, size=50)
    results = set()
    for count in (1, 2, 3):
        threads(count)
        model = chain(300, 200, 3, dtype=dtype)
        given = [fg.NonNegative({"1": False}), fg.MaxNorm(0.5)]
        trainer = fg.Trainer(model, "cross_entropy", rng=0, constraints=given)
        results.add(bits([trainer.epoch(x, y, 20) for _ in range(2)], model.flat_params))
    assert len(results) == 1


def test_fit_hands_them_on():
    run = fg.fit(chain(5, 8, 3), X, Y, loss="cross_entropy", constraints=fg.MaxNorm(0.3), epochs=2)
    assert isinstance(run.trainer.constraints[0], fg.MaxNorm)
    assert norms(run.model.params["0.weight"]).max() < 0.3 + 1e-7


@pytest.mark.parametrize(
    "constraint",
    [fg.MaxNorm(3), fg.MaxNorm(2, {"0": None}), fg.UnitNorm({"0": False}), fg.NonNegative()],
)
def test_it_is_made_again_from_its_config(constraint):
    again = constraints.from_config(constraint.config())
    assert type(again) is type(constraint)
    assert vars(again) == vars(constraint)
    assert repr(again) == repr(constraint)


BAD = {
    "limit 0": (lambda: fg.MaxNorm(0), ValueError, r"limit must lie in \(0, inf\), got 0"),
    "limit NaN": (lambda: fg.MaxNorm(np.nan), ValueError, r"limit must lie in \(0, inf\), got nan"),
    "limit text": (lambda: fg.MaxNorm("3"), TypeError, "limit must be a number, got '3'"),
    "limit of a layer": (
        lambda: fg.MaxNorm(3, {"0": 0}), ValueError, r"per_layer\['0'\] must lie in \(0, inf\)",
    ),
    "a number for a flag": (
        lambda: fg.UnitNorm({"0": 1}), TypeError, r"per_layer\['0'\] must be True or False, got 1"
    ),
    "a list": (lambda: fg.NonNegative(["0"]), TypeError, "per_layer must map names to values"),
    "no such layer": (
        lambda: fg.Trainer(chain(5, 3), "mse", constraints=fg.MaxNorm(1, {"weight": None})),
        ValueError,
        "per_layer: 'weight' fits none of 0.weight",
    ),
    "no such layer, flag": (
        lambda: fg.Trainer(tower(), "mse", constraints=[fg.UnitNorm({"7": False})]),
        ValueError,
        "per_layer: '7' fits none of 0.weight, 2.0.weight, 3.weight",
    ),
    "a number": (
        lambda: fg.Trainer(chain(5, 3), "mse", constraints=3.0),
        TypeError,
        r"constraints must be a constraint such as MaxNorm\(3.0\), or a list of them, got 3.0",
    ),
    "config of another": (
        lambda: constraints.from_config({"name": "MinNorm"}), ValueError, "one of MaxNorm, UnitNorm"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
