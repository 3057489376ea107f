"""Small data sets that come with the package, so that examples need no download."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits"]


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load 1797 handwritten digits, each an 8 by 8 image of grey levels from 0 to 16.

    The images are the test part of the UCI data set "Optical Recognition of
    Handwritten Digits" (CC BY 4.0; see ``LICENSES.md`` beside this module).

    Returns
    -------
    X : ndarray of float32, shape (1797, 64)
        One image per row, its pixels in row-major order, as stored: 0 to 16.
    y : ndarray of int64, shape (1797,)
        The digit that each image shows, 0 to 9.

    Examples
    --------
    >>> X, y = load_digits()
    >>> X.shape, float(X.max()), int(y[0])
    ((1797, 64), 16.0, 0)
    """
    with (
        (resources.files(__name__) / "digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        return stored["images"].astype(np.float32), stored["labels"].astype(np.int64)
