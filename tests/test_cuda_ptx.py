"""Every kernel of the cuda backend as machine code for two generations of GPUs; no GPU is needed.

Whether float32 kernels stay float32, and registers suffice, is seen there and not in the simulator.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from harness import SIMULATED, example
from own_functions import ACTIVATIONS

import fastgrad as fg
from fastgrad.backends import contract

try:
    import ptx

    from fastgrad.backends.cuda.kernels import KERNELS

    REASON = "the simulator compiles nothing" if SIMULATED else ""
except RuntimeError as error:
    REASON = str(error)
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


def named(activation):
    return f"own {activation.__name__}" if callable(activation) else activation


TARGETS = {"sm_80": ((8, 0), np.float32), "sm_90": ((9, 0), np.float64)}
SINGLE = (  # what has nothing to sum in float64
    "product_nn", "product_nt", "product_tn", "dense_forward", "dense_backward", "add",
    "activation_forward", "activation_backward", "gather_rows", "lstm_forward", "gru_forward",
    "gate_inputs_forward", "gate_inputs_backward", "embedding_forward", "put_columns",
)  # fmt: skip
WIDE = re.compile(r"^\s*(?:add|sub|mul|div|fma|sqrt)\.\S*f64 ", re.MULTILINE)


def code(kernel, target, **sizes):
    capability, real = TARGETS[target]
    values = example(kernel, np.dtype(real), np.random.default_rng(0), **sizes)
    return ptx.of_call(KERNELS[kernel](*values.values()), real, capability, "one")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", contract.CONTRACT)
def test_compiles(kernel, target):
    found = code(kernel, target)
    assert f".target {target}" in found
    if kernel in SINGLE and TARGETS[target][1] is np.float32:
        assert not WIDE.search(found)


@pytest.mark.parametrize("activation", [*contract.ACTIVATIONS, *ACTIVATIONS], ids=named)
def test_activations_compile(activation):
    """Inside a product, the package's own and those that users write."""
    own = fg.activation(activation) if callable(activation) else activation
    assert ".target sm_80" in code("dense_forward", "sm_80", activation=own)


def test_cubins_are_kept(tmp_path, monkeypatch):
    """Linked once, and found again; what cannot be read is made anew."""
    from fastgrad.backends.cuda import cubins, dense, residual

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    through = dense._through("tanh"), dense._through("relu")
    real, capability = np.dtype("float32"), (9, 0)

    def made(*functions):
        phases = tuple((function, False) for function in functions)
        with ptx.device_of(capability):
            return cubins.cubin(phases, real, capability).code

    first = [made(residual._add, function) for function in through]
    assert first[0] != first[1]  # of the same text, closed over different functions
    kept = sorted((tmp_path / "cuda").iterdir())
    assert len(kept) == 2
    monkeypatch.setattr(cubins, "_made", None)
    assert [made(residual._add, function) for function in through] == first
    monkeypatch.undo()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for path in kept:
        path.write_bytes(path.read_bytes()[:1000])
    for code, before in zip([made(residual._add, one) for one in through], first, strict=True):
        assert abs(len(code) - len(before)) < 1000  # names in it are numbered
    assert all(path.stat().st_size > 1000 for path in kept)


def test_nowhere_to_keep_cubins(monkeypatch):
    from fastgrad.backends.cuda import cubins, residual

    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    with ptx.device_of((9, 0)):
        assert cubins.cubin(((residual._add, False),), np.dtype("float32"), (9, 0)).code
