"""What ``import fastgrad`` costs beside ``import numpy``: ``python -m bench.imports``."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

LIMIT = 1.5
REPOSITORY = Path(__file__).parents[1]
_CHILD = "from time import perf_counter as t; s = t(); import {}; print(t() - s)"


def environment(folder: str) -> dict[str, str]:
    """Make an environment that keeps bytecode in `folder`, as pip does beside a package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def seconds(module: str, env: dict[str, str]) -> float:
    """Time of an import in an interpreter of its own, whose start does not count."""
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(module)],
        cwd=REPOSITORY,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(child.stdout)


def ratio(rounds: int) -> float:
    """Median ratio of the two, measured in turns after one round that fills the caches."""
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        pairs = [(seconds("fastgrad", env), seconds("numpy", env)) for _ in range(rounds + 1)]
    return median(mine / theirs for mine, theirs in pairs[1:])


def main() -> int:
    """Print the ratio; the exit status is 1 when it is above the limit."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    found = ratio(parser.parse_args().rounds)
    print(f"import fastgrad / import numpy: {found:.2f} (at most {LIMIT})")
    return int(found > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
