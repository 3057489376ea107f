"""Early stopping: every option as in Keras, and what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import golden
from nets import bits, chain

import fastgrad as fg
from fastgrad import configs

pytestmark = pytest.mark.usefixtures("one_thread")

X, Y = np.ones((4, 2)), np.zeros((4, 1))


def scripted(values, name="val_loss", **options):
    """A run in which early stopping sees these values; parameters after each epoch."""
    params = []

    def write(run):
        run.history[name] = list(values[: run.epoch])
        params.append(bits(run.model.flat_params))

    stopping = fg.EarlyStopping(**options)
    callbacks = [write, stopping]
    run = fg.fit(chain(2, 1), X, Y, loss="mse", epochs=len(values), callbacks=callbacks, rng=0)
    return run, params, stopping


CASES = json.loads(str(golden("regularization")["stopping"]))


@pytest.mark.parametrize("part", range(4))
def test_golden(part):
    """Where Keras stops, and the epoch that it goes back to; if it never looked, the last one."""
    for case in CASES[part::4]:
        options = {k: v for k, v in case.items() if k not in ("values", "epochs", "best")}
        run, params, _ = scripted(case["values"], **options)
        assert run.epoch == case["epochs"], case
        assert bits(run.model.flat_params) == params[case["best"] - 1], case


def test_the_golden_cases_are_of_all_kinds():
    for name in ("patience", "min_delta", "mode", "start_from_epoch"):
        assert len({case[name] for case in CASES}) > 1
    assert {case["epochs"] < 12 for case in CASES} == {case["baseline"] is None for case in CASES}


MODES = [  # name, mode, whether more is better
    ("val_loss", "auto", False),
    ("val_accuracy", "auto", True),
    ("accuracy", "auto", True),
    ("accuracy_loss", "auto", False),
    ("val_accuracy", "min", False),
    ("val_loss", "max", True),
]


@pytest.mark.parametrize(("name", "mode", "rising"), MODES)
def test_what_is_better(name, mode, rising):
    values = [3.0, 4.0, 2.0, 2.5, 3.5]
    run, _, stopping = scripted(values, name, monitor=name, mode=mode, patience=2)
    assert (stopping.best, stopping.best_epoch) == ((4.0, 2) if rising else (2.0, 3))
    word = "risen above 4 (epoch 2)" if rising else "fallen below 2 (epoch 3)"
    assert run.stopped == f"{name} has not {word} for 2 epochs"


def test_a_baseline_that_is_never_reached():
    run, _, stopping = scripted([5, 4, 3, 3, 2], patience=3, baseline=1.0)
    assert (run.epoch, stopping.best_epoch) == (4, 3)
    assert run.stopped == "val_loss has not fallen below the baseline 1 for 4 epochs"


def test_a_baseline_that_is_reached():
    run, _, stopping = scripted([5, 4, 3, 3, 3, 3, 3], patience=3, baseline=4.5)
    assert (run.epoch, stopping.best_epoch) == (6, 3)
    assert run.stopped == "val_loss has not fallen below 3 (epoch 3) for 3 epochs"


def test_the_first_epochs_do_not_count():
    run, params, stopping = scripted([0, 5, 6, 4, 5, 5], patience=2, start_from_epoch=2)
    assert (run.epoch, stopping.best, stopping.best_epoch) == (6, 4, 4)
    assert bits(run.model.flat_params) == params[3]
    run, params, stopping = scripted([1, 2, 3], patience=1, start_from_epoch=9)
    assert (run.epoch, run.stopped, stopping.best) == (3, None, np.inf)
    assert bits(run.model.flat_params) == params[2]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_nan_is_worse_than_any_number(mode):
    nan = float("nan")
    _, _, stopping = scripted([nan, nan, 3.0, nan, 3.0], mode=mode, patience=5)
    assert (stopping.best, stopping.best_epoch) == (3.0, 3)
    run, _, stopping = scripted([nan] * 5, mode=mode, patience=2)
    assert (run.epoch, stopping.best_epoch) == (3, 1)


def test_its_state_is_all_that_it_remembers():
    """A second one that is handed it in mid-run stops at the same epoch."""
    values = [5.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    script, first = [], fg.EarlyStopping(patience=4, baseline=4.5, start_from_epoch=1)
    other = fg.EarlyStopping(**arguments(first))

    def write(run):
        script.append(values[run.epoch - 1])
        run.history["val_loss"] = list(script)

    def hand_over(run):
        if run.epoch > 3:
            return other(run)
        answer = first(run)
        other.set_state(first.state())
        return answer

    run = fg.fit(chain(2, 1), X, Y, loss="mse", epochs=6, callbacks=[write, hand_over])
    assert run.stopped == "val_loss has not fallen below 4 (epoch 2) for 4 epochs"
    assert (other.best, other.best_epoch) == (4.0, 2)


def arguments(stopping):
    return {name: value for name, value in stopping.config().items() if name != "name"}


@pytest.mark.parametrize(
    "options",
    [{}, {"patience": 3, "mode": "max", "baseline": -1.0, "start_from_epoch": 2, "min_delta": 0.5}],
)
def test_it_is_made_again_from_its_config(options):
    stopping = fg.EarlyStopping(**options)
    again = configs.rebuilt("callback", {"EarlyStopping": fg.EarlyStopping}, stopping.config())
    assert vars(again) == vars(stopping)
    assert json.loads(json.dumps(stopping.config())) == stopping.config()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
        ({"patience": 1.5}, TypeError, "patience must be an integer, got 1.5"),
        ({"min_delta": -1}, ValueError, r"min_delta must lie in \[0, inf\), got -1"),
        ({"mode": "down"}, ValueError, "mode must be one of auto, min, max, got 'down'"),
        ({"mode": None}, ValueError, "mode must be one of auto, min, max, got None"),
        ({"baseline": "a"}, TypeError, "baseline must be a number, got 'a'"),
        ({"baseline": np.nan}, ValueError, r"baseline must lie in \(-inf, inf\), got nan"),
        ({"start_from_epoch": -1}, ValueError, "start_from_epoch must be at least 0, got -1"),
        ({"start_from_epoch": 0.5}, TypeError, "start_from_epoch must be an integer, got 0.5"),
    ],
)
def test_bad_input(options, error, message):
    with pytest.raises(error, match=message):
        fg.EarlyStopping(**options)
