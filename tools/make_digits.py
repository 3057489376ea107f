"""Write ``fastgrad/datasets/digits.npz`` from scikit-learn's copy of the UCI digits.

Run ``python tools/make_digits.py`` from anywhere, with scikit-learn installed. The file
is committed, so only a change of its format calls for this script; it writes the same
bytes each time for the same NumPy and zlib.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

DESTINATION = Path(__file__).resolve().parents[1] / "fastgrad" / "datasets" / "digits.npz"


def main() -> None:
    """Check that the data are the whole numbers that uint8 can hold, and store them."""
    digits = load_digits()
    images = digits.data.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    if not (np.array_equal(images, digits.data) and np.array_equal(labels, digits.target)):
        raise ValueError("scikit-learn's digits are no longer whole numbers from 0 to 255")
    np.savez_compressed(DESTINATION, images=images, labels=labels)
    print(f"wrote {DESTINATION}: {images.shape} images, {DESTINATION.stat().st_size} bytes")


if __name__ == "__main__":
    main()
