"""A worker process: one peer at one thread count, told what to do line by line.

Requests are JSON objects on standard input, answers JSON objects on standard output, one per
line. The first answer, unasked, says what is running or what is missing::

    {"do": "prepare", "row": 0, "mode": "fused", "seconds": 0.05}  ->  {"found": 1.4}
    {"do": "run", "row": 0, "mode": "fused"}                       ->  {"seconds": 1.5e-4, ...}
    {"do": "peak", "seconds": 0.05}                                ->  {"gflops": 280.0}
    {"do": "drop"}                                                 ->  {}
"""

import gc
import importlib
import json
import math
import os
import sys
import time
from typing import Any, Protocol

from ..machine import libraries

MODULES = {
    "fastgrad": "fastgrad_peer",
    "torch": "torch_peer",
    "jax": "jax_peer",
    "sklearn": "sklearn_peer",
    "numpy": "fastgrad_peer",
}
# fastgrad on other backends: not peers, but sides like them
BACKENDS = {"numpy": "reference", "numba": "numba", "reference": "reference"}
RECURRENT = {peer: f"{peer}_recurrent" for peer in ("fastgrad", "torch", "jax", "numpy")}
RECURRENT |= {"numba": "fastgrad_recurrent", "reference": "fastgrad_recurrent"}
LONG_EPOCH = 0.1
QUIET_SLICE = 0.005
QUIET_LIMIT = 0.5


class Side(Protocol):
    """What a peer's module builds for a row and a mode."""

    def check(self) -> float:
        """Loss of minibatch 0 after the checked steps; error of the gradients of a pass."""

    def reset(self) -> None:
        """Put the first parameters back."""

    def epochs(self, count: int) -> None:
        """Train `count` epochs, or make as many passes, and return when they are done."""


def pin(threads: int) -> str:
    """Keep this process on `threads` physical cores; say which logical ones."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    cores: dict[str, int] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        try:
            with open(path, encoding="ascii") as file:
                cores.setdefault(file.read(), cpu)
        except OSError:
            cores[str(cpu)] = cpu
    chosen = sorted(cores.values())[-threads:]
    os.sched_setaffinity(0, chosen)
    return ",".join(map(str, chosen))


def settle() -> float:
    """Sleep until no thread of this process spins any more; return the seconds it took.

    OpenMP and BLAS pools burn their cores for some milliseconds after the last work.
    """
    begin = time.perf_counter()
    while time.perf_counter() - begin < QUIET_LIMIT:
        cpu = time.process_time()
        time.sleep(QUIET_SLICE)
        if time.process_time() - cpu < 0.1 * QUIET_SLICE:
            break
    return time.perf_counter() - begin


class Worker:
    """The rows that this process has prepared.

    Parameters
    ----------
    peer : str
        A key of ``MODULES`` or ``BACKENDS``.
    threads : int
    """

    def __init__(self, peer: str, threads: int) -> None:
        module = MODULES.get(peer, "fastgrad_peer")
        self._module: Any = importlib.import_module(f".{module}", __package__)
        backend = (BACKENDS[peer],) if peer in BACKENDS else ()
        self.info: dict[str, str] = self._module.start(threads, *backend)
        self._recurrent: Any = None
        if peer in RECURRENT:
            self._recurrent = importlib.import_module(f".{RECURRENT[peer]}", __package__)
        self._sides: dict[tuple[int, str], tuple[Side, int, bool]] = {}
        self._tasks: dict[int, Any] = {}

    def prepare(self, row: int, mode: str, seconds: float) -> dict[str, Any]:
        """Build a side, run its check and choose how many epochs make `seconds`."""
        from .workloads import ROWS, make

        if row not in self._tasks:
            self._tasks[row] = make(row)
        build = self._recurrent.side if ROWS[row].kind == "pass" else self._module.Side
        side: Side = build(self._tasks[row], mode)
        found = side.check()
        side.epochs(1)
        begin = time.perf_counter()
        side.epochs(1)
        epoch = time.perf_counter() - begin
        self._sides[row, mode] = side, math.ceil(seconds / epoch), epoch < LONG_EPOCH
        return {"found": found}

    def run(self, row: int, mode: str) -> dict[str, Any]:
        """Time one repeat; an untimed epoch first refills the caches, unless epochs are long."""
        from .workloads import ROWS

        side, epochs, warm = self._sides[row, mode]
        side.reset()
        if warm:
            side.epochs(1)
        gc.collect()
        gc.disable()
        cpu, begin = time.process_time(), time.perf_counter()
        side.epochs(epochs)
        wall = time.perf_counter() - begin
        cores = (time.process_time() - cpu) / wall
        gc.enable()
        return {"seconds": wall / (epochs * ROWS[row].steps), "cores": cores}

    def peak(self, seconds: float) -> dict[str, Any]:
        """Multiply-add peak of one core, where the peer can measure it."""
        return {"gflops": self._module.fma_peak(seconds)}

    def drop(self) -> dict[str, Any]:
        """Free the prepared rows."""
        self._sides.clear()
        self._tasks.clear()
        gc.collect()
        return {}

    @property
    def modes(self) -> dict[str, list[str]]:
        """Ways to run a row of each kind, the simplest first."""
        passes = list(self._recurrent.MODES) if self._recurrent else []
        return {"step": list(self._module.MODES), "pass": passes}


def main(peer: str, threads: int) -> None:
    """Answer requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not land between the answers

    def answer(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    pinned = pin(threads)
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # an installed fastgrad goes before the source tree
    try:
        worker = Worker(peer, threads)
    except ModuleNotFoundError as error:
        answer({"missing": error.name})
        return
    info = {**worker.info, "libraries": libraries(), "pinned to CPU": pinned}
    settle()
    answer({"info": info, "modes": worker.modes})

    for line in sys.stdin:
        request = json.loads(line)
        action = getattr(worker, request.pop("do"))
        try:
            said = action(**request)
        except Exception as error:
            first_line = (str(error).splitlines() or [""])[0]
            said = {"error": f"{type(error).__name__}: {first_line}"}
        said["settled"] = settle()
        answer(said)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
