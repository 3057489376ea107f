"""The machine a bench runs on, and the BLAS that NumPy takes on it."""

import os
import platform
from pathlib import Path

# Where these are set they make OpenBLAS pick kernels for another processor.
OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def clear_overrides() -> list[str]:
    """Take the overrides out of this process and name them; before NumPy is imported."""
    return [name for name in OVERRIDES if os.environ.pop(name, None) is not None]


def machine() -> dict[str, str]:
    """Say what this run is made on."""
    cpu = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        models = [line for line in listing.read_text().splitlines() if "model name" in line]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    said = {"cpu": cpu, "cores": str(cores), "python": platform.python_version()}
    if hasattr(os, "getloadavg"):
        said["load"] = f"{os.getloadavg()[0]:.2f}"
    return said


def libraries() -> str:
    """Names of the loaded BLAS and OpenMP libraries, as threadpoolctl sees them."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "threadpoolctl is not installed"
    said = []
    for library in threadpool_info():
        words = (library["prefix"], library["version"], library.get("architecture"))
        said.append(" ".join(map(str, filter(None, words))) + f" x{library['num_threads']}")
    return "; ".join(said) or "none"


def told(name: str, said: dict[str, str]) -> str:
    """Put what was said on one line."""
    return f"{name}: " + ", ".join(f"{key} {value}" for key, value in said.items())
