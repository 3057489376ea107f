"""One ``Trainer.epoch`` of each network of the peers' table: naive NumPy beside fastgrad."""

from functools import cache

import pytest

from bench.peers.fastgrad_peer import Side
from bench.peers.rows import STEPS, Task, make_task
from bench.peers.truth import TOLERANCE, loss_after_steps


@cache
def prepared(row: int) -> tuple[Task, float]:
    """The data of a row, and the loss that both sides must reach."""
    task = make_task(STEPS[row])
    return task, loss_after_steps(task)


@pytest.mark.parametrize("row", range(len(STEPS)), ids=[row.name for row in STEPS])
def test_train_step(row, side, timed):
    task, loss = prepared(row)
    network = Side(task, "epoch")
    assert network.check() == pytest.approx(loss, TOLERANCE)
    network.reset()
    group = f"epoch {task.row.name}, {task.row.steps} steps of {task.row.batch}"
    timed(group, side, lambda: network.epochs(1), flops=task.row.flops * task.row.steps)
