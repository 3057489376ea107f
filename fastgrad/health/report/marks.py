"""Numbers as short text: bars, sparklines and cells of a table."""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array

BLOCKS = "▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"
ASCII_LEVELS = ".:-=+*#@"


def can_show(encoding: str | None) -> bool:
    """Whether text in this encoding can have the blocks of bars and sparklines."""
    try:
        (BLOCKS + LEVELS + "…").encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def number(value: float) -> str:
    """At most 8 characters: three digits, "0", "nan" or "inf"."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def percent(fraction: float) -> str:
    """Of 1; "-" for NaN, and 0% or 100% only where it is so."""
    if not math.isfinite(fraction):
        return "-"
    if 0 < fraction < 0.01:
        return "<1%"
    return f"{min(round(100 * fraction), 99 if fraction < 1 else 100)}%"


def decades(values: Array) -> Array:
    """log10; NaN for what is not positive and finite."""
    good = np.isfinite(values) & (values > 0)
    return np.log10(values, out=np.full(np.shape(values), np.nan), where=good)


def decade(value: float) -> str:
    """log10 of a norm; "none" for 0."""
    return f"{math.log10(value):.2f}" if value > 0 else "none"


def span(values: Array) -> tuple[float, float]:
    """Whole decades that hold all positive, finite values, at least one of them."""
    logs = decades(np.asarray(values, np.float64))
    logs = logs[np.isfinite(logs)]
    if not logs.size:
        return 0.0, 1.0
    low, high = math.floor(logs.min()), math.ceil(logs.max())
    return float(low), float(max(high, low + 1))


def bar(value: float, low: float, high: float, width: int, ascii_only: bool = False) -> str:
    """A positive value as a bar that is as long as its decades above `low`, of those to `high`.

    What has no decades has no bar: 0 is blank, and what is not finite is a row of "!".
    """
    if not math.isfinite(value):
        return "!" * width
    if value <= 0:
        return " " * width
    share = min(max((math.log10(value) - low) / (high - low), 0.0), 1.0)
    if ascii_only:
        return ("#" * max(round(share * width), 1)).ljust(width)
    # at least an eighth, or it would look like 0
    whole, rest = divmod(max(round(8 * share * width), 1), 8)
    return (BLOCKS[-1] * whole + (BLOCKS[rest - 1] if rest else "")).ljust(width)


def sparkline(values: Array, width: int, ascii_only: bool = False, least_span: float = 1.0) -> str:
    """Values over time, each column the largest of some, scaled by their own decades.

    The lowest mark stands for the least value and the highest for the largest one, which are at
    least `least_span` decades apart; "0" stands for 0 and "!" for what is not finite.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return ""
    cuts = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    columns = np.maximum.reduceat(values, cuts[:-1])
    logs = decades(columns)
    known = logs[np.isfinite(logs)]
    low = known.min() if known.size else 0.0
    scale = max(known.max() - low, least_span) if known.size else least_span
    levels = ASCII_LEVELS if ascii_only else LEVELS
    marks = []
    for value, log in zip(columns, logs, strict=True):
        if not np.isfinite(value):
            marks.append("!")
        elif value <= 0:
            marks.append("0")
        else:
            marks.append(levels[min(int((log - low) / scale * len(levels)), len(levels) - 1)])
    return "".join(marks)


def shortened(text: str, width: int, ascii_only: bool = False) -> str:
    """Text without its middle where it is too long."""
    if len(text) <= width:
        return text
    gap = "~" if ascii_only else "…"
    left = (width - 1) // 2
    return text[:left] + gap + text[len(text) - (width - 1 - left) :]
