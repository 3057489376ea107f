"""Backends side by side: ``python -m bench.backends --rows 0,7 --threads 1``.

Training steps and passes of the rows of ``bench.peers``, on the cython and the numba backend and on
the reference, interleaved; and what Numba's compilation costs, which the times leave out.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from statistics import median

from .machine import machine, told
from .peers.measure import Plan, Result, measure
from .peers.pool import Worker
from .peers.table import fixed, markdown, time
from .peers.workloads import ROWS, USUAL

SIDES = ("fastgrad", "numba", "reference")
MOST = 1.6  # of numba's time over cython's
LEAST = 3.0  # of the reference's time over numba's, where the row is recurrent
SLOW = 1e11  # operations of a step that takes the reference too long
WARMUP = """
import sys, time
begin = time.perf_counter()
import fastgrad as fg
from fastgrad import backends
fg.use_backend("numba")
fg.warmup("float32")
print(time.perf_counter() - begin)
"""


def compilation() -> tuple[float, float]:
    """Seconds of a process that does nothing but ``fg.warmup()``, without and with a cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, again = (
            float(
                subprocess.run(
                    [sys.executable, "-c", WARMUP],
                    env=environment,
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                ).stdout
            )
            for _ in range(2)
        )
    return first, again


def _ratio(result: Result, over: str, under: str) -> float:
    """The median of one side's time over another's, round by round."""
    if over not in result.sides or under not in result.sides:
        return math.nan
    pairs = zip(result.sides[over].times, result.sides[under].times, strict=True)
    return median(a / b for a, b in pairs)


def _at_the_peak(result: Result) -> str:
    """The reference's time over that of the multiply-adds alone: no code is faster by more."""
    if "reference" not in result.sides or math.isnan(result.peak):
        return "-"
    least = ROWS[result.row].flops / (1e9 * result.peak * result.threads)
    return f"{median(result.sides['reference'].times) / least:.1f}"


def _cells(results: list[Result]) -> list[list[str]]:
    lines = [
        ["row", "network", "batch", "threads", *("cython", *SIDES[1:]), "numba/cython", "goal"]
    ]
    lines[0] += ["reference/numba", "goal", "at the peak"]
    for result in results:
        row = ROWS[result.row]
        times = [
            time(median(result.sides[side].times)) if side in result.sides else "-"
            for side in SIDES
        ]
        slower, faster = _ratio(result, "numba", "fastgrad"), _ratio(result, "reference", "numba")
        goal = f"{LEAST:.1f} {'met' if faster >= LEAST else 'short'}"
        lines.append(
            [
                *(str(result.row), row.name, str(row.batch), str(result.threads), *times),
                *(f"{slower:.2f}", f"{MOST:.1f} {'met' if slower <= MOST else 'short'}"),
                "-" if math.isnan(faster) else f"{faster:.1f}",
                goal if row.kind == "pass" and not math.isnan(faster) else "-",
                _at_the_peak(result),
            ]
        )
    return lines


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.backends", description=__doc__)
    usual = "; ".join(f"{i}: {row.name} batch {row.batch}" for i, row in enumerate(ROWS))
    parser.add_argument("--rows", type=_numbers, default=list(USUAL), help=usual)
    parser.add_argument("--threads", type=_numbers, default=[1, 2], help="for example 1,2")
    parser.add_argument("--repeats", type=int, default=9, help="rounds")
    parser.add_argument("--sides", default=",".join(SIDES), help="which of them")
    parser.add_argument("--times-only", action="store_true", help="leave out the compilation")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    chosen = parser.parse_args()
    print(told("machine", machine()))
    results = []
    for threads in chosen.threads:
        workers = [Worker(side, threads) for side in chosen.sides.split(",")]
        plan = Plan(repeats=chosen.repeats, trials=1)
        try:
            for row in chosen.rows:
                fit = [w for w in workers if w.peer != "reference" or ROWS[row].flops < SLOW]
                results.append(measure(row, threads, fit, plan, lambda line: None))
        finally:
            for worker in workers:
                worker.close()
    lines = _cells(results)
    print(markdown(lines) if chosen.markdown else fixed(lines))
    for result in results:
        for note in result.notes:
            print(f"row {result.row}, threads {result.threads}: {note}")
    if chosen.times_only:
        return
    first, again = compilation()
    print(
        f"fg.warmup() for float32, with the imports: {first:.0f} s in a process that finds nothing "
        f"in the cache, {again:.1f} s in the next"
    )


if __name__ == "__main__":
    main()
