"""fastgrad itself, on its compiled kernels or on its ``reference`` backend (naive NumPy).

One ``Trainer.epoch`` per epoch; it draws the order and gathers the minibatches by itself.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastgrad as fg

from .rows import CHECKED_STEPS, LEARNING_RATE, Task

MODES = ("epoch",)


def start(threads: int, backend: str = "cython") -> dict[str, str]:
    """Choose the backend and the thread count; say what is running."""
    fg.use_backend(backend)
    fg.set_num_threads(threads)
    in_tree = Path(fg.__file__).is_relative_to(Path(__file__).parents[2])
    said = {
        "fastgrad": str(fg.info()["version"]),
        "from": "source tree" if in_tree else "installed package",
        "backend": backend,
    }
    details = fg.info()
    if isinstance(details, dict):
        told = {str(key): str(value) for key, value in details.items()}
        said |= {key: value for key, value in told.items() if os.sep not in value}
    return said


def fma_peak(seconds: float) -> float:
    """GFLOP/s of fused multiply-adds that one core reaches in float32."""
    from fastgrad.backends import cython

    return float(cython.probe(cython.chosen_level()[0]).fma_peak("float32", seconds))


class Side:
    """One row.

    Parameters
    ----------
    task : Task
    mode : str
        There is only one.
    """

    def __init__(self, task: Task, mode: str) -> None:
        self._task = task
        pairs = list(pairwise(task.row.widths))
        layers: list[Any] = [fg.Dense(n_in, n_out, "relu") for n_in, n_out in pairs[:-1]]
        layers.append(fg.Dense(*pairs[-1]))
        self._model = fg.Sequential(*layers, rng=0, dtype="float32")
        self.reset()
        self._trainer = fg.Trainer(
            self._model, loss=task.row.loss, optimizer=fg.Adam(LEARNING_RATE)
        )

    def check(self) -> float:
        """Loss of minibatch 0 after the checked steps, by the very call that is timed."""
        batch = self._task.row.batch
        seen = CHECKED_STEPS * batch
        for count in (seen, batch):
            x, y = self._task.x[:count], self._task.y[:count]
            loss = self._trainer.epoch(x, y, batch_size=batch, shuffle=False)
        return float(loss)

    def reset(self) -> None:
        """Put the first parameters back."""
        for layer, (w, b) in enumerate(zip(self._task.weights, self._task.biases, strict=True)):
            self._model.params[f"{layer}.weight"][...] = w
            self._model.params[f"{layer}.bias"][...] = b

    def epochs(self, count: int) -> None:
        """Train `count` epochs, each in a shuffled order."""
        for _ in range(count):
            self._trainer.epoch(
                self._task.x, self._task.y, batch_size=self._task.row.batch, shuffle=True
            )
