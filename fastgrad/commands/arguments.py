"""Converters for command-line arguments, which refuse what a command could not use."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from pathlib import Path

__all__ = ["count", "figure_path", "fraction", "output_path", "positive", "seed", "widths"]

FIGURES = (".png", ".pdf", ".svg")


def count(text: str) -> int:
    """Convert to an integer of at least 1."""
    return _integer(text, 1)


def seed(text: str) -> int:
    """Convert to an integer of at least 0."""
    return _integer(text, 0)


def positive(text: str) -> float:
    """Convert to a finite number greater than 0."""
    number = _number(text)
    if not 0 < number < math.inf:
        raise ArgumentTypeError(f"expected a number greater than 0, got {text!r}")
    return number


def fraction(text: str) -> float:
    """Convert to a number between 0 and 1, both excluded."""
    number = _number(text)
    if not 0 < number < 1:
        raise ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
    return number


def widths(text: str) -> list[int]:
    """Convert integers separated by commas to a list; an empty text is an empty list."""
    return [count(part) for part in text.split(",")] if text.strip() else []


def output_path(text: str) -> Path:
    """Convert to a path that a file can be written at, known before any work is done."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder; a file is to be written")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"there is no folder {str(path.parent)!r} to write {text!r} in")
    return path


def figure_path(text: str) -> Path:
    """Convert to a path that a figure can be written at."""
    path = output_path(text)
    if path.suffix.lower() not in FIGURES:
        raise ArgumentTypeError(f"{text!r} must end in one of {', '.join(FIGURES)}")
    return path


def _integer(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ArgumentTypeError(f"expected an integer of at least {least}, got {text!r}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # which is in no range
