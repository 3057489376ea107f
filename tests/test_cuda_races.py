"""No kernel of the cuda backend has a race, as far as its accesses in the simulator tell."""

from __future__ import annotations

import numpy as np
import pytest
from harness import SIMULATED, call, example

from fastgrad import backends
from fastgrad.backends import contract

pytestmark = pytest.mark.skipif(not SIMULATED, reason="NUMBA_ENABLE_CUDASIM is not set")
if SIMULATED:
    from races import watched

    from fastgrad.backends.cuda.device import block_sum, device, part
    from fastgrad.backends.cuda.phase import Call, Phase
    from fastgrad.backends.cuda.target import cuda

SIZES = {"small": {}, "large": {"M": 11, "N": 19, "K": 37, "I": 11, "O": 9, "n": 50, "C": 37}}
SIZES["large"] |= {"P": 67, "B": 5, "S": 3, "F": 13, "G": 17, "H": 9, "V": 13, "T": 3, "W": 40}
OWN = {"muon": {"L": 9}, "gather_rows": {"M": 41, "R": 50}, "gather_labels": {"M": 41, "R": 50}}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", contract.CONTRACT)
def test_no_race(kernel, size, rng, monkeypatch):
    monkeypatch.setattr("harness.MOST_SIMULATED", 1e9)
    sizes = SIZES[size] | (OWN.get(kernel, {}) if size == "large" else {})
    given = example(kernel, np.dtype(np.float32), rng, **sizes)
    with watched() as races:
        call(backends.load("cuda"), kernel, **given)
    assert not races


def racing(function, n, *words):
    """What is found in a phase of this function."""
    x = np.arange(n, dtype=np.float32)
    phase = Phase(device(function), (n, x, *words), 3, 1.0, 1, 64)
    call = Call("check_finite", [phase], (x, None))
    call.written.append(x)
    with watched() as races:
        backends.load("cuda").program([[call]], np.zeros(1, np.int64), x).run([1], 1)
    return races


def _by_blocks(m, w, k):
    """Each reads what its neighbour writes."""
    n = m.ints[w]
    x = part(m.reals, m.ints[w + 1], n)
    for i in range(cuda.grid(1), n - 1, cuda.gridsize(1)):
        x[i] = x[i + 1]


def _without_meeting(m, w, k):
    if cuda.blockIdx.x == 0:
        m.shared[cuda.threadIdx.x] = 1
        m.reals[m.ints[w + 1] + cuda.threadIdx.x] = m.shared[(cuda.threadIdx.x + 1) % 4]


def _with_meeting(m, w, k):
    if cuda.blockIdx.x == 0:
        m.shared[cuda.threadIdx.x] = 1
        cuda.syncthreads()
        m.reals[m.ints[w + 1] + cuda.threadIdx.x] = m.shared[(cuda.threadIdx.x + 1) % 4]


def _sum_that_all_write(m, w, k):
    m.reals[m.ints[w + 1]] = block_sum(m, 1.0 + cuda.blockIdx.x)


def _same_value(m, w, k):
    if m.reals[m.ints[w + 1]] != 7:
        m.reals[m.ints[w + 1]] = 7


def _one_stays_away(m, w, k):
    if cuda.threadIdx.x > 0:
        cuda.syncthreads()


def test_races_are_found():
    assert "meet" in racing(_one_stays_away, 13)[0]
    assert "blocks" in racing(_by_blocks, 13)[0]
    assert "threads" in racing(_without_meeting, 13)[0]
    assert "blocks" in racing(_sum_that_all_write, 13)[0]


def test_meetings_are_seen():
    assert not racing(_with_meeting, 13)
    assert not racing(_same_value, 13)
