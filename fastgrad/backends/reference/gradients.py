"""The check for what is not finite."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array


def check_finite(g: Array, status: Array | None) -> None:
    if status is not None and not np.isfinite(g).all():
        status[0] = 1
