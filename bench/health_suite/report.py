"""What is counted: verdicts against labels, on each half of the suite."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.health_suite.case import Case
from bench.health_suite.running import Outcome
from fastgrad.health.rules import name_of
from fastgrad.health.verdicts import FAMILIES

HEALTHY = "healthy"
POINTS, PART = 0.02, 0.1  # of accuracy, and of the loss, that a fault must cost


@dataclass(frozen=True)
class Counts:
    """One half of the suite.

    Attributes
    ----------
    healthy, faulty : int
        Runs.
    alarmed : tuple of str
        Healthy runs with a verdict of warning or worse.
    missed : tuple of str
        Faulty runs without a verdict of a right family.
    misnamed : tuple of str
        Faulty runs whose first verdict is of another family, or whose first cure is another.
    confusion : dict of (str, str) to int
        By the first family of the label, and that of the first verdict.
    """

    healthy: int
    faulty: int
    alarmed: tuple[str, ...]
    missed: tuple[str, ...]
    misnamed: tuple[str, ...]
    confusion: Mapping[tuple[str, str], int]

    @property
    def recall(self) -> float:
        """Part of the faulty runs in which the fault was seen."""
        return 1 - len(self.missed) / self.faulty if self.faulty else math.nan

    @property
    def false_positives(self) -> float:
        """Part of the healthy runs with an alarm."""
        return len(self.alarmed) / self.healthy if self.healthy else math.nan

    @property
    def first(self) -> float:
        """Part of the faulty runs whose right cause was named first."""
        return 1 - len(self.misnamed) / self.faulty if self.faulty else math.nan

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "healthy": self.healthy,
            "faulty": self.faulty,
            "recall": self.recall,
            "false_positives": self.false_positives,
            "right_cause_first": self.first,
            "alarmed": self.alarmed,
            "missed": self.missed,
            "misnamed": self.misnamed,
            "confusion": [[*pair, count] for pair, count in sorted(self.confusion.items())],
        }


def counted(cases: Iterable[Case], outcomes: Mapping[str, Outcome], half: str) -> Counts:
    """Count one half."""
    own = [case for case in cases if case.half == half and case.name in outcomes]
    faulty = [case for case in own if not case.healthy]
    confusion: Counter[tuple[str, str]] = Counter()
    for case in own:
        alarms = outcomes[case.name].alarms
        found = alarms[0].family if alarms else HEALTHY
        # of several right ones the one that was found
        label = HEALTHY if case.healthy else case.families[0]
        confusion[found if found in case.families else label, found] += 1
    return Counts(
        healthy=len(own) - len(faulty),
        faulty=len(faulty),
        alarmed=tuple(c.name for c in own if c.healthy and outcomes[c.name].alarms),
        missed=tuple(c.name for c in faulty if not _seen(c, outcomes[c.name])),
        misnamed=tuple(c.name for c in faulty if not _named(c, outcomes[c.name])),
        confusion=dict(confusion),
    )


def _seen(case: Case, outcome: Outcome) -> bool:
    return any(verdict.family in case.families for verdict in outcome.alarms)


def _named(case: Case, outcome: Outcome) -> bool:
    if not outcome.alarms:
        return False
    first = outcome.alarms[0]
    return first.family in case.families and name_of(first.cures[0]) in case.cures


def unfounded(cases: Iterable[Case], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Labels that the scores do not bear out: what is healthy must learn, what is faulty suffer."""
    found = []
    for case in cases:
        if case.name not in outcomes:
            continue
        score = outcomes[case.name].score
        if case.healthy and not score >= case.least:
            found.append(f"{case.name}: {score:.3f} is less than {case.least}")
        elif not case.healthy and case.twin in outcomes:
            twin = outcomes[case.twin].score
            # what is left of the loss where the score is a part of it, else points of accuracy
            suffers = score < twin - (PART * (1 - twin) if _of_loss(case) else POINTS)
            if not suffers:
                found.append(f"{case.name}: {score:.3f}, its healthy twin {twin:.3f}")
    return found


def _of_loss(case: Case) -> bool:
    return case.task in ("shakespeare", "sunspots", "sunspots_in_steps", "digits_one_hot")


def told(counts: Counts, half: str, what: str) -> str:
    """The counts as text, with the confusion matrix."""
    names = [HEALTHY, *FAMILIES]
    rows = [name for name in names if any(pair[0] == name for pair in counts.confusion)]
    columns = [name for name in names if any(pair[1] == name for pair in counts.confusion)]
    short = [name[:6] for name in columns]
    lines = [
        f"half {half} ({what}): {counts.healthy} healthy and {counts.faulty} faulty runs",
        f"  recall                 {counts.recall:6.1%}",
        f"  healthy, but alarmed   {counts.false_positives:6.1%}",
        f"  right cause first      {counts.first:6.1%}",
        "",
        f"  {'label / first verdict':<22}" + "".join(f"{name:>8}" for name in short),
    ]
    for row in rows:
        values = [counts.confusion.get((row, column), 0) for column in columns]
        lines.append(f"  {row:<22}" + "".join(f"{value or '.':>8}" for value in values))
    for what, found in (
        ("alarmed", counts.alarmed),
        ("missed", counts.missed),
        ("misnamed", counts.misnamed),
    ):
        if found:
            lines.append(f"  {what}: {', '.join(found)}")
    return "\n".join(lines)
