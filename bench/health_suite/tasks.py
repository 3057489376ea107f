"""Real data sets, made ready as tasks for dense and for recurrent networks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgrad import datasets

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """Rows to train on and rows to be judged by.

    Attributes
    ----------
    X, y, X_test, y_test : ndarray
    loss : str
    lengths, lengths_test : ndarray, optional
    """

    X: Array
    y: Array
    X_test: Array
    y_test: Array
    loss: str = "cross_entropy"
    lengths: Array | None = None
    lengths_test: Array | None = None


@functools.cache
def digits() -> Task:
    """64 grey levels in [0, 1]: which digit."""
    X, y = datasets.load_digits()
    return Task(X[:1300] / 16, y[:1300], X[1300:] / 16, y[1300:])


@functools.cache
def digits_even() -> Task:
    """Whether the digit is even, as a number in [0, 1]."""
    task = digits()
    even = [(y % 2 == 0).astype(np.float32)[:, None] for y in (task.y, task.y_test)]
    return replace(task, y=even[0], y_test=even[1], loss="binary_cross_entropy")


@functools.cache
def digits_one_hot() -> Task:
    """The digit as ten real numbers, 0 but for a 1."""
    task = digits()
    y, y_test = (np.eye(10, dtype=np.float32)[y] for y in (task.y, task.y_test))
    return replace(task, y=y, y_test=y_test, loss="mse")


@functools.cache
def digits_in_rows() -> Task:
    """Eight rows of eight pixels, one after the other."""
    task = digits()
    X, X_test = (2 * rows.reshape(-1, 8, 8) - 1 for rows in (task.X, task.X_test))
    return replace(task, X=X, X_test=X_test)


@functools.cache
def vowels() -> Task:
    """Up to 29 frames of 12 coefficients: which of nine men speaks."""
    X, y, lengths = datasets.load_japanese_vowels()
    X_test, y_test, lengths_test = datasets.load_japanese_vowels("test")
    counted = X[np.arange(29) < lengths[:, None]]
    mean, std = counted.mean(0), counted.std(0)
    return Task(
        _standard(X, lengths, mean, std),
        y,
        _standard(X_test, lengths_test, mean, std),
        y_test,
        lengths=lengths,
        lengths_test=lengths_test,
    )


def _standard(X: Array, lengths: Array, mean: Array, std: Array) -> Array:
    within = (np.arange(X.shape[1]) < lengths[:, None])[..., None]
    return np.where(within, (X - mean) / std, 0).astype(np.float32)


@functools.cache
def vowels_means() -> Task:
    """Means and deviations of the coefficients over the frames: 24 numbers."""
    task = vowels()
    X = [
        np.concatenate([rows.mean(1), rows.std(1)], 1)
        for rows in (task.X, task.X_test)
    ]  # fmt: skip
    mean, std = X[0].mean(0), X[0].std(0)
    rows = [((x - mean) / std).astype(np.float32) for x in X]
    return Task(rows[0], task.y, rows[1], task.y_test)


@functools.cache
def vowels_remembered() -> Task:
    """Seven frames, and the question who spoke them 60 silent frames later."""
    task = vowels()
    X, X_test = (
        np.concatenate([rows[:, :7], np.zeros((len(rows), 60, 12), np.float32)], 1)
        for rows in (task.X, task.X_test)
    )
    return Task(X, task.y, X_test, task.y_test)


@functools.cache
def _letters() -> tuple[Array, int]:
    text = datasets.load_shakespeare()[20000:80000]
    known = sorted(set(text))
    index = {letter: i for i, letter in enumerate(known)}
    return np.array([index[letter] for letter in text], np.int64), len(known)


def letters() -> int:
    """How many letters there are."""
    return _letters()[1]


@functools.cache
def shakespeare() -> Task:
    """The next letter after each of 32."""
    text, _ = _letters()
    rows = text[: len(text) // 33 * 33].reshape(-1, 33)
    X, y = rows[:, :-1].copy(), rows[:, 1:].copy()
    return Task(X[:1500], y[:1500], X[1500:], y[1500:])


@functools.cache
def shakespeare_next() -> Task:
    """The next letter after eight."""
    text, _ = _letters()
    windows = np.lib.stride_tricks.sliding_window_view(text, 9)[::9]
    X, y = windows[:, :-1].copy(), windows[:, -1].copy()
    return Task(X[:5000], y[:5000], X[5000:], y[5000:])


@functools.cache
def sunspots() -> Task:
    """The next month after 24, by deviations from the mean."""
    series = datasets.load_sunspots()
    series = ((series - series.mean()) / series.std()).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series, 25)
    X, y = windows[:, :-1].copy(), windows[:, -1:].copy()
    return Task(X[:2200], y[:2200], X[2200:], y[2200:], loss="mse")


@functools.cache
def sunspots_in_steps() -> Task:
    """The same, month by month."""
    task = sunspots()
    return replace(task, X=task.X[..., None], X_test=task.X_test[..., None])


TASKS: dict[str, Callable[[], Task]] = {
    task.__name__: task
    for task in (
        digits, digits_even, digits_one_hot, digits_in_rows, vowels, vowels_means,
        vowels_remembered, shakespeare, shakespeare_next, sunspots, sunspots_in_steps,
    )
}  # fmt: skip
