"""Activations as users write them beside the package's own: ``python -m bench.activations``.

Each formula both ways, forward and backward: on its own, and in a Dense layer with 128 inputs and
outputs. One thread, float32, in turns in one run; the last column is the own time over that of the
package's, the median of rounds. The gradient of the layer's input is not computed.
"""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import fastgrad as fg
from bench.machine import machine, told
from fastgrad import backends
from fastgrad.arena import aligned
from fastgrad.backends.contract import needs_slope

WIDTH = 128


@fg.activation
def relu(z: Any) -> Any:
    return max(z, 0)


@fg.activation
def tanh(z: Any) -> Any:
    return math.tanh(z)


@fg.activation
def sigmoid(z: Any) -> Any:
    return 1 / (1 + math.exp(-z))


@fg.activation
def elu(z: Any, alpha: float = 1.0) -> Any:
    return z if z > 0 else alpha * math.expm1(z)


@fg.activation
def softplus(z: Any) -> Any:
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


@fg.activation
def silu(z: Any) -> Any:
    return z / (1 + math.exp(-z))


@fg.activation
def gelu(z: Any) -> Any:
    return z * (1 + math.erf(z / math.sqrt(2))) / 2


@fg.activation
def gelu_tanh(z: Any) -> Any:
    return z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


ACTIVATIONS = relu, tanh, sigmoid, elu, softplus, silu, gelu, gelu_tanh


def passes(activation: Any, kind: str, batch: int) -> Callable[[int], None]:
    """Both passes as one replay, which takes how often to make them."""
    rng = np.random.default_rng(0)
    shape = (batch, WIDTH)
    y, slope, dx, b, db, x, dy, w, dw = (
        aligned(size, np.float32)
        for size in (*[shape] * 3, *[WIDTH] * 2, *[shape] * 2, *[(WIDTH, WIDTH)] * 2)
    )
    for array in (x, dy, w):
        array[...] = rng.standard_normal(array.shape)
    w /= WIDTH**0.5
    b[...] = 0
    kept = slope if needs_slope(activation) else None
    alpha = 1.0 if activation == "elu" else 0.0
    backend = backends.active()
    if kind == "alone":
        flat = None if kept is None else kept.ravel()
        calls = [
            backend.record("activation_forward", x.ravel(), activation, alpha, y.ravel(), flat),
            backend.record(
                "activation_backward", y.ravel(), flat, dy.ravel(), activation, alpha, dx.ravel()
            ),
        ]
    else:  # dy becomes smaller each time, but no number takes longer than another
        calls = [
            backend.record("dense_forward", x, w, b, activation, alpha, y, kept),
            backend.record(
                "dense_backward", x, w, y, kept, activation, alpha, dy, None, dw, db, None
            ),
        ]
    keep = [x, y, slope, dy, dx, w, dw, b, db, activation]
    program = backend.program([calls], np.zeros(1, np.int64), keep)
    return lambda count: program.run([count], 1)


def seconds(run: Callable[[int], None], count: int) -> float:
    """For one of `count` passes."""
    start = time.perf_counter()
    run(count)
    return (time.perf_counter() - start) / count


def main() -> None:
    """Print a row for each activation and shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 1024])
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    fg.set_num_threads(1)
    print(told("machine", machine()))
    print(f"{'':12}{'layer':12}{'batch':>6}{'package':>11}{'own':>11}{'ratio':>8}")
    for own in ACTIVATIONS:
        for kind in ("alone", "dense"):
            for batch in given.batch:
                sides = [passes(activation, kind, batch) for activation in (own.name, own)]
                count = max(1, round(2e-3 / seconds(sides[0], 10)))
                times = np.array(
                    [[seconds(side, count) for side in sides] for _ in range(given.rounds)]
                )
                package, mine = np.median(times, axis=0) * 1e6
                ratio = np.median(times[:, 1] / times[:, 0])
                print(
                    f"{own.name:12}{kind:12}{batch:6}{package:8.2f} us{mine:8.2f} us{ratio:8.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
