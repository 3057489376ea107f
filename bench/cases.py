"""Work that both sides are given: one dense layer, one optimizer step. Everything is float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgrad as fg
from fastgrad import backends
from fastgrad.arena import Part, aligned
from fastgrad.backends.contract import needs_slope
from fastgrad.optimizers import Optimizer
from fastgrad.program import Tape, Workspace

Array = NDArray[Any]
Replay = Callable[[], None]

SIDES = {"numpy": "reference", "fastgrad": "cython"}


def replayed(backend: str, calls: list[tuple[Any, ...]]) -> Replay:
    """Record kernel calls, each its name and arguments, and return what replays them."""
    kernels = backends.load(backend)
    recorded = [kernels.record(*call) for call in calls]
    program = kernels.program([recorded], np.zeros(1, np.int64), calls)
    threads = backends.num_threads()
    return lambda: program.run([1], threads)


@dataclass(frozen=True)
class DenseCase:
    """A dense layer, forward and backward with the gradient of its input.

    Attributes
    ----------
    batch, inputs, outputs : int
    activation : str
    """

    batch: int
    inputs: int
    outputs: int
    activation: str = "relu"

    @property
    def name(self) -> str:
        """For example ``32 x 16 -> 64 relu``."""
        return f"{self.batch} x {self.inputs} -> {self.outputs} {self.activation}"

    @property
    def flops(self) -> int:
        """Of the three products."""
        return 6 * self.batch * self.inputs * self.outputs

    def arrays(self, dtype: str = "float32") -> dict[str, Array]:
        """Inputs and weights from a fixed seed, and room for what is computed."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.batch, self.inputs))
        w = rng.standard_normal((self.outputs, self.inputs)) / np.sqrt(self.inputs)
        b = rng.standard_normal(self.outputs)
        dy = rng.standard_normal((self.batch, self.outputs))
        given = {"x": x, "w": w, "b": b, "given": dy}
        made = {"y": dy, "slope": dy, "dy": dy, "dx": x, "dw": w, "db": b}
        return {
            **{name: array.astype(dtype) for name, array in given.items()},
            **{name: np.zeros(like.shape, dtype) for name, like in made.items()},
        }

    def step(self, backend: str, a: dict[str, Array]) -> Replay:
        """One pass forward and backward over those arrays."""
        slope = a["slope"] if needs_slope(self.activation) else None
        how = self.activation, 0.0
        forward = ("dense_forward", a["x"], a["w"], a["b"], *how, a["y"], slope)
        backward = ("dense_backward", a["x"], a["w"], a["y"], slope, *how, a["dy"], a["dx"])
        gradients = a["dw"], a["db"], np.zeros(1, np.int64)
        replay = replayed(backend, [forward, (*backward, *gradients)])

        def step() -> None:
            a["dy"][...] = a["given"]  # the backward pass overwrites it
            replay()

        return step


DENSE = (
    DenseCase(1, 128, 128),
    DenseCase(32, 16, 64),
    DenseCase(33, 70, 70, "gelu"),
    DenseCase(64, 128, 10, "identity"),
    DenseCase(64, 128, 128, "tanh"),
    DenseCase(200, 64, 100),
    DenseCase(64, 784, 128),
    DenseCase(128, 512, 512),
    DenseCase(256, 1024, 1024),
)

# each with the vectors that a step reads and writes: gradient, parameters, state
OPTIMIZERS: dict[str, tuple[Optimizer, int]] = {
    "sgd": (fg.SGD(1e-6), 3),
    "sgd, momentum": (fg.SGD(1e-6, momentum=0.9), 5),
    "rmsprop": (fg.RMSprop(1e-6), 5),
    "adam": (fg.Adam(1e-6), 7),
    "adamw": (fg.AdamW(1e-6), 7),
}


def optimizer_step(
    optimizer: Optimizer, backend: str, size: int, dtype: str = "float32", done: int = 1
) -> tuple[Array, Replay]:
    """Parameters, and what updates them once with a fixed gradient, as if after `done` steps."""
    rng = np.random.default_rng(0)
    params, grads = (aligned(size, dtype) for _ in range(2))
    for vector in (params, grads):
        vector[...] = rng.standard_normal(size)
    parts = (Part("0.bias", 0, (size,)),)
    tape = Tape(backends.load(backend), Workspace(), dtype)
    state, hyper = optimizer.state(params, parts), np.array(optimizer.hyper())
    optimizer.record(tape, grads, params, state, hyper, np.array([done]), parts)
    program = tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep)
    threads = backends.num_threads()
    return params, lambda: program.run([1], threads)
