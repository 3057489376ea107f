"""The bundled data sets: what is published about each."""

from __future__ import annotations

import doctest
from importlib import resources

import numpy as np
import pytest

from fastgrad import datasets
from fastgrad.datasets import (
    load_digits,
    load_japanese_vowels,
    load_shakespeare,
    load_sunspots,
)


def test_examples_are_right():
    assert doctest.testmod(datasets).failed == 0


def test_together_they_are_small_and_their_licences_are_there():
    files = [file for file in resources.files(datasets).iterdir() if ".py" not in file.name]
    names = {file.name for file in files if not file.is_dir()} - {"LICENSES.md"}
    assert sum(len((resources.files(datasets) / name).read_bytes()) for name in names) < 1e6
    licences = (resources.files(datasets) / "LICENSES.md").read_text()
    assert [f"## `{name}`" in licences for name in names] == [True] * 4


def test_digits():
    X, y = load_digits()
    assert (X.shape, X.dtype, y.dtype) == ((1797, 64), np.float32, np.int64)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert y[:10].tolist() == [*range(10)]


FIRST_FRAME = [1.860936, -0.207383, 0.261557, -0.214562, -0.171253, -0.118167]
FIRST_FRAME += [-0.277557, 0.025668, 0.126701, -0.306756, -0.213076, 0.088728]


@pytest.mark.parametrize(
    ("part", "counts", "frames"),
    [("train", [30] * 9, 4274), ("test", [31, 35, 88, 44, 29, 24, 40, 50, 29], 5687)],
)
def test_japanese_vowels(part, counts, frames):
    X, y, lengths = load_japanese_vowels(part)
    assert (X.shape, X.dtype) == ((sum(counts), 29, 12), np.float32)
    assert np.bincount(y).tolist() == counts
    assert (np.diff(y) >= 0).all()
    assert (lengths.sum(), lengths.shape) == (frames, y.shape)
    padded = np.arange(29) >= lengths[:, None]
    assert not X[padded].any()
    assert X[~padded].all(axis=1).mean() > 0.999
    if part == "train":
        assert X[0, 0].tolist() == np.float32(FIRST_FRAME).tolist()


def test_japanese_vowels_have_two_parts():
    with pytest.raises(ValueError, match="part must be 'train' or 'test', got 'all'"):
        load_japanese_vowels("all")


def test_sunspots():
    numbers = load_sunspots()
    assert (numbers.shape, numbers.dtype) == ((3120,), np.float32)
    assert (
        numbers[:12].tolist()
        == np.float32(
            [58.0, 62.6, 70.0, 55.7, 85.0, 83.5, 94.8, 66.3, 75.9, 75.5, 158.6, 85.2]
        ).tolist()
    )
    assert divmod(int(numbers.argmax()), 12) == (1957 - 1749, 9)  # October 1957
    assert numbers.max() == np.float32(253.8)
    assert numbers.min() == 0


def test_shakespeare():
    text = load_shakespeare()
    assert len(text) == 1036503
    assert text.isascii()
    titles = ["HAMLET", "KING LEAR", "MACBETH", "OTHELLO", "ROMEO", "CAESAR", "NIGHT'S", "TEMPEST"]
    assert sorted(titles, key=text.index) == titles
    assert "That I will speak to thee: I'll call thee Hamlet" in text
    assert "We are such stuff" in text.replace("\n", " ")
