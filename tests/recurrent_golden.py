"""The cases of golden/recurrent.npz, whose arrays golden/make_recurrent.py names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "golden" / "recurrent.npz"


def load() -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Options and arrays of each case, by its name."""
    with np.load(FILE) as stored:
        index, values = stored["cases"], stored["values"]
    found, start = {}, 0
    for options in map(json.loads, index):
        arrays = {}
        for name, shape in options.pop("arrays").items():
            end = start + math.prod(shape)
            arrays[name] = values[start:end].reshape(shape)
            start = end
        found[options.pop("name")] = options, arrays
    assert start == values.size
    return found
