"""What fastgrad runs on here."""

from __future__ import annotations

import importlib.util
import platform
from typing import Any

import numpy as np

from fastgrad import backends

_EXTRAS = ("matplotlib", "numba", "scipy", "sklearn", "tensorboardX", "threadpoolctl", "torch")


class Info(dict[str, Any]):
    """What `info` found, printed as a table."""

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.items())


def info() -> Info:
    """Version, backend and level (and why), threads, BLAS in use, and which extras are there."""
    from fastgrad.backends import cython

    try:
        level, why = cython.chosen_level()
    except ImportError as missing:
        level, why = "none", str(missing)
    try:
        backend = backends.active().name
        if level == "none" and backend == "numba":
            why = "nothing is compiled ahead: Numba compiles for this processor"
    except ImportError:
        backend = "none"
    return Info(
        version=version(),
        backend=backend,
        level=f"{level} ({why})",
        threads=backends.num_threads(),
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


def _blas() -> str:
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl

        for pool in threadpoolctl.threadpool_info():
            if pool["user_api"] == "blas":
                return f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}"
    config = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"] if config else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
