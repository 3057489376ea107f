"""Builds every kernel source once per instruction-set level.

FASTGRAD_LEVELS=base,v4 builds only these levels; FASTGRAD_DEBUG=1 builds for a debugger.
FASTGRAD_PURE=1 builds nothing: without a C compiler, fastgrad[numba] compiles when it runs.
"""

import os
import platform
import sys
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = ["linear", "rows"]  # once per level
PLAIN = ["cpu", "record", "replay"]  # once, without any level's flags

DEBUG = os.environ.get("FASTGRAD_DEBUG") == "1"
X86 = platform.machine().lower() in ("x86_64", "amd64")
LEVELS = {"base": ["-march=x86-64-v2"] if X86 else []}
if X86:
    LEVELS["v3"] = ["-march=x86-64-v3"]
    # without the last flag GCC halves the vectors of plain loops
    LEVELS["v4"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
if os.environ.get("FASTGRAD_LEVELS"):
    # from low to high: cythonize hands the flags of a source on to its next extension, and of two
    # architectures the last one counts
    wanted = os.environ["FASTGRAD_LEVELS"].split(",")
    LEVELS = {level: flags for level, flags in LEVELS.items() if level in wanted}

# No -ffast-math: it would drop NaN and, with older compilers, change the process's rounding mode.
# -fno-math-errno and -fno-trapping-math let comparisons and square roots vectorize; copies of
# functions for some of their arguments (the last flag) are 2 % of the wheel, and save no time.
FLAGS = ["-O3", "-g0", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
FLAGS += ["-fno-ipa-cp-clone"]
# nothing unwinds through the kernels: C has no exceptions
FLAGS += ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]
if DEBUG:
    FLAGS = ["-O1", "-g", "-std=gnu11", "-ffp-contract=fast"]
LINUX = sys.platform.startswith("linux")
OPENMP = ["-fopenmp"] if LINUX else []
SMALL = [] if DEBUG else ["-Os"]  # of what records: half its size, for 40 ns of a call's 8000
STRIP = ["-Wl,-s"] if LINUX and not DEBUG else []  # a seventh of the wheel


def extension(name: str, source: str, flags: list[str], openmp: list[str]) -> Extension:
    return Extension(
        f"fastgrad._kernels.{name}",
        [f"src/{source}.pyx"],
        include_dirs=["src", numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=FLAGS + flags + openmp,
        extra_link_args=openmp + STRIP,
        depends=[str(f) for f in Path("src").rglob("*.*") if f.suffix in (".h", ".pxd", ".pxi")],
    )


def compiled(extensions: list[Extension], folder: str) -> list[Extension]:
    """Each level has a folder of its own for its C files, and so its own module names."""
    return cythonize(
        extensions,
        build_dir=f"build/cython/{folder}",
        include_path=["src"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            # plain functions of C, whose signatures inspect can read
            "binding": False,
            "embedsignature": True,
            "embedsignature.format": "clinic",
        },
    )


def modules() -> list[Extension]:
    found = compiled(
        [extension(name, name, SMALL if name == "record" else [], OPENMP) for name in PLAIN],
        "plain",
    )
    for level, flags in LEVELS.items():
        found += compiled([extension(f"{k}_{level}", k, flags, []) for k in KERNELS], level)
    return found


PURE = os.environ.get("FASTGRAD_PURE") == "1"
setup(ext_modules=[] if PURE else modules(), options={"build_ext": {"parallel": os.cpu_count()}})
