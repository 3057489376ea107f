"""Training steps of 64-W-10 for every width W and batch: ``python -m bench.sweep``.

A step of width W should not take much longer than that of width W - 1, scaled by their work, nor
than that of width W + 1, which has more work; likewise for batches. Where one takes 1.5 times as
long it is a cliff. Times are the best of several; where one takes 1.2 times as long, it and its
neighbours are measured again. The figure is written where matplotlib is installed.
"""

import argparse
import sys
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.machine import clear_overrides, machine, told

INPUTS, CLASSES = 64, 10
CLIFF, SUSPECT = 1.5, 1.2
Point = tuple[int, int]  # width, batch


def flops(point: Point) -> int:
    """Operations of one step's products; the first layer needs no input gradient."""
    width, batch = point
    return 2 * batch * width * (2 * INPUTS + 3 * CLASSES)


def step_seconds(point: Point, steps: int, repeats: int) -> float:
    """Time of one training step: the best epoch, by its number of steps."""
    import numpy as np

    import fastgrad as fg

    width, batch = point
    rng = np.random.default_rng(0)
    x = rng.standard_normal((steps * batch, INPUTS), dtype=np.float32)
    y = rng.integers(0, CLASSES, len(x))
    model = fg.Sequential(fg.Dense(INPUTS, width, "relu"), fg.Dense(width, CLASSES), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", "adam", rng=0)
    trainer.epoch(x, y, batch)
    best = float("inf")
    for _ in range(repeats):
        start = perf_counter()
        trainer.epoch(x, y, batch)
        best = min(best, perf_counter() - start)
    return best / steps


def cliffs(times: dict[Point, float], least: float = CLIFF) -> dict[Point, float]:
    """Points whose time exceeds what a neighbour's would let expect by more than `least`."""
    found = {}
    for (width, batch), time in times.items():
        factor = 0.0
        for smaller in ((width - 1, batch), (width, batch - 1)):
            if smaller in times:
                scaled = times[smaller] * flops((width, batch)) / flops(smaller)
                factor = max(factor, time / scaled)
        for larger in ((width + 1, batch), (width, batch + 1)):
            if larger in times:
                factor = max(factor, time / times[larger])
        if factor > least:
            found[width, batch] = factor
    return found


def around(points: dict[Point, float]) -> set[Point]:
    """The points and their neighbours."""
    steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    return {(width + dw, batch + db) for width, batch in points for dw, db in steps}


def sweep(most: int, steps: int, repeats: int) -> dict[Point, float]:
    """Seconds per step for widths and batches from 1 to `most`."""
    grid = range(1, most + 1)
    times = {}
    for width, batch in product(grid, grid):
        times[width, batch] = step_seconds((width, batch), steps, repeats)
        if batch == most and sys.stderr.isatty():
            print(f"\rwidth {width} of {most}", end="", file=sys.stderr, flush=True)
    for _ in range(3):
        for point in sorted(around(cliffs(times, SUSPECT)) & times.keys()):
            times[point] = min(times[point], step_seconds(point, steps, 4 * repeats))
    return times


def draw(times: dict[Point, float], most: int, path: Path) -> None:
    """Draw the rate over widths and batches, and two cuts through the times."""
    import numpy as np
    from matplotlib.figure import Figure

    grid = range(1, most + 1)
    rate = np.array([[flops((w, b)) / times[w, b] / 1e9 for w in grid] for b in grid])
    figure = Figure(figsize=(11, 4.5), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2)
    image = left.imshow(rate, origin="lower", extent=(0.5, most + 0.5, 0.5, most + 0.5))
    left.set(title=f"{INPUTS}-W-{CLASSES}, GFLOP/s", xlabel="width W", ylabel="batch")
    figure.colorbar(image, ax=left)
    middle = (most + 1) // 2
    curves: dict[str, Any] = {
        f"widths, batch {most}": [times[w, most] for w in grid],
        f"widths, batch {middle}": [times[w, middle] for w in grid],
        f"batches, width {most}": [times[most, b] for b in grid],
        f"batches, width {middle}": [times[middle, b] for b in grid],
    }
    for label, seconds in curves.items():
        right.plot(grid, np.array(seconds) * 1e6, label=label)
    right.set(title="One training step", xlabel="width or batch", ylabel="microseconds", ylim=0)
    right.legend(frameon=False)
    figure.savefig(path)


def main() -> int:
    """Measure, print the cliffs and draw; the exit status is 1 where there are any."""
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--most", type=int, default=70, help="largest width and batch")
    parser.add_argument("--steps", type=int, default=30, help="steps of an epoch")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/sweep.png"), metavar="PNG")
    chosen = parser.parse_args()
    clear_overrides()
    import fastgrad as fg

    fg.set_num_threads(chosen.threads)
    print(told("machine", {**machine(), "level": fg.info()["level"]}))
    times = sweep(chosen.most, chosen.steps, chosen.repeats)
    found = cliffs(times)
    for (width, batch), factor in sorted(found.items(), key=lambda item: -item[1]):
        seconds = times[width, batch] * 1e6
        print(f"width {width}, batch {batch}: {seconds:.2f} us, {factor:.2f} times its neighbour's")
    print(f"{len(times)} sizes, {chosen.threads} threads: {len(found)} cliffs above {CLIFF}x")
    try:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        draw(times, chosen.most, chosen.out)
    except ImportError:
        print("no figure drawn: it needs matplotlib")
    else:
        print(f"figure written to {chosen.out}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
