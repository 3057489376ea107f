"""Command line: ``python -m bench.peers --rows 0,7 --threads 1 --peers torch,jax``."""

import argparse
import json
import os
import sys
from pathlib import Path

from ..machine import OVERRIDES, machine, told
from .measure import Plan, Result, measure
from .pool import Worker, WorkerError
from .table import cells, fixed, markdown, mean_line, means, plain
from .worker import MODULES
from .workloads import ROWS, USUAL

RESULTS = Path(__file__).parents[1] / "results.json"
PEERS = tuple(peer for peer in MODULES if peer != "fastgrad")
ABOUT = (
    "Measure fastgrad beside every installed peer, interleaved: training steps of dense networks, "
    "and passes forward and backward of recurrent layers."
)
LEGEND = (
    "Median time of a step or pass, with the mode that won; < marks the fastest peer.\n"
    "best/fastgrad is the median of its time over fastgrad's, round by round. numpy is fastgrad's\n"
    "reference, in recurrent rows a plain loop over the time steps."
)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    return text.split(",")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=ABOUT)
    rows = "; ".join(f"{i}: {row.name} batch {row.batch}" for i, row in enumerate(ROWS))
    usual = f"(0 to {USUAL[-1]}) {rows}"
    parser.add_argument("--rows", type=_numbers, default=list(USUAL), help=usual)
    parser.add_argument("--threads", type=_numbers, default=[1, 2], help="for example 1,2")
    parser.add_argument("--peers", type=_names, default=list(PEERS), help=",".join(PEERS))
    parser.add_argument("--repeats", type=int, help="rounds (9; with --quick 3)")
    parser.add_argument("--quick", action="store_true", help="short runs, no torch.compile")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="FILE",
        help="write all times to FILE (bench/results.json)",
    )
    chosen = parser.parse_args()
    if not set(chosen.rows) <= set(range(len(ROWS))):
        parser.error(f"--rows takes numbers from 0 to {len(ROWS) - 1}")
    if not set(chosen.peers) <= set(PEERS):
        parser.error(f"--peers takes names from {','.join(PEERS)}")
    if min(chosen.threads) < 1 or (chosen.repeats is not None and chosen.repeats < 1):
        parser.error("--threads and --repeats take positive numbers")
    return chosen


def hire(peers: list[str], threads: int) -> list[Worker]:
    """Start the workers and print what each runs on, or why it does not."""
    workers = []
    for peer in peers:
        try:
            worker = Worker(peer, threads)
        except WorkerError as error:
            print(f"{peer}: not measured: {error}")
            continue
        if worker.missing:
            print(f"{peer}: not installed (no module {worker.missing})")
            worker.close()
            continue
        print(told(peer, worker.info))
        workers.append(worker)
    return workers


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure and print; the exit status is 1 when a side disagrees with the truth."""
    chosen = arguments()
    plan = Plan(repeats=chosen.repeats or 9)
    if chosen.quick:
        plan = Plan(chosen.repeats or 3, seconds=0.01, trials=1, skipped=("compile",))
    about = machine()
    cleared = [name for name in OVERRIDES if name in os.environ]
    about["cleared for the workers"] = ", ".join(cleared) or "nothing was set"
    print(told("machine", about))

    results: list[Result] = []
    versions: dict[str, dict[str, dict[str, str]]] = {}
    for threads in chosen.threads:
        print(f"\n{threads} thread{'s' if threads > 1 else ''}")
        workers = hire(["fastgrad", *(p for p in PEERS if p in chosen.peers)], threads)
        versions[str(threads)] = {worker.peer: worker.info for worker in workers}
        try:
            results += [measure(row, threads, workers, plan, _say) for row in chosen.rows]
        finally:
            for worker in workers:
                worker.close()

    _say("")
    lines = cells(results)
    print(f"\n{markdown(lines) if chosen.markdown else fixed(lines)}\n\n{LEGEND}")
    found = means(results)
    for mean in found:
        print(mean_line(mean))
    for result in results:
        for note in result.notes:
            print(f"row {result.row}, threads {result.threads}: {note}")
    if chosen.json:
        rows = [plain(result) for result in results]
        report = {"machine": about, "sides": versions, "rows": rows, "means": found}
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(result.disagreed for result in results))


if __name__ == "__main__":
    sys.exit(main())
