"""One optimizer step over a flat vector: naive NumPy beside fastgrad."""

import numpy as np
import pytest

from bench.cases import OPTIMIZERS, SIDES, optimizer_step


@pytest.mark.parametrize("size", [10_000, 1_000_000])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name, size, side, timed):
    optimizer, vectors = OPTIMIZERS[name]
    exact, exact_step = optimizer_step(optimizer, "reference", size, "float64")
    params, step = optimizer_step(optimizer, SIDES[side], size)
    exact_step()
    step()
    np.testing.assert_allclose(params, exact, 1e-6, 1e-6)
    timed(f"{name}, {size:,} parameters", side, step, bytes=4 * vectors * size)
