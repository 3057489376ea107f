"""PyTorch: ``nn.Sequential`` and ``torch.optim.Adam``, eager or compiled.

Modes: ``fused`` and ``foreach`` name the Adam of an eager loop, ``compile`` is forward and loss
under ``torch.compile`` (backward comes with it) and the fused Adam. The data set is gathered once
per epoch and split into views, which is faster than an ``index_select`` per minibatch.
"""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import torch

from .rows import CHECKED_STEPS, LEARNING_RATE, Row, Task

MODES = ("fused", "foreach", "compile")
COMPILE_SECONDS = 60.0


def start(threads: int) -> dict[str, str]:
    """Set the thread counts; say what is running."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    mkl = re.search(r"Math Kernel Library Version (\S+)", torch.__config__.show())
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "MKL": mkl.group(1) if mkl else "none",
        "threads": str(torch.get_num_threads()),
    }


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer (where the system has timers)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError(f"compiling took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Block(torch.nn.Module):
    """``x + linear(relu(linear(BatchNorm(x))))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = torch.nn.Sequential(
            torch.nn.BatchNorm1d(width),
            torch.nn.Linear(width, width),
            torch.nn.ReLU(),
            torch.nn.Linear(width, width),
        )

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


def _layers(row: Row) -> list[Any]:
    nn: Any = torch.nn
    if row.blocks:
        inputs, width, outputs = row.widths
        blocks = [_Block(width) for _ in range(row.blocks)]
        last = [nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, outputs)]
        return [nn.Linear(inputs, width), *blocks, *last]
    pairs = [(nn.Linear(*pair), nn.ReLU()) for pair in row.linear]
    return [layer for pair in pairs for layer in pair][:-1]


class Side:
    """One row in one mode.

    Parameters
    ----------
    task : Task
    mode : str
        One of ``MODES``.
    """

    def __init__(self, task: Task, mode: str) -> None:
        self._task = task
        self._batch = task.row.batch
        self._x, self._y = torch.from_numpy(task.x), torch.from_numpy(task.y)
        self._orders = cycle(torch.from_numpy(order) for order in task.permutations(4))
        self._model = torch.nn.Sequential(*_layers(task.row))
        self.reset()
        foreach = mode == "foreach"
        self._adam = torch.optim.Adam(
            self._model.parameters(), lr=LEARNING_RATE, foreach=foreach, fused=not foreach
        )
        model = self._model
        functional: Any = torch.nn.functional
        criterion = functional.mse_loss if task.row.loss == "mse" else functional.cross_entropy

        def loss(x: Any, y: Any) -> Any:
            return criterion(model(x), y)

        self._loss: Any = loss
        if mode == "compile":
            torch.compiler.reset()
            self._loss = torch.compile(loss, dynamic=False)

    def _step(self, x: Any, y: Any) -> Any:
        loss = self._loss(x, y)
        loss.backward()
        self._adam.step()
        self._adam.zero_grad()
        return loss

    def check(self) -> float:
        """Loss of minibatch 0 after the checked steps; compiling happens here."""
        with _deadline(COMPILE_SECONDS):
            for number in (*range(CHECKED_STEPS), 0):
                loss = self._step(*map(torch.from_numpy, self._task.minibatch(number)))
        return float(loss.detach())

    def reset(self) -> None:
        """Put the first parameters back."""
        with torch.no_grad():
            layers = list(self._model.modules())
            linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
            for norm in (layer for layer in layers if isinstance(layer, torch.nn.BatchNorm1d)):
                norm.reset_parameters()
            for layer, w, b in zip(linear, self._task.weights, self._task.biases, strict=True):
                layer.weight.copy_(torch.from_numpy(w))
                layer.bias.copy_(torch.from_numpy(b))

    def epochs(self, count: int) -> None:
        """Train `count` epochs, each in a shuffled order."""
        for _ in range(count):
            order = next(self._orders)
            xs: Any = self._x.index_select(0, order)
            ys: Any = self._y.index_select(0, order)
            for x, y in zip(xs.split(self._batch), ys.split(self._batch), strict=True):
                self._step(x, y)
