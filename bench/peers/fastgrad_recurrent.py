"""Recurrent rows in fastgrad: the recorded passes of a model of one layer."""

import fastgrad as fg
from bench.passes import replayed

from .sequences import Passes, SequenceTask

MODES = ("replayed",)


def side(task: SequenceTask, mode: str) -> Passes:
    """Make the passes of a row; there is only one mode."""
    layer = getattr(fg, task.row.cell)(task.row.inputs, task.row.hidden, return_sequences=True)
    model = fg.Sequential(layer, rng=0)
    for name, value in task.params.items():
        model.params[f"0.{name}"] = value
    grads = {name: model.grads[f"0.{name}"] for name in task.params}
    return Passes(task, replayed(model, task.x, task.dy), lambda: grads)
