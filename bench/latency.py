"""Inference for a control loop, one sequence at a time: ``python -m bench.latency``.

LSTM and GRU with 8 inputs and 64 units, batch 1, one thread, float32. Two ways of going through a
sequence are measured, in microseconds for each step: all steps in one call, and one call for each
step with the state carried from call to call. All libraries take turns, round by round; the ratio
is the fastest other way over fastgrad, the median of rounds. PyTorch is given tensors, the others
NumPy arrays, all of them made before the clock starts. A side whose outputs differ from a NumPy
loop in float64 is not timed, and makes the exit status 1.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from bench.latency_peers import of_onnxruntime, of_torch
from bench.machine import clear_overrides, libraries, machine, told
from bench.peers import loops
from bench.peers.sequences import SequenceRow, SequenceTask, make_sequence_task

Array = NDArray[Any]

INPUTS, HIDDEN = 8, 64
TOLERANCE = 1e-4  # outputs lie between -1 and 1


@dataclass(frozen=True)
class Way:
    """A way of one library to go through the sequence.

    Attributes
    ----------
    library, name : str
    run : callable
        Goes through all steps from a state of zeros and returns a list of outputs.
    times : list of float
        Seconds for each step, round by round.
    """

    library: str
    name: str
    run: Callable[[], list[Any]]
    times: list[float]

    def error(self, exact: Array) -> float:
        """Largest deviation of the outputs, of shape (T, H)."""
        found = [np.asarray(y).reshape(-1, exact.shape[1]) for y in self.run()]
        return float(np.abs(np.concatenate(found) - exact).max())


def of_fastgrad(task: SequenceTask, one_by_one: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """``Sequential.predict``, and where the steps come one by one, a ``Session``."""
    layer = getattr(fg, task.row.cell)
    model = fg.Sequential(layer(INPUTS, HIDDEN, return_sequences=True), rng=0)
    for name, value in task.params.items():
        model.params[f"0.{name}"] = value
    if not one_by_one:
        yield "predict", lambda: [model.predict(task.x)]
        return
    steps = [task.x[:, t : t + 1].copy() for t in range(task.row.length)]
    session = fg.Session(model, steps[0].shape)

    def stepwise() -> list[Array]:
        session.reset()
        return [session(x) for x in steps]

    yield "Session", stepwise


SIDES = {"fastgrad": of_fastgrad, "PyTorch": of_torch, "onnxruntime": of_onnxruntime}


def ways(task: SequenceTask, one_by_one: bool, exact: Array) -> tuple[list[Way], bool]:
    """All ways whose outputs are right, and whether those of all are."""
    good = []
    agreed = True
    for library, side in SIDES.items():
        try:
            found = [Way(library, name, run, []) for name, run in side(task, one_by_one)]
        except ImportError as error:
            print(f"{library}: not measured: {error}")
            continue
        for way in found:
            deviation = way.error(exact)
            if deviation <= TOLERANCE:
                good.append(way)
            else:
                agreed = False
                print(f"{library} ({way.name}): not timed: its outputs are off by {deviation:.2g}")
    return good, agreed


def measure(of: list[Way], steps: int, rounds: int) -> None:
    """Time each way once in every round."""
    for _ in range(rounds):
        for way in of:
            start = time.perf_counter()
            way.run()
            way.times.append((time.perf_counter() - start) / steps)


def report(of: list[Way]) -> None:
    """Print the fastest way of each library, and how it compares."""
    fastest: dict[str, Way] = {}
    for way in sorted(of, key=lambda way: float(np.median(way.times))):
        fastest.setdefault(way.library, way)
    for way in fastest.values():
        print(f"    {way.library:<12} {1e6 * np.median(way.times):7.2f} us  {way.name}")
    others = [way for way in fastest.values() if way.library != "fastgrad"]
    if others and "fastgrad" in fastest:
        ratio = np.median(np.divide(others[0].times, fastest["fastgrad"].times))
        print(f"    best other / fastgrad {ratio:.2f}")


def main() -> int:
    """Measure both cells in both ways."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="length of the sequence")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.latency", *sys.argv[1:]])
    fg.set_num_threads(1)
    print(told("machine", machine()))
    all_agreed = True
    for cell in ("LSTM", "GRU"):
        task = make_sequence_task(SequenceRow(cell, chosen.steps, 1, INPUTS, HIDDEN, {}))
        params = {name: value.astype(np.float64) for name, value in task.params.items()}
        exact = loops.outputs(cell, task.x.astype(np.float64), params)[0][0]
        for one_by_one in (False, True):
            how = "one call for each step" if one_by_one else "all steps in one call"
            print(f"\n{cell} {INPUTS}-{HIDDEN}, {chosen.steps} steps, {how}; for each step:")
            good, agreed = ways(task, one_by_one, exact)
            all_agreed &= agreed
            measure(good, chosen.steps, chosen.rounds)
            report(good)
    print(f"\nlibraries: {libraries()}")
    return int(not all_agreed)


if __name__ == "__main__":
    sys.exit(main())
