"""Which of some trials is better, and which is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.health.treatment import Cure, Setup, Trial
from fastgrad.health.treatment.choice import MUCH, alike, confirmed, helps, overtakes, promises
from fastgrad.health.treatment.practice import Practice, Tried, _is_safe
from fastgrad.health.treatment.trial import Material
from fastgrad.health.verdicts import Verdict


def network():
    return fg.Sequential(fg.Dense(8, 32, "relu"), fg.Dense(32, 3), rng=0)


def made(loss, scatter=0.0, verdicts=(), setup=None):
    """A trial whose parts' losses scatter in the same way."""
    losses = loss + scatter * np.linspace(-1, 1, 10)
    return Trial(setup, losses, tuple(verdicts), np.zeros(0))


WARNING = Verdict("spike", "exploding", "warning", "it jumps")


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (made(0.5), made(1.0), True),
        (made(0.99), made(1.0), False),  # by less than anybody would notice
        (made(0.9, 0.5), made(1.0, -0.5), False),  # by less than chance
        (made(0.9, 0.5), made(1.0, 0.5), True),  # the same parts are hard for both
        (made(math.inf), made(1.0), False),
        (made(1.0), made(math.inf), True),
        (made(2.99), made(math.inf), False),  # no better than constant outputs
        (made(2.99), made(50.0), False),
        (made(2.0), made(50.0), True),
    ],
)
def test_what_helps_is_beyond_chance(after, before, expected):
    assert helps(after, before, constant=3.0) is expected


def test_without_warnings_more_is_asked_for():
    assert not helps(made(0.85), made(1.0), 3.0, MUCH)
    assert helps(made(0.75), made(1.0), 3.0, MUCH)


def test_what_cures_the_symptom_needs_less_of_a_proof():
    before, after = made(1.0, -0.3, verdicts=[WARNING]), made(0.82, 0.2)
    gain, error = after.gain(before)
    assert error < gain < 2 * error
    assert helps(after, before, 3.0)
    assert not helps(replace(after, verdicts=(WARNING,)), before, 3.0)
    assert not helps(after, replace(before, verdicts=()), 3.0)


@pytest.mark.parametrize(
    ("losses", "least", "expected"),
    [
        ((0.5, 0.5), 0.02, True),
        ((0.5, 1.01), 0.02, False),  # the mean is better, the other order is not
        ((0.97, 0.99), 0.02, False),  # in the mean by 2 % exactly
        ((0.7, 0.85), MUCH, False),  # each order must show a fifth
        ((0.7, 0.75), MUCH, True),
        ((0.85, 0.7), MUCH, False),
    ],
)
def test_another_order_confirms(losses, least, expected):
    trials, before = tuple(made(loss) for loss in losses), (made(1.0), made(1.0))
    assert confirmed(trials, before, 3.0, least) is expected


@pytest.mark.parametrize(
    ("losses", "scatter", "on_edge", "expected"),
    [
        ((0.8, 0.8), 0.0, False, True),
        ((0.6, 1.01), 0.0, False, False),
        ((0.985, 0.985), 0.0, False, False),  # nobody would notice
        ((0.9, 0.9), 0.5, False, False),  # chance
        ((0.9, 0.9), 0.5, True, True),
        ((0.9, 1.05), 0.0, True, True),
        ((0.9, 1.15), 0.0, True, False),
    ],
)
def test_of_treated_setups_none_has_the_burden_of_proof(losses, scatter, on_edge, expected):
    trials, kept = tuple(made(loss, scatter) for loss in losses), (made(1.0), made(1.0))
    assert overtakes(trials, kept, on_edge) is expected


@pytest.mark.parametrize(
    ("after", "before", "least", "expected"),
    [(0.9, 1.0, 0.02, True), (0.99, 1.0, 0.02, False), (0.99, 1.0, 0.0, True),
     (5.0, math.inf, 0.02, True), (math.inf, math.inf, 0.02, False), (math.inf, 1.0, 0.0, False)],
)  # fmt: skip
def test_promises(after, before, least, expected):
    assert promises(made(after), made(before), least) is expected


def test_rates_of_which_three_times_as_much_diverge_are_on_the_edge():
    practice = Practice(Material(fg.MSE(), None, None, 1, 1, 3.0, 0), False)
    now = made(1.0, setup=Setup(network(), fg.SGD(0.1)))

    def tried(rate, loss, name="larger_learning_rate"):
        verdicts = [] if math.isfinite(loss) else [WARNING]
        trial = made(loss, verdicts=verdicts, setup=Setup(network(), fg.SGD(rate)))
        return Tried(Cure(name, 1, None), None, trial)

    for edge, tries in (
        (True, [tried(0.3, math.inf), tried(1.0, math.inf)]),
        (True, [tried(0.3, 3.5)]),  # no better than constant outputs
        (False, [tried(0.3, 2.5), tried(1.0, math.inf)]),
        (False, [tried(0.03, math.inf, "smaller_learning_rate")]),
    ):
        assert practice._is_on_edge(now, tries) is edge
    for safe, tries in (
        ([True, False], [tried(0.28, 0.9), tried(1.0, 0.8)]),  # nobody knows what 3 does
        ([False, False], [tried(0.3, 0.9), tried(1.0, math.inf)]),
        ([True, False], [tried(0.3, 0.9, "optimizer"), tried(1.0, 0.8, "optimizer")]),
        ([True, False], [tried(0.03, 0.9, "smaller_learning_rate"), tried(0.01, 9.0)]),
    ):
        assert [_is_safe(one, tries) for one in tries] == safe


def test_what_was_passed_over_for_less_is_kept_if_nothing_makes_up_for_it(monkeypatch):
    """Losses are made up: of a small change and a large one that helps more, alike at first."""
    small, large = Setup(network(), fg.SGD(0.5)), Setup(network(), fg.SGD(0.25))
    loss = {1.0: 2.0, 0.5: 0.51, 0.25: 0.40}
    monkeypatch.setattr(
        "fastgrad.health.treatment.practice.run",
        lambda setup, material, order=0: made(
            loss[setup.optimizer.lr], verdicts=[WARNING] * (setup.optimizer.lr == 1), setup=setup
        ),
    )
    options = [
        Cure("small", 1, lambda _: [("s", small)]),
        Cure("large", 4, lambda _: [("l", large)]),
    ]
    monkeypatch.setattr(
        "fastgrad.health.treatment.practice.chosen",
        lambda findings, count, treated: [] if treated else options,
    )
    monkeypatch.setattr("fastgrad.health.treatment.practice.combined", lambda first: [])
    practice = Practice(Material(fg.MSE(), None, None, 1, 1, 3.0, 0), False)
    found = practice.treat(Setup(network(), fg.SGD(1.0)), 5, 4)
    assert [change.cure for change in found.changes] == ["large"]
    assert [change.cure for change in found.rejected] == ["small"]
    assert found.after.loss == 0.40
    loss[0.5] = 0.49  # a fifth is asked for where nothing is wrong
    practice = Practice(practice.material, False)
    found = practice.treat(Setup(network(), fg.SGD(1.0)), 5, 4)
    assert [change.cure for change in found.changes] == ["small"]
    assert [change.cure for change in found.rejected] == ["large"]


@pytest.mark.parametrize(
    ("trials", "kept"),
    [
        ([(4, made(0.50)), (1, made(0.55))], 1),  # as good, and less of a change
        ([(4, made(0.50)), (1, made(0.90))], 0),
        ([(1, made(0.50)), (1, made(0.49))], 1),
        ([(1, made(0.50, verdicts=[WARNING])), (4, made(0.52))], 1),  # which cures the symptom
        ([(4, made(0.50, 0.49)), (1, made(0.82, -1.2))], 1),  # cannot be told apart
    ],
)
def test_of_those_that_help_alike_the_least_is_kept(trials, kept):
    material = Material(fg.MSE(), None, None, 1, 1, 3.0, 0)
    assert alike(trials, made(2.0), material) == kept
