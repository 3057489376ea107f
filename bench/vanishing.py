"""What a vanishing gradient costs: ``python -m bench.vanishing``.

A training step of networks of sigmoids with weights that are too small, so that the gradient of
the early layers loses a factor of about 20 in each. Where it falls below the smallest normal
float32 it is made of denormal numbers, which some processors multiply a hundred times slower.
fastgrad, and JAX, count them as zero. PyTorch does so only where it is asked to
(``torch.set_flush_denormal``), which is measured too.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

import fastgrad as fg
from bench.machine import clear_overrides, machine, told

BATCH, STEPS, WIDTH, OUTPUTS, STD = 64, 20, 128, 10, 0.03
Side = Callable[[], None]  # an epoch


def widths(depth: int) -> list[int]:
    """Features from the inputs to the outputs."""
    return [64, *[WIDTH] * depth, OUTPUTS]


def data() -> tuple[np.ndarray, np.ndarray]:
    """Rows and classes, without meaning."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((BATCH * STEPS, 64), dtype=np.float32)
    return rows, rng.integers(OUTPUTS, size=len(rows))


def of_fastgrad(depth: int, backend: str) -> tuple[Side, fg.Sequential]:
    """Its epoch, and the model, whose gradients are looked at."""
    fg.use_backend(backend)
    sizes, small = widths(depth), fg.initializers.normal(STD)
    hidden = [fg.Dense(i, o, "sigmoid", weight_init=small) for i, o in pairwise(sizes[:-1])]
    model = fg.Sequential(*hidden, fg.Dense(WIDTH, OUTPUTS, weight_init=small), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(1e-4), rng=0)
    x, y = data()

    def epoch() -> None:
        fg.use_backend(backend)
        trainer.epoch(x, y, BATCH)

    return epoch, model


def of_torch(depth: int) -> Iterator[tuple[str, Side]]:
    """PyTorch as it comes, and told to flush denormal numbers; nothing where it is missing."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in pairwise(widths(depth)):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers[:-1])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, STD if parameter.ndim > 1 else 0)
    adam = torch.optim.Adam(model.parameters(), 1e-4, fused=True)
    x, y = (torch.from_numpy(array) for array in data())

    def epoch(flush: bool) -> None:
        torch.set_flush_denormal(flush)
        for start in range(0, len(x), BATCH):
            part = slice(start, start + BATCH)
            adam.zero_grad()
            torch.nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            adam.step()
        torch.set_flush_denormal(False)

    yield "torch", lambda: epoch(False)
    yield "torch, flushing", lambda: epoch(True)


def measured(sides: dict[str, Side], rounds: int) -> dict[str, float]:
    """Seconds of a step for each side: the median of rounds that take turns."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for epoch in sides.values():
        epoch()
    for _ in range(rounds):
        for name, epoch in sides.items():
            start = time.perf_counter()
            epoch()
            times[name].append((time.perf_counter() - start) / STEPS)
    return {name: float(np.median(of_side)) for name, of_side in times.items()}


def main() -> int:
    """Print a line for each depth."""
    parser = argparse.ArgumentParser(prog="python -m bench.vanishing", description=__doc__)
    parser.add_argument("--depths", type=int, nargs="+", default=[5, 10, 20, 30, 40, 50])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.vanishing", *sys.argv[1:]])
    fg.set_num_threads(1)
    print(told("machine", machine()))
    for depth in chosen.depths:
        epoch, model = of_fastgrad(depth, "cython")
        naive, _ = of_fastgrad(depth, "reference")
        times = measured({"fastgrad": epoch, "NumPy": naive} | dict(of_torch(depth)), chosen.rounds)
        first, last = (
            float(np.linalg.norm(model.grads[f"{layer}.weight"].astype(np.float64)))
            for layer in (0, depth)
        )
        told_times = "  ".join(f"{name} {1e3 * t:.3g} ms" for name, t in times.items())
        print(f"{depth:3} layers: {told_times}  gradient {last:.1e} to {first:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
