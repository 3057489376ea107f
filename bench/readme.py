"""Write the tables of ``bench/results.json`` into README.md: ``python -m bench.readme``.

``python -m bench.peers --json`` makes that file. With --check nothing is written; the exit status
is 1 where README.md has others.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.peers.table import markdown, mean_line, time
from bench.peers.worker import MODULES
from bench.peers.workloads import ROWS

README = Path(__file__).parents[1] / "README.md"
RESULTS = Path(__file__).parent / "results.json"
START, END = "<!-- peers table -->", "<!-- end -->"
RECURRENT = """\
One pass forward and backward of a recurrent layer over a batch of sequences, with the gradients
of all parameters and none of the input. Here naive NumPy is a loop over the time steps, and JAX
a jitted `lax.scan`, as it is or with the weight gradients taken out of it."""
NAMES = {"torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn", "numpy": "naive NumPy"}


def _cell(row: dict[str, Any], peer: str) -> str:
    side = row["sides"].get(peer)
    return time(side["median_seconds"]) if side else "-"


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return "-"
    best = NAMES.get(row["best_peer"], row["best_peer"])
    return f"**{row['ratio']:.2f}** ({best})"


def _versions(report: dict[str, Any]) -> str:
    sides = next(iter(report["sides"].values()))
    keys = {"torch": "torch", "jax": "jax", "sklearn": "scikit-learn", "numpy": "numpy"}
    told = [f"{NAMES[peer]} {sides[peer][key]}" for peer, key in keys.items() if peer in sides]
    level = sides["fastgrad"]["level"].partition(" ")[0]
    return f"{report['machine']['cpu']}, fastgrad at level {level}; " + ", ".join(told)


def _table(first: str, rows: list[dict[str, Any]]) -> str:
    peers = [peer for peer in MODULES if any(peer in row["sides"] for row in rows)]
    heading = [first, "batch", "threads", *(NAMES.get(peer, peer) for peer in peers)]
    lines = [[*heading, "best peer / fastgrad"]]
    for row in rows:
        what = [row["network"], str(row["batch"]), str(row["threads"])]
        lines.append([*what, *(_cell(row, peer) for peer in peers), _ratio(row)])
    return markdown(lines)


def block(report: dict[str, Any]) -> str:
    """Make the tables and what they were measured on, as Markdown."""
    said = []
    steps, passes = (
        [row for row in report["rows"] if ROWS[row["row"]].kind == kind]
        for kind in ("step", "pass")
    )
    if steps:
        said.append(_table("network", steps))
    if passes:
        said += [RECURRENT, _table("layer", passes)]
    said += [f"- {mean_line(mean)}" for mean in report.get("means", [])]
    return "\n\n".join([*said, f"{_versions(report)}."])


def replaced(text: str, new: str) -> str:
    """Put `new` between the two marks."""
    head, found, rest = text.partition(START)
    _, ended, tail = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{README.name} has no {START} ... {END}")
    return f"{head}{START}\n{new}\n{END}{tail}"


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    if not RESULTS.exists():
        sys.exit(f"there is no {RESULTS}; python -m bench.peers --json makes it")
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    before = README.read_text(encoding="utf-8")
    after = replaced(before, block(report))
    if check:
        print("README.md has this table" if before == after else "README.md has another table")
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    print(f"{len(report['rows'])} rows written to {README.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
