"""Elementary functions that device code calls: `math`'s, for numba-cuda lacks most of NumPy's.

In the simulator they are NumPy's, which give infinities and NaN where `math` raises an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastgrad.backends.cuda.target import SIMULATED

_SOURCE: Any = np if SIMULATED else math
exp, expm1, log, log1p, tanh, sqrt, floor = (
    getattr(_SOURCE, name) for name in ("exp", "expm1", "log", "log1p", "tanh", "sqrt", "floor")
)
