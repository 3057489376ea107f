"""Passes forward and backward of recurrent layers: a naive NumPy loop beside fastgrad."""

from functools import cache

import pytest

from bench.peers import fastgrad_recurrent, numpy_recurrent
from bench.peers.sequences import PASSES, SequenceTask, make_sequence_task
from bench.peers.truth import TOLERANCE

BUILD = {"numpy": numpy_recurrent.side, "fastgrad": fastgrad_recurrent.side}


@cache
def prepared(row: int) -> SequenceTask:
    """Data and parameters of a row, from which both sides start."""
    return make_sequence_task(PASSES[row])


@pytest.mark.parametrize("row", range(len(PASSES)), ids=[row.name for row in PASSES])
def test_recurrent(row, side, timed):
    task = prepared(row)
    passes = BUILD[side](task, "")
    assert passes.check() <= TOLERANCE
    group = f"{task.row.name} of {task.row.batch}"
    timed(group, side, lambda: passes.epochs(1), flops=task.row.flops)
