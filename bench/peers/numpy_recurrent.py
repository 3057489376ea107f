"""Recurrent rows in naive NumPy: a Python loop over the time steps, forward and backward."""

from .loops import gradients
from .sequences import Array, Passes, SequenceTask

MODES = ("loops",)


def side(task: SequenceTask, mode: str) -> Passes:
    """Make the passes of a row; there is only one mode."""
    grads: dict[str, Array] = {}

    def run(count: int) -> None:
        for _ in range(count):
            grads.update(gradients(task.row.cell, task.x, task.dy, task.params))

    return Passes(task, run, lambda: grads)
