"""Optimizer steps beside PyTorch and the speed of memory: ``python -m bench.optimizers``.

One step over a flat float32 vector of 10 thousand and of 1 million parameters, all sides with one
thread and in turns in one run. "copy" moves as many bytes as the step reads and writes, half of
them each way, in the faster of two ways: NumPy's copyto, which goes past the caches where there is
much, and a plain loop, which does not. The share is its time over fastgrad's, the last column
PyTorch's over fastgrad's, both the median of rounds. PyTorch is fused where it can be, else
foreach.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

import numpy as np

import fastgrad as fg
from bench.cases import optimizer_step
from bench.machine import clear_overrides, machine, told
from fastgrad import backends
from fastgrad.arena import aligned
from fastgrad.optimizers import Optimizer

Side = Callable[[], object]

# Each with the vectors that a step reads and writes: gradient, parameters, state. LAMB and LARS
# hold their update in one more, and look at it and the parameters twice.
OPTIMIZERS: tuple[tuple[Optimizer, int], ...] = (
    (fg.SGD(1e-3), 3),
    (fg.SGD(1e-3, momentum=0.9), 5),
    (fg.RMSprop(1e-3), 5),
    (fg.RMSprop(1e-3, centered=True, momentum=0.9), 9),
    (fg.Adagrad(1e-3), 5),
    (fg.Adadelta(), 7),
    (fg.Adam(1e-3), 7),
    (fg.Adam(1e-3, amsgrad=True), 9),
    (fg.AdamW(1e-3), 7),
    (fg.Adamax(1e-3), 7),
    (fg.NAdam(1e-3), 7),
    (fg.RAdam(1e-3), 7),
    (fg.Rprop(1e-3), 7),
    (fg.Lion(1e-3), 5),
    (fg.LAMB(1e-6), 10),
    (fg.LARS(1e-6), 9),
)


def copies_of(size: int, vectors: int) -> dict[str, Side]:
    """As many bytes as `vectors` float32 vectors of this size have, copied in two ways."""
    source, target = (aligned(max(1, size * vectors // 2), np.float32) for _ in range(2))
    source[...] = 1
    backend = backends.load("cython")
    status = np.zeros(1, np.int64)
    loop = backend.program([[backend.record("blend", source, 0.0, 1.0, target)]], status, source)
    return {
        "copyto": lambda: np.copyto(target, source),
        "loop": lambda: loop.run([1], 1),
    }


def of_torch(optimizer: Optimizer, size: int) -> tuple[Side, np.ndarray] | None:
    """PyTorch's optimizer of that name and its parameters; None where there is none."""
    try:
        import torch
    except ImportError:
        return None
    kind = getattr(torch.optim, type(optimizer).__name__, None)
    if kind is None:
        return None
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal(size).astype(np.float32) for _ in range(2))
    params = torch.nn.Parameter(torch.from_numpy(p))
    params.grad = torch.from_numpy(g)
    options = {name: value for name, value in optimizer.config().items() if name != "name"}
    try:
        theirs = kind([params], fused=True, **options)
    except (TypeError, RuntimeError):
        theirs = kind([params], foreach=True, **options)
    return theirs.step, p


def seconds(side: Side, repeats: int) -> float:
    """Of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        side()
    return (time.perf_counter() - start) / repeats


def compare(optimizer: Optimizer, vectors: int, size: int, rounds: int, repeats: int) -> bool:
    """Print a row; whether PyTorch agrees."""
    params, own = optimizer_step(optimizer, "cython", size, done=0)
    copies = copies_of(size, vectors)
    sides: dict[str, Side] = {"fastgrad": own, **copies}
    agreed = True
    other = of_torch(optimizer, size)
    if other is not None:
        sides["PyTorch"], theirs = other
        own()
        sides["PyTorch"]()
        agreed = bool(np.allclose(params, theirs, rtol=0, atol=1e-6))  # the step is about 1e-3
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        seconds(side, repeats)
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(seconds(side, repeats))
    told_times = "  ".join(f"{n} {1e6 * np.median(t):.1f} us" for n, t in times.items())
    best = min(copies, key=lambda name: np.median(times[name]))
    share = np.median(np.divide(times[best], times["fastgrad"]))
    ratio = np.nan
    if other is not None:
        ratio = np.median(np.divide(times["PyTorch"], times["fastgrad"]))
    note = "" if agreed else "  PyTorch disagrees"
    print(f"{optimizer}, {size:,}: {told_times}  of {best} {share:.0%}  ratio {ratio:.2f}{note}")
    return agreed


def main() -> int:
    """Measure all; the exit status is 1 where PyTorch computes something else."""
    parser = argparse.ArgumentParser(prog="python -m bench.optimizers", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--work", type=int, default=20_000_000, help="parameters of a round")
    chosen = parser.parse_args()
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.optimizers", *sys.argv[1:]])
    fg.set_num_threads(1)
    print(told("machine", machine()))
    agreed = [
        compare(optimizer, vectors, size, chosen.rounds, max(1, chosen.work // size))
        for size in chosen.sizes
        for optimizer, vectors in OPTIMIZERS
    ]
    return int(not all(agreed))


if __name__ == "__main__":
    sys.exit(main())
