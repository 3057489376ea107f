"""The rows: passes of recurrent layers and training steps of dense networks, with their goals."""

from dataclasses import dataclass, replace

from ..peers.rows import Row, Task, make_task
from ..peers.sequences import SequenceRow, SequenceTask, make_sequence_task


@dataclass(frozen=True)
class GpuRow:
    """A workload in float32, and how many times faster than PyTorch it has to be.

    Attributes
    ----------
    of : Row or SequenceRow
        A training step with Adam, or a pass forward and backward that leaves the gradients of all
        parameters and none of the inputs.
    goal : float
        The required ratio (PyTorch's fastest mode / fastgrad) where both compute in float32.
    """

    of: Row | SequenceRow
    goal: float

    def task(self) -> Task | SequenceTask:
        """What every side starts from; the same at each call."""
        return make_task(self.of) if isinstance(self.of, Row) else make_sequence_task(self.of)

    def shrunk(self) -> "GpuRow":
        """The same kind of row with a few units, rows and steps, as the simulator can do it."""
        if isinstance(self.of, Row):
            hidden = [4] * min(2, len(self.of.widths) - 2)
            small: Row | SequenceRow = replace(self.of, widths=(3, *hidden, 3), batch=3, steps=2)
        else:
            small = replace(self.of, length=3, batch=3, inputs=2, hidden=3)
        return replace(self, of=small)


SHAPES = (  # T, N, I, H
    (100, 32, 128, 256),
    (100, 32, 64, 128),
    (400, 16, 2, 64),
    (50, 64, 256, 512),
)
_GOALS = {"LSTM": (3.0, 1.2, 1.2, 1.2), "GRU": (3.0, 1.2, 1.2, 1.2), "RNN": (1.0,) * 4}
PASSES = tuple(
    GpuRow(SequenceRow(cell, *shape, {}), goal)
    for cell, goals in _GOALS.items()
    for shape, goal in zip(SHAPES, goals, strict=True)
)
STEPS = tuple(
    GpuRow(Row(widths, batch, steps, "cross_entropy", {}), goal)
    for widths, batch, steps, goal in (
        ((16, 64, 64, 4), 32, 1000, 2.0),
        ((784, 128, 10), 64, 400, 2.0),
        ((784, 512, 512, 10), 128, 200, 2.0),
        ((64, *[128] * 20, 10), 64, 400, 2.0),
        ((1024, 2048, 2048, 1024), 256, 40, 1.0),
    )
)
ROWS = (*PASSES, *STEPS)
