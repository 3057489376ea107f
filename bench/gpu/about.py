"""What a run is made on: the host, the GPU, its driver and the libraries."""

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from ..machine import machine

LISTING = Path("/proc/driver/nvidia/version")
PACKAGES = ("numpy", "numba", "numba-cuda", "cuda-core", "cuda-bindings", "nvmath-python")


def driver_release(listing: str) -> str:
    """The release of the driver, as its own listing names it; "unknown" where that is none."""
    found = re.search(r"Kernel Module\D*?(?:for \S+\s+)?(\d+(?:\.\d+)+)", listing)
    return found.group(1) if found else "unknown"


def gpu() -> dict[str, str]:
    """Name, compute capability and memory of the GPU, and its driver."""
    from cuda.bindings import driver

    from fastgrad.backends.cuda.target import cuda

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    _, number = driver.cuDriverGetVersion()
    _, total = cuda.current_context().get_memory_info()
    return {
        "GPU": name,
        "capability": ".".join(map(str, device.compute_capability)),
        "memory": f"{total / 2**30:.0f} GiB",
        "driver": driver_release(LISTING.read_text() if LISTING.exists() else ""),
        "CUDA of the driver": f"{number // 1000}.{number % 1000 // 10}",
    }


def versions(torch: Any = None) -> dict[str, str]:
    """Those of the libraries that are installed; `torch` is the module, if it is there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    if torch is not None:
        cudnn = torch.backends.cudnn.version()
        found |= {"torch": torch.__version__, "its CUDA": str(torch.version.cuda)}
        found["its cuDNN"] = str(cudnn)
    return found


def about(torch: Any, on_gpu: bool) -> dict[str, dict[str, str]]:
    """All of it, in lines by name."""
    found = {"host": machine()}
    if on_gpu:
        found["GPU"] = gpu()
    return {**found, "libraries": versions(torch)}
