"""How good the rules of gradient health are: ``python -m bench.health_suite``.

Labelled runs, healthy ones and others with one seeded fault each, on four real data sets, are
trained with the probe on and judged by the rules. Which half a run belongs to hangs on a checksum
of its name: rules and thresholds (`fastgrad.health.rules.Limits`) were made on half A under several
seeds, and what counts is half B under another one, which no rule was changed for. New runs are the
way to look closer: they fall into both halves.

Recall is the part of the faulty runs in which a verdict of warning or worse names a family of the
label; a healthy run must have no such verdict; and the right cause is named first where the first
verdict is of such a family and its first cure is one of the label's. Labels that the scores do not
bear out are listed, and make the exit status 1.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from bench.health_suite.case import Case
from bench.health_suite.report import counted, told, unfounded
from bench.health_suite.running import Outcome
from bench.health_suite.suite import CASES, outcomes


def main() -> int:
    """Run the suite and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.health_suite", description=__doc__)
    parser.add_argument("names", nargs="*", help="only cases whose names have one of these parts")
    parser.add_argument("--half", choices=["A", "B"], help="only this half")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of all runs: others are new runs")
    parser.add_argument("--verbose", action="store_true", help="print all verdicts, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    chosen = parser.parse_args()
    cases = [case for case in CASES.values() if _is_chosen(case, chosen.names, chosen.half)]
    found = outcomes([case.name for case in cases], chosen.jobs, chosen.seed)
    halves = [chosen.half] if chosen.half else ["A", "B"]
    counts = {half: counted(cases, found, half) for half in halves}
    bad = unfounded(cases, found)
    if chosen.json:
        sides = {half: one.as_json() for half, one in counts.items()}
        print(json.dumps({"halves": sides, "unfounded_labels": bad}, indent=1))
        return bool(bad)
    if chosen.verbose:
        for case in cases:
            _print_run(case, found[case.name])
    for half, one in counts.items():
        print(told(one, half, "thresholds fixed on it" if half == "A" else "reported"), end="\n\n")
    for line in bad:
        print(f"unfounded label: {line}")
    return bool(bad)


def _is_chosen(case: Case, parts: Sequence[str], half: str | None) -> bool:
    return (not parts or any(part in case.name for part in parts)) and half in (None, case.half)


def _print_run(case: Case, found: Outcome) -> None:
    label = " or ".join(case.families) or "healthy"
    print(f"{case.half} {case.name}: {label}; score {found.score:.3f} after {found.steps} steps")
    for verdict in found.verdicts:
        print(f"    {verdict} -> {verdict.cures[0]}")


if __name__ == "__main__":
    sys.exit(main())
