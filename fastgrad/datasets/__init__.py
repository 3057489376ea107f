"""Small data sets that come with the package, so that examples need no download."""

from __future__ import annotations

import bz2
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits", "load_japanese_vowels", "load_shakespeare", "load_sunspots"]


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
    stored = _arrays("digits.npz")
    return stored["images"].astype(np.float32), stored["labels"].astype(np.int64)


def load_japanese_vowels(
    part: str = "train",
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Load utterances of /ae/ by nine men, to tell which of them speaks.

    The UCI data set "Japanese Vowels" (CC BY 4.0; see ``LICENSES.md`` beside this module):
    12 LPC cepstrum coefficients for each frame of 25.6 ms, one frame every 6.4 ms.

    Parameters
    ----------
    part : "train" or "test"
        270 utterances, 30 by each speaker, or 370, from 24 to 88 by each.

    Returns
    -------
    X : ndarray of float32, shape (N, 29, 12)
        Sequences of 7 to 29 frames, followed by zeros up to the longest.
    y : ndarray of int64, shape (N,)
        The speaker, 0 to 8.
    lengths : ndarray of int64, shape (N,)
        Frames of each sequence.

    Examples
    --------
    >>> X, y, lengths = load_japanese_vowels("test")
    >>> X.shape, int(lengths.min()), int(lengths.max())
    ((370, 29, 12), 7, 29)
    """
    if part not in ("train", "test"):
        raise ValueError(f"part must be 'train' or 'test', got {part!r}")
    stored = _arrays("japanese_vowels.npz")
    # the bytes of millionths, the lowest of all frames first: so they compress best
    digits = np.ascontiguousarray(np.moveaxis(stored[f"{part}_bytes"], 0, -1)).view("<i4")
    lengths = stored[f"{part}_lengths"].astype(np.int64)
    X = np.zeros((len(lengths), 29, 12), np.float32)
    X[np.arange(29) < lengths[:, None]] = digits[..., 0].T / 1e6
    return X, stored[f"{part}_speakers"].astype(np.int64), lengths


def load_sunspots() -> NDArray[np.float32]:
    """Load the monthly mean sunspot numbers of the years 1749 to 2008.

    The international sunspot number as the US National Geophysical Data Center gave it out
    before its revision of 2015 (public domain; see ``LICENSES.md`` beside this module).

    Returns
    -------
    ndarray of float32, shape (3120,)
        Element i is of month ``i % 12 + 1`` in the year ``1749 + i // 12``.

    Examples
    --------
    >>> load_sunspots()[:3].tolist()
    [58.0, 62.599998474121094, 70.0]
    """
    return (_arrays("sunspots.npz")["tenths"] / 10).astype(np.float32)


def load_shakespeare() -> str:
    """Load eight plays of William Shakespeare, about a million characters of ASCII.

    Hamlet, King Lear, Macbeth, Othello, Romeo and Juliet, Julius Caesar, A Midsummer Night's
    Dream and The Tempest, in the spelling of the Globe edition (public domain; see
    ``LICENSES.md`` beside this module).

    Returns
    -------
    str
        The plays in that order, each with its title, persons, acts and scenes.

    Examples
    --------
    >>> text = load_shakespeare()
    >>> text[:26], text.count("To be, or not to be")
    ('HAMLET, PRINCE OF DENMARK\\n', 1)
    """
    stored = (resources.files(__name__) / "shakespeare.txt.bz2").read_bytes()
    return bz2.decompress(stored).decode("ascii")


def _arrays(name: str) -> dict[str, NDArray[Any]]:
    with (
        (resources.files(__name__) / name).open("rb") as file,
        np.load(file, allow_pickle=False) as stored,
    ):
        return dict(stored)
