"""The labelled suite of runs: what its labels are, and some runs of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.health_suite.report import counted
from bench.health_suite.running import Outcome, run
from bench.health_suite.suite import CASES
from bench.health_suite.tasks import TASKS
from fastgrad.health.rules import CURES
from fastgrad.health.verdicts import FAMILIES, Verdict


def test_enough_runs_of_each_kind():
    healthy = [case for case in CASES.values() if case.healthy]
    assert len(healthy) >= 40
    assert len(CASES) - len(healthy) >= 60
    for half in "AB":
        own = [case for case in CASES.values() if case.half == half]
        assert len({family for case in own for family in case.families}) == len(FAMILIES) - 1


def test_labels_are_names():
    for case in CASES.values():
        assert case.task in TASKS
        assert set(case.families) <= set(FAMILIES)
        assert set(case.cures) <= CURES.keys()
        assert case.healthy or CASES[case.twin].healthy


def test_counts():
    verdict = Verdict("symmetry", "init", "critical", "", ("initializer: one that suits",))
    remark = replace(verdict, severity="info")
    names = [case.name for case in CASES.values() if case.half == "A" and case.healthy][:2]
    faulty = [c.name for c in CASES.values() if c.half == "A" and c.families == ("init",)][:2]
    found = {
        name: Outcome(name, 1.0, 1, (one,))
        for name, one in zip(names + faulty, [verdict, remark, verdict, remark], strict=True)
    }
    counts = counted(CASES.values(), found, "A")
    assert (counts.healthy, counts.faulty) == (2, 2)
    assert (counts.alarmed, counts.missed) == ((names[0],), (faulty[1],))
    assert (counts.recall, counts.false_positives, counts.first) == (0.5, 0.5, 0.5)
    assert counts.confusion["init", "healthy"] == 1


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("digits-relu-3x100-sgd", None),
        ("digits-tanh-10x64/sigmoid", "vanishing_depth"),
        ("digits-relu-10x64/large", "exploding_depth"),
        ("sunspots-tanh-sgd/overflow", "rate_too_large"),
        ("digits-relu-2x64/born-dead", "dead_units"),
        ("digits-tanh-2x64/constant", "symmetry"),
        ("vowels-gru/scaled", "inputs"),
    ],
)
def test_runs(name, rule, one_thread):
    outcome, _, _ = run(CASES[name])
    assert [verdict.rule for verdict in outcome.alarms[:1]] == ([] if rule is None else [rule])
