"""The table of workloads: training steps of dense networks, then passes of recurrent layers."""

from .rows import STEPS, Row, Task, make_task
from .sequences import ODD_PASSES, PASSES, SequenceRow, SequenceTask, make_sequence_task

ROWS: tuple[Row | SequenceRow, ...] = (*STEPS, *PASSES, *ODD_PASSES)
USUAL = tuple(range(len(STEPS) + len(PASSES)))  # measured where no rows are named


def make(number: int) -> Task | SequenceTask:
    """Draw what every side of a row starts from.

    Parameters
    ----------
    number : int
        Index into ``ROWS``.

    Returns
    -------
    Task or SequenceTask
    """
    row = ROWS[number]
    return make_sequence_task(row) if isinstance(row, SequenceRow) else make_task(row)
