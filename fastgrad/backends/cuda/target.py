"""The CUDA target of Numba, which nobody else imports, and what is said where something is missing.

Only what numba-cuda shares with its successor numba-cuda-mlir is used of it inside kernels: see
docs/adr/0017. The simulator, which numba-cuda alone has, is chosen by NUMBA_ENABLE_CUDASIM=1 before
the first import, and runs kernels as Python functions, a thread of Python for each of CUDA's.
"""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np

__all__ = ["SIMULATED", "cuda", "describe", "require_device"]

HOW = 'pip install "fastgrad[cuda]"'
LEAST = 7, 5  # compute capability that CUDA 13 compiles for
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

if importlib.util.find_spec("numba") is None or importlib.util.find_spec("numba_cuda") is None:
    raise RuntimeError(f"the cuda backend needs numba-cuda, which is not installed: {HOW}")
if any(importlib.util.find_spec(name) is None for name in ("cuda", "cuda.bindings")):
    raise RuntimeError(f"the cuda backend needs NVIDIA's bindings of the CUDA driver: {HOW}")

import _numba_cuda_redirector  # noqa: E402, F401  (else numba.cuda is Numba's own, older target)

_missing = not hasattr(np, "row_stack")
if _missing:  # numba-cuda 0.30 names this alias of vstack, which NumPy 2.5 has no longer
    np.vstack = np.vstack
try:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # numba-cuda 0.30 has one of NumPy 2.5's
        from numba import cuda
finally:
    if _missing:
        del np.vstack

if getattr(cuda, "implementation", "") != "NVIDIA":
    raise RuntimeError(
        "the cuda backend needs numba-cuda, but numba.cuda is the older target that comes with "
        f"Numba: import fastgrad before numba, or install anew: {HOW}"
    )


def require_device() -> None:
    """See that there is a GPU, and a driver and a compiler that are recent enough.

    Raises
    ------
    RuntimeError
        Naming what is missing, and how to get it.
    """
    if SIMULATED:
        return
    try:
        cuda.current_context()
    except Exception as error:  # numba-cuda has a class of its own for each way in which this fails
        raise RuntimeError(f"the cuda backend cannot use a GPU: {_reason(error)}") from None
    from cuda.bindings import driver, nvrtc

    try:
        _, toolkit, _ = nvrtc.nvrtcVersion()
    except Exception:  # whatever is raised by a library that is not found
        raise RuntimeError(f"the cuda backend needs the compilers of CUDA 13: {HOW}") from None
    require_versions(int(driver.cuDriverGetVersion()[1]) // 1000, int(toolkit))
    found = tuple(cuda.get_current_device().compute_capability[:2])
    if found < LEAST:
        raise RuntimeError(
            "the cuda backend needs a GPU of compute capability {}.{} (Turing, 2018) or more, this "
            "one has {}.{}".format(*LEAST, *found)
        )


def require_versions(driver: int, toolkit: int) -> None:
    """See that the driver runs what the toolkit compiles, given the CUDA version of each."""
    if toolkit < 12:
        raise RuntimeError(f"the CUDA toolkit is version {toolkit}, which is too old: {HOW}")
    if driver < toolkit:
        raise RuntimeError(
            f"the driver is for CUDA {driver}, the toolkit is CUDA {toolkit}: get a newer driver "
            f"from NVIDIA's driver page, or an older toolkit: pip install 'numba-cuda[cu{driver}]'"
        )


def describe() -> str:
    """The GPU in use."""
    if SIMULATED:
        return "none: the simulator of numba-cuda"
    require_device()
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    total = cuda.current_context().get_memory_info()[1]
    major, minor = device.compute_capability[:2]
    return f"{name}, {total / 2**30:.0f} GiB, compute capability {major}.{minor}"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "driver library cannot be found" in text:
        return (
            "no driver is seen; install NVIDIA's (580 or newer, for CUDA 13), or have a container "
            "see the GPU (docker run --gpus all)"
        )
    if "NO_DEVICE" in text or "no CUDA-capable device" in text:
        return "the driver finds no device that is free to be used (is CUDA_VISIBLE_DEVICES set?)"
    if "UNSUPPORTED_PTX_VERSION" in text or "INSUFFICIENT_DRIVER" in text:
        return f"the driver is older than the toolkit; update the driver, or get both: {HOW}"
    if any(name in text for name in ("libnvvm", "nvrtc", "NVVM", "libdevice")):
        return f"the CUDA 13 toolkit is missing or too old ({text}): {HOW}"
    return text
