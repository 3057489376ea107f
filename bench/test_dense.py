"""A dense layer, forward and backward: naive NumPy beside fastgrad."""

import numpy as np
import pytest

from bench.cases import DENSE, SIDES


@pytest.mark.parametrize("case", DENSE, ids=lambda case: case.name)
def test_dense(case, side, timed):
    exact, arrays = case.arrays("float64"), case.arrays()
    case.step("reference", exact)()
    step = case.step(SIDES[side], arrays)
    step()
    for name in ("y", "dx", "dw", "db"):
        # elements are sums of at most this many terms of size 1
        tolerance = 1e-6 * max(case.batch, case.inputs, case.outputs)
        np.testing.assert_allclose(arrays[name], exact[name], 1e-4, tolerance, err_msg=name)
    timed(f"dense {case.name}", side, step, flops=case.flops)
