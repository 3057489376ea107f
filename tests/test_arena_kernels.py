"""The check of a flat gradient for what is not finite."""

from __future__ import annotations

import numpy as np
import pytest

FINITE = [0.0, -0.0, 1.0, "max", "min", "tiny", "smallest_subnormal"]
NOT_FINITE = [np.nan, np.inf, -np.inf]


def surrounded(size, dtype):
    """Ones between NaN, so that a look past either end is noticed."""
    buffer = np.full(size + 200, np.nan, dtype)
    buffer[101 : 101 + size] = 1
    return buffer[101 : 101 + size]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_check_finite_finds_every_position(ops, dtype, value):
    status = np.zeros(1, np.int64)
    few = [(size, range(size)) for size in range(1, 71)]
    many = [(n, (0, 1, n // 2, 4094, n - 2, n - 1)) for n in (4095, 4096, 4097, 10_000)]
    for size, positions in few + many:
        g = surrounded(size, dtype)
        ops.check_finite(g, status)
        assert status[0] == 0, f"false alarm, {size=}"
        for i in positions:
            g[i] = value
            ops.check_finite(g, status)
            assert status[0] == 1, f"missed {i} of {size}"
            g[i], status[0] = 1, 0


@pytest.mark.parametrize("value", FINITE)
@pytest.mark.parametrize("size", [0, 1, 70, 5000])
def test_check_finite_lets_all_others_pass(run, dtype, value, size):
    value = getattr(np.finfo(dtype), value) if isinstance(value, str) else value
    g = np.full(size, value, dtype)
    assert run("check_finite", g=g).status[0] == 0
    assert run("check_finite", g=g, status=np.ones(1, np.int64)).status[0] == 1, "lowered the flag"
