"""fastgrad's cuda backend beside PyTorch on a GPU: ``python -m bench.gpu --json FILE``.

Rows are passes of LSTM, GRU and RNN forward and backward, which leave the gradients of all
parameters, and training steps of dense networks with Adam; float32 and TF32. Before a row is timed
every side must come near what the reference finds in float64 (`correctness` says how near), and
fastgrad must find the same bits twice; what fails is reported, and not timed.

Times lie between two events on the device, of many passes or steps that follow each other. Of
fastgrad that is one run of a recorded program of both passes, and for training steps one
`Trainer.epoch`, its host's part included, which also gathers the minibatches. PyTorch runs eagerly
and as a CUDA graph of the whole pass or step, on data that stay on the device. Besides, the
wall-clock time of single calls is taken. All sides take turns, round by round.

Without a GPU, or where something that the backend needs is missing, that is said, nothing is
measured, and the exit status is 0; it is 1 where a side was wrong or failed. ``--dry`` shrinks all
rows to a few units, checks those that still differ, and takes no times: Numba's simulator
(NUMBA_ENABLE_CUDASIM=1) can do it, with PyTorch on the CPU.
"""

import argparse
import importlib
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastgrad as fg

from ..machine import told
from ..peers.table import markdown
from .about import about
from .measure import Result, check, measure
from .rows import ROWS
from .table import HEADING, LEGEND, cells, checked, plain, progress

NOTHING = "nothing was measured"


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    rows = "; ".join(f"{i}: {row.of.name} batch {row.of.batch}" for i, row in enumerate(ROWS))
    parser.add_argument("--rows", type=_numbers, default=list(range(len(ROWS))), help=rows)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times to FILE")
    parser.add_argument("--dry", action="store_true", help="tiny shapes, correctness alone")
    chosen = parser.parse_args()
    if not set(chosen.rows) <= set(range(len(ROWS))):
        parser.error(f"--rows takes numbers from 0 to {len(ROWS) - 1}")
    if chosen.rounds < 1:
        parser.error("--rounds takes a positive number")
    return chosen


def _simulated() -> bool:
    from fastgrad.backends.cuda.target import SIMULATED

    return SIMULATED


def torch_side(dry: bool) -> Any:
    """The module of PyTorch's sides; None, and a line that says why, where it has none."""
    try:
        module = importlib.import_module("bench.gpu.torch_side")
    except (ImportError, OSError) as error:  # it is not there, or a library that it needs
        print(f"PyTorch cannot be used ({error}): fastgrad is alone")
        return None
    if module.DEVICE == "cpu" and not dry:
        print("PyTorch sees no GPU: fastgrad is alone")
        return None
    return module


def _write(file: Path | None, said: dict[str, Any], results: list[Result]) -> None:
    if file is not None:
        report = {**said, "rows": [plain(result) for result in results]}
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Check, measure and print; the exit status is 1 where a side was wrong or failed."""
    chosen = arguments()
    begin = time.perf_counter()
    try:
        fg.use_backend("cuda")
    except RuntimeError as error:
        print(f"{error}\n{NOTHING}")
        return 0
    if _simulated() and not chosen.dry:
        print(f"the simulator takes no times (--dry checks without them): {NOTHING}")
        return 0
    if _simulated():
        sys.setswitchinterval(1e-5)  # a thread of Python for each of CUDA's, waiting for others
    theirs = torch_side(chosen.dry)
    said = about(theirs and theirs.torch, not _simulated())
    for name, of in said.items():
        print(told(name, of), flush=True)
    results: list[Result] = []
    for number in chosen.rows:
        row = ROWS[number].shrunk() if chosen.dry else ROWS[number]
        if chosen.dry and any(row.of == result.row.of for result in results):
            continue
        start = time.perf_counter()
        result = check(number, row, theirs)
        compiling = time.perf_counter() - start
        results.append(result)
        if chosen.dry:
            print(checked(result), flush=True)
        else:
            measure(result, chosen.rounds)
            spent = time.perf_counter() - begin
            print(f"[{spent:.0f} s, {compiling:.0f} s of it to compile and check this row]")
            print(progress(result), flush=True)
        result.release()
        if theirs is not None:
            with suppress(RuntimeError):  # after some errors nothing works: sides have said so
                theirs.release()
        _write(chosen.json, said, results)
    if chosen.dry:
        print(f"a dry run at tiny shapes: {NOTHING}")
    else:
        print(f"\n{markdown([HEADING, *map(cells, results)])}\n\n{LEGEND}")
    return int(any(result.disagreed for result in results))


if __name__ == "__main__":
    sys.exit(main())
