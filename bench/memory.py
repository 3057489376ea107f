"""Peak memory of ``Trainer.epoch``, in a process for each network: ``python -m bench.memory``.

Counted is what the resident set of the process grows by from before data and model exist to its
highest point in two epochs. Allowed is 1.2 x parameters x 3 (parameters, gradients and the
velocity of SGD with momentum) or 4 (Adam), plus the activations of one batch, plus the data.
"""

import argparse
import ctypes
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from bench.machine import clear_overrides

LIMIT = 1.2
BATCH, ROWS = 128, 2048
NETWORKS = ((784, 512, 512, 10), (1024, 2048, 2048, 1024))
VECTORS = {"sgd": 3, "adam": 4}
MEGABYTE = 1e6


def allowed(widths: tuple[int, ...], vectors: int) -> float:
    """Bytes that an epoch may take; everything is float32, labels are int64."""
    parameters = sum(fan_in * fan_out + fan_out for fan_in, fan_out in pairwise(widths))
    data = ROWS * (4 * widths[0] + 8)
    return LIMIT * 4 * parameters * vectors + 4 * BATCH * sum(widths) + data


def _status(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def used(widths: tuple[int, ...], optimizer: str) -> int:
    """Bytes that an epoch takes at its highest point; run in a fresh process."""
    import numpy as np

    import fastgrad as fg

    def trainer(*sizes: int) -> fg.Trainer:
        layers = [fg.Dense(*pair, "relu") for pair in pairwise(sizes[:-1])]
        model = fg.Sequential(*layers, fg.Dense(*sizes[-2:]), rng=0)
        adam = optimizer == "adam"
        return fg.Trainer(model, "cross_entropy", fg.Adam() if adam else fg.SGD(0.01, momentum=0.9))

    rng = np.random.default_rng(0)
    # modules, thread teams and the like are there before the count begins
    trainer(4, 4, 4).epoch(np.ones((8, 4), np.float32), np.ones(8, np.int64), batch_size=4)
    before = _status("VmRSS")
    x = rng.standard_normal((ROWS, widths[0]), dtype=np.float32)
    y = rng.integers(0, widths[-1], ROWS)
    large = trainer(*widths)
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)  # what drawing the weights has left behind is not the epochs'
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew, at what is in use
    for _ in range(2):
        large.epoch(x, y, BATCH)
    return _status("VmHWM") - before


def main() -> int:
    """Measure each network and optimizer; the exit status is 1 where one takes too much."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--child", nargs=2, metavar=("W", "OPT"), help="print one figure")
    child = parser.parse_args().child
    clear_overrides()
    if child:
        print(used(tuple(map(int, child[0].split("-"))), child[1]))
        return 0
    if not Path("/proc/self/clear_refs").exists():
        print("not measured: it needs Linux's /proc")
        return 0
    good = True
    print(f"one epoch of {ROWS} rows, batch {BATCH}, float32; megabytes of 10^6 bytes")
    for widths in NETWORKS:
        name = "-".join(map(str, widths))
        for optimizer, vectors in VECTORS.items():
            command = [sys.executable, "-m", "bench.memory", "--child", name, optimizer]
            took = int(subprocess.check_output(command, cwd=Path(__file__).parents[1]))
            limit = allowed(widths, vectors)
            good &= took <= limit
            said = f"{took / MEGABYTE:7.1f} MB, allowed {limit / MEGABYTE:7.1f} MB"
            print(f"{name:<20} {optimizer:<5} {said}  {'met' if took <= limit else 'TOO MUCH'}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
