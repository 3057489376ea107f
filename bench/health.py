"""What health costs at every step: ``python -m bench.health``.

Each network trains with Adam twice, once with ``health=True`` and once without, in turns of some
50 ms; the figure is the median over rounds of the one time over the other, less 1, verdicts
included. What the first pass takes longer than that, before there is anything to compare with, is
the start: facts about data and weights, and the first verdicts, which come every four steps. The
same in PyTorch, where hooks take the same statistics of outputs and gradients and a loop those of
parameters, all of them kept as tensors until the pass has ended. Both run on as many threads.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastgrad as fg
from bench.machine import clear_overrides, machine, told

NETS = {
    "16-64-64-4": ((16, 64, 64, 4), 32),
    "64-100-10": ((64, 100, 10), 200),
    "784-128-10": ((784, 128, 10), 64),
    "64-20x128-10": ((64, *[128] * 20, 10), 64),
    "784-512-512-10": ((784, 512, 512, 10), 128),
    "LSTM 64-128, 100 steps": ((64, 128, 10), 32),
}
TURN = 0.05  # seconds
STEPS = 100  # times 100,000 over the parameters, in one pass

Pass = Callable[[], Any]


def data(sizes: tuple[int, ...], batch: int, steps: int, length: int) -> tuple[Any, Any]:
    """Random rows, or sequences, and classes."""
    rng = np.random.default_rng(0)
    shape = (batch * steps, length, sizes[0]) if length else (batch * steps, sizes[0])
    x = rng.standard_normal(shape, np.float32)
    return x, rng.integers(sizes[-1], size=batch * steps)


def of_fastgrad(name: str, health: bool, steps: int) -> Pass:
    """One pass over as many minibatches."""
    sizes, batch = NETS[name]
    length = 100 if name.startswith("LSTM") else 0
    pairs = list(itertools.pairwise(sizes))
    layers: list[fg.Layer] = [fg.Dense(i, o, "relu") for i, o in pairs[:-1]]
    if length:
        layers = [fg.LSTM(*pairs[0])]
    model = fg.Sequential(*layers, fg.Dense(*pairs[-1]), rng=0)
    trainer = fg.Trainer(model, "cross_entropy", fg.Adam(1e-4), rng=0, health=health)
    x, y = data(sizes, batch, steps, length)
    return lambda: trainer.epoch(x, y, batch)


def of_torch(name: str, health: bool, steps: int) -> Pass:
    """The same in PyTorch, with hooks where health is asked for."""
    import torch

    sizes, batch = NETS[name]
    length = 100 if name.startswith("LSTM") else 0
    pairs = list(itertools.pairwise(sizes))
    torch.manual_seed(0)
    inner: list[Any] = []
    for i, o in pairs[:-1]:
        inner += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    last = torch.nn.Linear(*pairs[-1])
    lstm = torch.nn.LSTM(*pairs[0], batch_first=True) if length else None
    parts = torch.nn.ModuleList([lstm, last]) if lstm else torch.nn.Sequential(*inner, last)
    optimizer = torch.optim.Adam(parts.parameters(), 1e-4, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    seen: list[Any] = []
    if health:
        for module in (m for m in parts.modules() if not list(m.children())):
            module.register_forward_hook(lambda _, __, y: seen.append(look_at_outputs(torch, y)))
            module.register_full_backward_hook(
                lambda _, __, dy: seen.append(None if dy[0] is None else dy[0].norm())
            )
    x, y = (torch.from_numpy(a) for a in data(sizes, batch, steps, length))

    def run() -> None:
        for i in range(steps):
            own = slice(i * batch, (i + 1) * batch)
            z = last(lstm(x[own])[0][:, -1]) if lstm else parts(x[own])
            optimizer.zero_grad()
            loss_of(z, y[own]).backward()
            if not health:
                optimizer.step()
                continue
            with torch.no_grad():
                before = [p.detach().clone() for p in parts.parameters()]
                optimizer.step()
                for p, old in zip(parts.parameters(), before, strict=True):
                    g = p.grad
                    size = g.abs()
                    seen.append((g.norm(), size.max(), (g == 0).sum(), (~g.isfinite()).sum()))
                    seen.append((old.norm(), (p - old).norm()))
        seen.clear()

    return run


def look_at_outputs(torch: Any, y: Any) -> Any:
    """Mean, deviation, and fractions of the elements and of the units that are 0."""
    y = y[0] if isinstance(y, tuple) else y
    with torch.no_grad():
        zero = y == 0
        return y.mean(), y.std(), zero.float().mean(), zero.all(dim=0).float().mean()


def cost(make: Callable[[bool], Pass], rounds: int) -> tuple[float, float, float]:
    """Seconds of a plain pass, what the other one costs more, as a fraction, and its start."""
    for health in (False, True):  # what is done once in a process
        make(health)()
    plain, watched = make(False), make(True)
    first = timed(plain), timed(watched)
    passes = max(1, round(TURN / timed(plain)))
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for run, own in zip((plain, watched), times, strict=True):
            own.append(sum(timed(run) for _ in range(passes)) / passes)
    seconds, others = (float(np.median(own)) for own in times)
    more = float(np.median(np.divide(times[1], times[0]))) - 1
    return seconds, more, (first[1] - others) - (first[0] - seconds)


def timed(run: Pass) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> int:
    """Measure all networks."""
    parser = argparse.ArgumentParser(prog="python -m bench.health", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=31)
    chosen = parser.parse_args()
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.health", *sys.argv[1:]])
    fg.set_num_threads(chosen.threads)
    print(told("machine", machine()))
    try:
        import torch

        torch.set_num_threads(chosen.threads)
        sides = {"fastgrad": of_fastgrad, "PyTorch": of_torch}
    except ImportError:
        print("PyTorch: not installed")
        sides = {"fastgrad": of_fastgrad}
    print(f"{'network':<24}{'library':<10}{'step':>10}{'health costs':>14}{'and at the start':>18}")
    for name, (sizes, _) in NETS.items():
        parameters = sum(i * o for i, o in itertools.pairwise(sizes))
        steps = int(np.clip(STEPS * 100_000 // parameters, 10, 400))
        steps = 10 if name.startswith("LSTM") else steps
        for library, side in sides.items():
            rounds = chosen.rounds if library == "fastgrad" else max(3, chosen.rounds // 6)
            seconds, more, start = cost(functools.partial(side, name, steps=steps), rounds)
            figures = f"{1e6 * seconds / steps:8.1f}us{100 * more:+13.1f}%{1e3 * start:15.1f} ms"
            print(f"{name:<24}{library:<10}{figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
