"""All cases, and their runs, some at the same time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat

import fastgrad as fg
from bench.health_suite.faulty import FAULTY
from bench.health_suite.further import FURTHER_FAULTY, FURTHER_HEALTHY
from bench.health_suite.healthy import HEALTHY
from bench.health_suite.running import Outcome, run
from bench.health_suite.variants import MORE_FAULTY, MORE_HEALTHY

_HEALTHY = (*HEALTHY, *MORE_HEALTHY, *FURTHER_HEALTHY)
_FAULTY = (*FAULTY, *MORE_FAULTY, *FURTHER_FAULTY)
CASES = {case.name: case for case in (*_HEALTHY, *_FAULTY)}


def outcome(name: str, seed: int) -> Outcome:
    """Run the case of that name, on one thread."""
    fg.set_num_threads(1)
    return run(replace(CASES[name], seed=seed))[0]


def outcomes(names: Sequence[str], jobs: int, seed: int = 0) -> dict[str, Outcome]:
    """Run the cases of these names, some at the same time."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return {found.case: found for found in pool.map(outcome, names, repeat(seed))}
