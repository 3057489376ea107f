"""Run studies with ``python -m fastgrad.studies``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fastgrad.plots import need_matplotlib
from fastgrad.studies import NAMES, study, summary


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments name: a study, "all" of them, or "list"."""
    parser = argparse.ArgumentParser(
        prog="python -m fastgrad.studies",
        description="Phenomena of gradients: published, predicted and measured.",
    )
    parser.add_argument("name", choices=[*NAMES, "all", "list"], metavar="NAME | all | list")
    told = "picture of one study, or folder of all (default: NAME.png, here)"
    parser.add_argument("--out", type=Path, metavar="PATH", help=told)
    parser.add_argument("--quick", action="store_true", help="seconds, to see that it runs")
    chosen = parser.parse_args(argv)
    if chosen.name == "list":
        for name in NAMES:
            print(f"{name:<15} {summary(name)}")
        return 0
    try:
        need_matplotlib()  # better now than after minutes
    except ImportError as error:
        parser.error(str(error))
    if chosen.name == "all":
        folder = chosen.out or Path()
        for name in NAMES:
            _run(name, folder / f"{name}.png", chosen.quick)
    else:
        _run(chosen.name, chosen.out or Path(f"{chosen.name}.png"), chosen.quick)
    return 0


def _run(name: str, path: Path, quick: bool) -> None:
    started = time.perf_counter()
    result = study(name, quick)
    took = time.perf_counter() - started
    print(result.text())
    path.parent.mkdir(parents=True, exist_ok=True)
    result.figure().savefig(path)
    print(f"\npicture written to {path}; it took {took:.0f} s\n")


if __name__ == "__main__":
    sys.exit(main())
