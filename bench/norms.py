"""Normalization beside PyTorch and JAX, forward and backward: ``python -m bench.norms``.

One thread, float32, gradients of input, weight and bias for every side, in turns in one run; the
last column is the best other time over fastgrad's, the median of rounds. fastgrad replays recorded
kernels, PyTorch runs eagerly, JAX is jitted.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

import fastgrad as fg
from bench.machine import clear_overrides, machine, told
from fastgrad import backends
from fastgrad.arena import aligned

Side = Callable[[], object]
EPS = 1e-5


def data(n: int, f: int) -> tuple[np.ndarray, np.ndarray]:
    """x and dy."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, f), dtype=np.float32), rng.standard_normal((n, f), np.float32)


def of_fastgrad(kind: str, n: int, f: int) -> tuple[Side, list[np.ndarray]]:
    """Both passes as one replay, and y, dx, dweight and dbias."""
    x, dy = data(n, f)
    backend = backends.active()
    y, dx = (aligned((n, f), np.float32) for _ in range(2))
    weight, bias, dweight, dbias = (aligned(f, np.float32) for _ in range(4))
    weight[...], bias[...] = 1, 0
    length = f if kind == "batch" else n
    mean, spread = (aligned(length, np.float64) for _ in range(2))
    if kind == "batch":
        calls = [
            backend.record("batch_norm_forward", x, weight, bias, EPS, y, mean, spread),
            backend.record(
                "batch_norm_backward", x, weight, mean, spread, dy, EPS, dx, dweight, dbias, None
            ),
        ]
    else:
        back = x, weight, 1, mean, spread, dy, None, dx, dweight, dbias, None
        calls = [
            backend.record("layer_norm_forward", x, weight, bias, 1, EPS, None, y, mean, spread),
            backend.record("layer_norm_backward", *back),
        ]
    keep = [x, dy, y, dx, weight, bias, dweight, dbias, mean, spread]
    program = backend.program([calls], np.zeros(1, np.int64), keep)
    return lambda: program.run([1], 1), [y, dx, dweight, dbias]


def of_torch(kind: str, n: int, f: int) -> Iterator[tuple[str, Side, Callable[[], list]]]:
    """PyTorch; nothing where it is missing."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    rows, gradient = data(n, f)
    x, dy = torch.from_numpy(rows).requires_grad_(), torch.from_numpy(gradient)
    norm = torch.nn.BatchNorm1d(f, EPS) if kind == "batch" else torch.nn.LayerNorm(f, EPS)

    def both() -> list:
        y = norm(x)
        return [y, *torch.autograd.grad(y, [x, norm.weight, norm.bias], dy)]

    yield "PyTorch", both, lambda: [array.detach().numpy() for array in both()]


def of_jax(kind: str, n: int, f: int) -> Iterator[tuple[str, Side, Callable[[], list]]]:
    """JAX; nothing where it is missing."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return
    axis = 0 if kind == "batch" else 1
    x, dy = map(jnp.asarray, data(n, f))

    def normed(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        mean = x.mean(axis, keepdims=True)
        var = ((x - mean) ** 2).mean(axis, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + EPS) * weight + bias

    @jax.jit
    def both(x: jax.Array, weight: jax.Array, bias: jax.Array, dy: jax.Array) -> list:
        y, back = jax.vjp(normed, x, weight, bias)
        return [y, *back(dy)]

    given = x, jnp.ones(f), jnp.zeros(f), dy
    yield "JAX", lambda: jax.block_until_ready(both(*given)), lambda: list(both(*given))


def seconds(side: Side, repeats: int) -> float:
    """Of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        side()
    return (time.perf_counter() - start) / repeats


def main() -> int:
    """Measure both kinds; the exit status is 1 where a side computes something else."""
    parser = argparse.ArgumentParser(prog="python -m bench.norms", description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    if clear_overrides():  # too late for the BLAS of the NumPy that is loaded
        os.execv(sys.executable, [sys.executable, "-m", "bench.norms", *sys.argv[1:]])
    fg.set_num_threads(1)
    print(told("machine", machine()))
    agreed = True
    for kind in ("batch", "layer"):
        size = chosen.rows, chosen.features
        own, found = of_fastgrad(kind, *size)
        sides: dict[str, Side] = {"fastgrad": own}
        own()
        for name, both, arrays in (*of_torch(kind, *size), *of_jax(kind, *size)):
            for mine, other in zip(found, arrays(), strict=True):
                close = np.allclose(mine, other, rtol=1e-3, atol=1e-3)
                agreed &= close
                if not close:
                    print(f"{kind} norm: {name} disagrees by {np.abs(mine - other).max()}")
            sides[name] = both
        for side in sides.values():
            seconds(side, 50)
        times = {name: [] for name in sides}
        for _ in range(chosen.rounds):
            for name, side in sides.items():
                times[name].append(seconds(side, 50))
        told_times = "  ".join(f"{n} {1e6 * np.median(t):.1f} us" for n, t in times.items())
        others = [times[name] for name in sides if name != "fastgrad"]
        ratio = np.median(np.min(others, axis=0) / times["fastgrad"]) if others else np.nan
        print(f"{kind} norm {size[0]}x{size[1]}: {told_times}  best/fastgrad {ratio:.2f}")
    return int(not agreed)


if __name__ == "__main__":
    sys.exit(main())
