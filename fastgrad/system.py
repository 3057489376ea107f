"""What fastgrad runs on here."""

from __future__ import annotations

import importlib.util
import platform
from typing import Any

import numpy as np

from fastgrad import backends

_EXTRAS = (
    "matplotlib",
    "numba",
    "numba_cuda",
    "nvmath",
    "scipy",
    "sklearn",
    "tensorboardX",
    "threadpoolctl",
    "torch",
)


class Info(dict[str, Any]):
    """What `info` found, printed as a table."""

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.items())


def info() -> Info:
    """Version, backend and level (and why), threads, GPU, BLAS in use, which extras are there."""
    from fastgrad.backends import cython

    try:
        level, why = cython.chosen_level()
    except ImportError as missing:
        level, why = "none", str(missing)
    try:
        backend = backends.active().name
        if level == "none" and backend != "reference":
            why = "nothing is compiled ahead: Numba compiles for this processor"
            why = why if backend == "numba" else "not needed by this backend"
    except ImportError:
        backend = "none"
    return Info(
        version=version(),
        backend=backend,
        level=f"{level} ({why})",
        threads=backends.num_threads(),
        gpu=_gpu(),
        blas=f"{_blas()} (of NumPy; only the reference backend uses it)",
        numpy=np.__version__,
        python=f"{platform.python_version()} on {platform.machine()} {platform.system()}",
        extras=", ".join(n for n in _EXTRAS if importlib.util.find_spec(n)) or "none",
    )


def version() -> str:
    """The version that is installed."""
    from importlib import metadata

    try:
        return metadata.version("fastgrad")
    except metadata.PackageNotFoundError:
        return "not installed (source tree)"


def _gpu() -> str:
    if importlib.util.find_spec("numba_cuda") is None:
        return 'not looked for: pip install "fastgrad[cuda]"'
    try:
        from fastgrad.backends.cuda import target

        return target.describe()
    except RuntimeError as error:
        return f"none ({error})"


def _blas() -> str:
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        for pool in threadpoolctl.threadpool_info():
            if pool["user_api"] == "blas":
                return f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}"
    config = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"] if config else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
