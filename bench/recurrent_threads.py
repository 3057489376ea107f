"""How a recurrent layer scales with threads: ``python -m bench.recurrent_threads``.

Passes forward and backward of an LSTM of 256 units on 128 sequences of 100 steps of 256 features,
float32, no gradient of the input. The counts of threads take turns, round by round; the efficiency
is t1 / (n tn), the median of rounds. The exit status is 1 where the gradients of some count differ
from those of one thread in any bit.
"""

import argparse
import os
import sys
import time

import numpy as np

import fastgrad as fg
from bench.machine import clear_overrides, machine, told
from bench.peers.fastgrad_recurrent import side
from bench.peers.sequences import SequenceRow, make_sequence_task

COUNTS = (1, 2, 4, 8, 16)
ROW = SequenceRow("LSTM", 100, 128, 256, 256, {})


def main() -> int:
    """Measure each count that the machine has cores for."""
    parser = argparse.ArgumentParser(prog="python -m bench.recurrent_threads", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--passes", type=int, default=3, help="in each round")
    chosen = parser.parse_args()
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.recurrent_threads", *sys.argv[1:]])
    about = machine()
    print(told("machine", about))
    counts = [count for count in COUNTS if count <= int(about["cores"])]
    passes = side(make_sequence_task(ROW), "")
    times: dict[int, list[float]] = {count: [] for count in counts}
    first: dict[str, np.ndarray] = {}
    same = True
    for number in range(1 + chosen.rounds):  # the first one is for warmth and the comparison
        for count in counts:
            fg.set_num_threads(count)
            start = time.perf_counter()
            passes.run(chosen.passes)
            seconds = (time.perf_counter() - start) / chosen.passes
            if number:
                times[count].append(seconds)
                continue
            found = {name: grad.copy() for name, grad in passes.gradients().items()}
            first = first or found
            same &= all(np.array_equal(grad, first[name]) for name, grad in found.items())
    print(f"{ROW.name} of {ROW.batch}, forward and backward")
    for count in counts:
        seconds = float(np.median(times[count]))
        efficiency = np.median(np.divide(times[1], times[count])) / count
        rate = ROW.flops / seconds / 1e9
        print(f"{count:3} threads  {1e3 * seconds:7.1f} ms  {rate:5.0f} GFLOP/s  {efficiency:4.0%}")
    print("gradients: " + ("the same bits for all counts" if same else "DIFFERENT BITS"))
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
