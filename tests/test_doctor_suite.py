"""The bench of the doctor: what it counts, and one run of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import doctor_suite
from bench.doctor_suite import Treated, summary
from bench.health_suite.suite import CASES

SICK = Treated(
    "a/b", "A", False, 0.02, 0.90, 0.10, 0.89, 20, (("initializer", "draw"), ("optimizer", "Adam")),
    "spike", "-", 0.87,
)  # fmt: skip
WELL = Treated("a", "B", True, 0.02, 0.90, 0.90, 0.90, 1, (), "-", "-")


def test_the_twin_is_the_measure_of_a_repair_and_the_run_itself_that_of_harm():
    assert SICK.good
    assert not replace(SICK, after=0.87).good
    assert not replace(WELL, twin=0.0, after=0.87).good
    assert replace(WELL, twin=1.0).good


def test_halves_are_counted_by_themselves_and_what_came_first():
    short = replace(SICK, after=0.5, half="B", changes=())
    assert summary([SICK, short, replace(SICK, half="B", redrawn=0.89), WELL]) == [
        "repaired, half A: 1 of 1, 100.0%",
        "repaired, half B: 1 of 2, 50.0%",
        "twins that equal themselves: 1 of 3, 33.3%",
        "first cure of those to be repaired: initializer 2, unchanged 1",
        "not harmed, half B: 1 of 1, 100.0%",
        "first cure of those to be not harmed: unchanged 1",
    ]


def test_other_seeds_are_other_runs():
    name = "digits-relu-1x32/died"
    orders = {
        doctor_suite._seeded(name, seed).seed + order
        for seed in range(3)
        for order in range(doctor_suite.SEEDS)
    }
    assert len(orders) == 3 * doctor_suite.SEEDS
    assert doctor_suite._seeded(name, 0) == CASES[name]


def test_a_run_of_it(capsys):
    doctor_suite.main(["--only", "digits-relu-1x32/died", "--jobs", "1"])
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("good  A digits-relu-1x32/died")
    assert rest == [
        "repaired, half A: 1 of 1, 100.0%",
        "twins that equal themselves: 1 of 1, 100.0%",
        "first cure of those to be repaired: smaller_learning_rate 1",
    ]


def test_a_loss_and_an_accuracy_may_fall_short_by_other_amounts():
    assert doctor_suite.allowed(CASES["digits-relu-1x32"], 0.9) == 0.02
    assert doctor_suite.allowed(CASES["sunspots-relu"], 0.7) == pytest.approx(0.03)
