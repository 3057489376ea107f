"""Recurrent kernels of the cuda backend: how they are shared among blocks changes no result."""

from __future__ import annotations

import harness
import numpy as np
import pytest
from cells import backward_of, cells, gradients, problem
from harness import call
from nets import bits

from fastgrad import backends

try:
    CUDA = backends.load("cuda")
except RuntimeError as error:
    pytest.skip(str(error), allow_module_level=True)

from fastgrad.backends.cuda import shares

PLENTY = 200 << 10


@pytest.mark.parametrize("units", [2, 5, 11])
@cells
def test_no_share_changes_a_result(monkeypatch, rng, cell, options, units):
    """Whether blocks keep their part of the weight or not, and however many of them there are."""

    def run(kernel, **given):
        return call(CUDA, kernel, **given)

    monkeypatch.setattr(harness, "MOST_SIMULATED", 1e5)
    given = problem(cell, rng, np.float32, [2, 2, 1], units, **options)
    above = gradients(cell, rng, given)
    found = set()
    for limits, alone in (
        ((3, PLENTY), 0), ((3, PLENTY), 9999), ((3, 0), 0), ((1, PLENTY), 0), ((40, PLENTY), 9999),
    ):  # fmt: skip
        monkeypatch.setattr(shares, "limits", lambda limits=limits: limits)
        monkeypatch.setattr(shares, "MEETING_ALONE", alone)  # cheap, or too expensive
        out = run(f"{cell}_forward", **given)
        got = backward_of(run, cell, given, out, above)
        found.add(bits(out.h[:8], got.gates[:5], got.dw, got.dh0, got.flow))
    assert len(found) == 1


def test_sequences_that_need_no_others(monkeypatch):
    """A weight that fits one multiprocessor stays there, and blocks do not wait for each other."""
    offsets = np.zeros(401, np.int64)

    def found(units, sequences, gates=4):
        weight = np.zeros((gates * units, units), np.float32)
        return shares.shares_of(offsets, sequences, weight, units, gates, units)

    monkeypatch.setattr(shares, "limits", lambda: (132, 227 << 10))
    monkeypatch.setattr(shares, "BLOCK", 256)
    small, large = found(64, 16), found(256, 32)
    assert small.alone
    assert small.phase(len, 400).repeat == 1
    assert not large.alone
    assert large.phase(len, 400).repeat == 400
    assert large.shares > 64
