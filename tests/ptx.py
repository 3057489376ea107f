"""Kernels of the cuda backend as PTX, which takes the toolkit and no GPU."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from fastgrad.backends.cuda.phase import Call
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.walk import signature, source


@contextmanager
def device_of(capability):
    """Have functions that are called by kernels compiled for that one, not for the GPU there is."""
    from numba.cuda import api, dispatcher

    before = api.get_current_device, dispatcher.get_current_device
    fake = SimpleNamespace(compute_capability=capability)
    api.get_current_device = dispatcher.get_current_device = lambda: fake
    try:
        yield
    finally:
        api.get_current_device, dispatcher.get_current_device = before


def compiled(functions, real, capability, name="whole"):
    """The PTX of a walker for these functions of phases."""
    function = source(tuple((one, False) for one in functions), np.dtype(real))[name]
    text = signature(np.dtype(real), 1 if name == "whole" else 2)
    with device_of(capability):
        ptx, _ = cuda.compile(
            function, text, cc=capability, device=False, abi="numba", output="ptx"
        )
    return ptx


def of_call(call: Call, real, capability, name="whole"):
    """The PTX of one recorded call."""
    return compiled(dict.fromkeys(p.function for p in call.phases), real, capability, name)
