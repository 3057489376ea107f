"""Fixtures of the kernel tests: every backend, both dtypes, random numbers."""

from __future__ import annotations

import os
import sys
import zlib
from functools import partial

import numpy as np
import pytest
from harness import SIMULATED, call

from fastgrad import backends

if SIMULATED:
    sys.setswitchinterval(
        1e-5
    )  # threads of Python that wait for each other, one for each of CUDA's


def on_device() -> list[str]:
    """The cuda backend, where there is a GPU or its simulator."""
    try:
        backends.load("cuda")
    except RuntimeError:
        return []
    return ["cuda"]


DEVICE = on_device()


@pytest.fixture
def threads():
    """`backends.set_num_threads`, undone after the test."""
    before = backends.num_threads()
    yield backends.set_num_threads
    backends.set_num_threads(before)


@pytest.fixture(params=["reference", "cython:base", "cython:v3", "cython:v4", "numba", *DEVICE])
def ops(request, threads):
    """Each backend; one that cannot run here is skipped, unless FASTGRAD_REQUIRE names it.

    On one thread: idle ones would spin against those of NumPy, and change no result.
    """
    threads(1)
    try:
        return backends.load(request.param)
    except ImportError as error:
        if request.param in os.environ.get("FASTGRAD_REQUIRE", "").split(","):
            raise
        pytest.skip(str(error))


@pytest.fixture
def run(ops):
    """Runs a kernel of each backend by name: `harness.call`."""
    return partial(call, ops)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng(request):
    """Random numbers of the test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="module")
def one_thread():
    """For what has too little work to share: on busy cores threads wait for each other."""
    before = backends.num_threads()
    backends.set_num_threads(1)
    yield
    backends.set_num_threads(before)


def use(name):
    """The backend of that name, until the test is over."""
    before = backends.active().name
    backends.use_backend(name)
    yield name
    backends.use_backend(before)


@pytest.fixture
def level(ops):
    """The name of the backend that this test runs on: each that can run here, on one thread."""
    yield from use(ops.name)


@pytest.fixture(params=["reference", "cython", "numba", *DEVICE])
def backend(request):
    """The name of the backend that this test runs on."""
    yield from use(request.param)


@pytest.fixture(params=["reference", "cython", "numba", *DEVICE])
def recurrent(request, threads):
    """The name of a backend that has the kernels of recurrent layers, on one thread."""
    threads(1)
    yield from use(request.param)


ENGINES = [("reference", 1), ("cython", 1), ("cython", 2), ("numba", 2)]
ENGINES += [(name, 1) for name in DEVICE]


@pytest.fixture(params=ENGINES, ids="{0[0]} {0[1]}".format)
def engine(request, threads):
    """A backend, and how many threads it may use."""
    threads(request.param[1])
    yield from use(request.param[0])
