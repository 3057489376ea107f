"""fastgrad itself, on any of its backends; ``reference`` is naive NumPy.

One ``Trainer.epoch`` per epoch; it draws the order and gathers the minibatches by itself.
"""

import os
from pathlib import Path
from typing import Any

import fastgrad as fg

from .rows import CHECKED_STEPS, LEARNING_RATE, Row, Task

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


def _layers(row: Row) -> list[Any]:
    if row.blocks:
        inputs, width, outputs = row.widths
        blocks = [
            fg.Residual(fg.BatchNorm(width), fg.Dense(width, width, "relu"), fg.Dense(width, width))
            for _ in range(row.blocks)
        ]
        last = [fg.BatchNorm(width), fg.Activation("relu"), fg.Dense(width, outputs)]
        return [fg.Dense(inputs, width), *blocks, *last]
    return [*(fg.Dense(*pair, "relu") for pair in row.linear[:-1]), fg.Dense(*row.linear[-1])]


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
        self._model = fg.Sequential(*_layers(task.row), rng=0, dtype="float32")
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
        params = self._model.params
        matrices = [name for name, array in params.items() if array.ndim == 2]
        for name, array in params.items():  # those of the normalizations among them
            array[...] = name.endswith("weight")
        for name, w, b in zip(matrices, self._task.weights, self._task.biases, strict=True):
            params[name] = w
            params[name.replace("weight", "bias")] = b

    def epochs(self, count: int) -> None:
        """Train `count` epochs, each in a shuffled order."""
        for _ in range(count):
            self._trainer.epoch(
                self._task.x, self._task.y, batch_size=self._task.row.batch, shuffle=True
            )
