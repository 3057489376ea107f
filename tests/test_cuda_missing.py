"""What is said where the cuda backend cannot run: one error, that names what to get."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from harness import SIMULATED

import fastgrad as fg

INSTALLED = importlib.util.find_spec("numba_cuda") is not None
USE = "import fastgrad as fg; fg.use_backend('cuda')"


def said(code, **environment):
    """The last line of what a process says that fails."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.skipif(INSTALLED, reason="numba-cuda is installed")
def test_not_installed():
    with pytest.raises(
        RuntimeError, match=r"needs numba-cuda, .* pip install \"fastgrad\[cuda\]\""
    ):
        fg.use_backend("cuda")
    assert fg.info()["gpu"] == 'not looked for: pip install "fastgrad[cuda]"'


@pytest.mark.skipif(not INSTALLED, reason="numba-cuda is not installed")
def test_the_older_target_in_its_place():
    """Numba's own, deprecated target is loaded where numba-cuda's redirection was too late."""
    late = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'Cuda' not in repr(f)]"
    code = f"{late}\nimport numba.cuda\n{USE}"
    assert "older target" in said(code, NUMBA_ENABLE_CUDASIM="0")


@pytest.mark.skipif(not INSTALLED or SIMULATED, reason="for a machine with numba-cuda and no GPU")
def test_no_driver_or_device():
    if importlib.util.find_spec("cuda") and "none" not in fg.info()["gpu"]:
        pytest.skip("there is a GPU")
    line = said(USE, CUDA_VISIBLE_DEVICES="")
    assert line.startswith("RuntimeError: the cuda backend cannot use a GPU: ")
    assert "driver" in line


@pytest.mark.skipif(not SIMULATED, reason="for the simulator")
def test_rounding_needs_cublas(monkeypatch):
    from fastgrad import backends
    from fastgrad.backends.cuda import library

    monkeypatch.setattr(library, "installed", lambda: False)
    backends.load.cache_clear()
    with pytest.raises(RuntimeError, match=r"cuda:tf32 needs cuBLAS.*pip install"):
        backends.load("cuda:tf32")
    backends.load.cache_clear()


@pytest.mark.skipif(not INSTALLED, reason="numba-cuda is not installed")
def test_versions():
    from fastgrad.backends.cuda.target import require_versions

    require_versions(13, 13)
    require_versions(13, 12)
    with pytest.raises(RuntimeError, match="toolkit is version 11, which is too old: pip install"):
        require_versions(13, 11)
    with pytest.raises(
        RuntimeError, match=r"driver is for CUDA 12, .* CUDA 13: get a newer driver"
    ):
        require_versions(12, 13)


@pytest.mark.skipif(not INSTALLED, reason="numba-cuda is not installed")
@pytest.mark.parametrize(
    ("error", "named"),
    [
        ("CUDA driver library cannot be found.", "no driver is seen; install NVIDIA"),
        ("[100] CUDA_ERROR_NO_DEVICE", "CUDA_VISIBLE_DEVICES"),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "older than the toolkit"),
        ("libnvvm.so not found", r"CUDA 13 toolkit is missing"),
        ("something else", "something else"),
    ],
)
def test_reasons(error, named):
    from fastgrad.backends.cuda import target

    assert named in target._reason(Exception(error))
