"""How good the rules of gradient health are: ``python -m bench.health_suite``.

Labelled runs, healthy ones and others with one seeded fault each, on four real data sets, are
trained with the probe on and judged by the rules. Which half a run belongs to hangs on a checksum
of its name: the thresholds (`fastgrad.health.rules.Limits`) were fixed on half A, and what counts
is half B. Recall is the part of the faulty runs in which a verdict of warning or worse names a
family of the label; a healthy run must have no such verdict; and the right cause is named first
where the first verdict is of such a family and its first cure is one of the label's. Labels that
the scores do not bear out are listed, and make the exit status 1.
"""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import fastgrad as fg
from bench.health_suite.case import Case
from bench.health_suite.faulty import FAULTY
from bench.health_suite.healthy import HEALTHY
from bench.health_suite.report import counted, told, unfounded
from bench.health_suite.running import Outcome, run

CASES = {case.name: case for case in (*HEALTHY, *FAULTY)}


def outcome(name: str) -> Outcome:
    """Run the case of that name, on one thread."""
    fg.set_num_threads(1)
    return run(CASES[name])[0]


def outcomes(names: Sequence[str], jobs: int) -> dict[str, Outcome]:
    """Run the cases of these names, some at the same time."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return {found.case: found for found in pool.map(outcome, names)}


def main() -> int:
    """Run the suite and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.health_suite", description=__doc__)
    parser.add_argument("names", nargs="*", help="only cases whose names have one of these parts")
    parser.add_argument("--half", choices=["A", "B"], help="only this half")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--verbose", action="store_true", help="print all verdicts, too")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    chosen = parser.parse_args()
    cases = [case for case in CASES.values() if _is_chosen(case, chosen.names, chosen.half)]
    found = outcomes([case.name for case in cases], chosen.jobs)
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
