"""The functions of backends.numba.math: within the bounds of src/fg_math.h, and vectorized."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from test_math import (  # the same tests, of the `ops` below
    EXACT,
    evaluate,
    test_a_result_does_not_depend_on_its_position,  # noqa: F401
    test_denormals_are_their_own_results,  # noqa: F401
    test_float32_is_within_the_bound,  # noqa: F401
    test_float64_is_within_the_bound,  # noqa: F401
    test_special_values,  # noqa: F401
)

numba = pytest.importorskip("numba")


def compiled_loop(name):
    from fastgrad.backends.numba import math

    function = getattr(math, name)

    @numba.njit(**math.OPTIONS)
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return loop


LOOPS = {name: compiled_loop(name) for name in EXACT}


@pytest.fixture
def ops():
    return SimpleNamespace(elementwise=lambda name, x, out: LOOPS[name](x, out))


@pytest.mark.parametrize("name", EXACT)
def test_loops_are_vectors_without_calls(ops, name, dtype):
    evaluate(ops, name, np.ones(3, dtype))
    kind = numba.from_dtype(dtype)
    code = LOOPS[name].inspect_llvm((kind[::1], kind[::1]))
    assert f"x {'float' if dtype == np.float32 else 'double'}>" in code
    calls = [line for line in code.splitlines() if " call " in line and f"{name}" in line]
    assert not [line for line in calls if "@llvm." not in line], calls


def test_without_a_compiler():
    """What NUMBA_DISABLE_JIT=1 leaves are NumPy's functions, of scalars of both types."""
    program = """
import math, numpy as np
from fastgrad.backends.numba import math as own
for kind in (np.float32, np.float64):
    for x in map(kind, (-2, -0.5, 0.25, 3)):
        for name in ("exp", "expm1", "tanh", "erf", "sigmoid", "log1p", "log"):
            y = getattr(own, name)(x)
            exact = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "erf": math.erf}.get(name)
            with np.errstate(all="ignore"):
                exact = kind((exact or getattr(np, name))(x))
            assert type(y) is kind, (name, x)
            assert np.isnan(y) and np.isnan(exact) or abs(y - exact) <= 2 * np.spacing(abs(exact))
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=environment)
