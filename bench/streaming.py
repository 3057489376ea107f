"""Training on a set ten times the memory allowed, beside memory: ``python -m bench.streaming``.

The limit is one of the address space (``ulimit -v``), set before NumPy is imported. It is what a
process needs that does all the same with a set of a few rows, plus `--allow` megabytes for two
windows of rows. The set is ten times the whole limit. Its float32 rows go through 784-128-10 in
batches of 64 with Adam; the other process holds the same rows in memory, without a limit. They take
turns, an epoch each. Whether the file comes from a disk or from the system's cache is not decided
here; the time to read it alone is printed as well.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.machine import clear_overrides, machine, told

GOAL = 0.8
TIMES = 10
WIDTHS, BATCH = (784, 128, 10), 64
MEGABYTE = 10**6
# each reserves address space that nobody uses: BLAS buffers and heaps of threads
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def write(folder: Path, rows: int) -> None:
    """Save so many rows: 8192 random ones, again and again."""
    import numpy as np

    rng = np.random.default_rng(0)
    part = rng.standard_normal((8192, WIDTHS[0]), dtype=np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, WIDTHS[0])}
    with open(folder / "x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, len(part)):
            file.write(part[: rows - start].data)
    np.save(folder / "y.npy", rng.integers(0, WIDTHS[-1], rows))


def child(kind: str, folder: Path, limit: int, threads: int) -> None:
    """One side: says that it is ready, then answers every line with the seconds of an epoch."""
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    import numpy as np

    import fastgrad as fg
    from fastgrad.data import FileRows

    fg.set_num_threads(threads)
    inputs, hidden, outputs = WIDTHS
    model = fg.Sequential(fg.Dense(inputs, hidden, "relu"), fg.Dense(hidden, outputs), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(), rng=0)
    paths = folder / "x.npy", folder / "y.npy"
    refused = False
    if kind == "memory":
        data = [np.load(path) for path in paths]
    else:
        # a few rows are to come in several windows, too
        options = {"block_bytes": 2**15, "window_blocks": 8} if kind == "bare" else {}
        data = [FileRows(*paths, **options)]
        try:
            np.load(paths[0], mmap_mode="r")
        except OSError:
            refused = True
    trainer.epoch(*data, batch_size=BATCH)
    say = {"rows": len(data[0]), "peak": peak(), "mapping refused": refused}
    print(json.dumps(say), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        if line == "read\n":
            read(folder / "x.npy")
        else:
            trainer.epoch(*data, batch_size=BATCH)
        print(time.perf_counter() - start, flush=True)


def peak() -> int:
    """Highest use of address space, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak"))


def read(path: Path) -> None:
    """Go through a file as the windows do, block by block."""
    block = memoryview(bytearray(2**18))
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass


class Side:
    """A child process that answers."""

    def __init__(self, kind: str, folder: Path, limit: int, threads: int) -> None:
        command = [sys.executable, "-m", "bench.streaming", "--threads", str(threads)]
        command += ["--child", kind, str(folder), str(limit)]
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = json.loads(self._answer())

    def ask(self, what: str) -> float:
        """Seconds that it takes."""
        print(what, file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a child has ended with status {self._process.wait()}")
        return line

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def median(values: list[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def main() -> int:
    """Measure both in turns; the exit status is 1 where the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.streaming", description=__doc__)
    parser.add_argument("--allow", type=int, default=64, help="megabytes beyond the bare process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the set is written (2 to 4 GB)")
    parser.add_argument("--child", nargs=3, metavar=("KIND", "FOLDER", "LIMIT"))
    chosen = parser.parse_args()
    clear_overrides()
    if chosen.child:
        kind, folder, limit = chosen.child
        child(kind, Path(folder), int(limit), chosen.threads)
        return 0
    if not Path("/proc/self/status").exists():
        print("not measured: it needs Linux's /proc")
        return 0
    print(told("machine", machine()))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        write(folder, 8 * BATCH)
        few = Side("bare", folder, 0, chosen.threads)
        few.close()
        bare = few.ready["peak"]
        limit = bare + chosen.allow * MEGABYTE
        rows = TIMES * limit // (4 * WIDTHS[0])
        write(folder, rows)
        size = (folder / "x.npy").stat().st_size
        print(f"bare process {bare / MEGABYTE:.0f} MB of address space, for data {chosen.allow} MB")
        print(f"limit {limit / MEGABYTE:.0f} MB, set {size / MEGABYTE:.0f} MB, {rows:,} rows")
        files = Side("files", folder, limit, chosen.threads)
        memory = Side("memory", folder, 0, chosen.threads)
        print(f"mapping the file within the limit refused: {files.ready['mapping refused']}")
        times: dict[str, list[float]] = {"files": [], "memory": [], "reading": []}
        for _ in range(chosen.rounds):
            times["files"].append(files.ask("epoch"))
            times["memory"].append(memory.ask("epoch"))
            times["reading"].append(memory.ask("read"))
        files.close()
        memory.close()
    for kind in ("files", "memory"):
        print(f"{kind:<8} {rows / median(times[kind]):12,.0f} rows/s")
    print(f"reading alone {size / median(times['reading']) / MEGABYTE:,.0f} MB/s")
    ratios = [there / here for there, here in zip(times["memory"], times["files"], strict=True)]
    ratio = median(ratios)
    spread = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    print(f"files / memory {ratio:.2f} (goal {GOAL}; {spread})")
    return int(ratio < GOAL)


if __name__ == "__main__":
    sys.exit(main())
