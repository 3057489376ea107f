"""Results as text: a fixed-width table, a Markdown table, JSON."""

import math
from statistics import geometric_mean, median, quantiles
from typing import Any

from .measure import Entrant, Result
from .sequences import MEAN_GOALS, PASSES
from .worker import MODULES
from .workloads import ROWS


def time(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * scale:
            return f"{seconds / scale:#.3g} {unit}".replace(". ", " ")
    return f"{seconds:.2f} s"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def _quartiles(values: list[float]) -> list[float]:
    """Lower and upper quartile; the extremes of very few values."""
    if len(values) < 4:
        return [min(values), max(values)] if values else []
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return [lower, upper]


def _cell(side: Entrant | None, kind: str, best: bool) -> str:
    if side is None:
        return "-"
    mode = f" {side.mode}" if len(side.worker.modes[kind]) > 1 else ""
    return f"{time(median(side.times))}{mode}{' <' if best else ''}"


def _goal(result: Result) -> str:
    if math.isnan(result.goal):
        return "-"
    mark = "" if math.isnan(result.ratio) else " met" if result.ratio >= result.goal else " short"
    return f"{result.goal:.2f}{mark}"


def cells(results: list[Result]) -> list[list[str]]:
    """Make the table as strings, its heading first.

    Parameters
    ----------
    results : list of Result

    Returns
    -------
    list of list of str
    """
    present = [peer for peer in MODULES if any(peer in result.sides for result in results)]
    heading = ["row", "network", "batch", "threads", *present]
    lines = [[*heading, "best/fastgrad", "quartiles", "goal", "GFLOP/s", "of peak"]]
    for result in results:
        row = ROWS[result.row]
        times = [_cell(result.sides.get(peer), row.kind, peer == result.best) for peer in present]
        spread = "..".join(f"{value:.2f}" for value in _quartiles(result.ratios)) or "-"
        what = [str(result.row), row.name, str(row.batch), str(result.threads)]
        won = [_number(result.ratio, ".2f"), spread, _goal(result)]
        speed = [_number(result.gflops, ".0f"), _number(result.share, ".0%")]
        lines.append([*what, *times, *won, *speed])
    return lines


def means(results: list[Result]) -> list[dict[str, Any]]:
    """Take the geometric mean of the recurrent rows' ratios, for each number of threads.

    Parameters
    ----------
    results : list of Result

    Returns
    -------
    list of dict
        JSON objects; the goal is null where there is none for so many threads, or rows are missing.
    """
    found = []
    for threads in sorted({result.threads for result in results}):
        ratios = [
            result.ratio
            for result in results
            if result.threads == threads and ROWS[result.row] in PASSES and result.ratios
        ]
        if ratios:
            goal = MEAN_GOALS.get(threads) if len(ratios) == len(PASSES) else None
            mean = geometric_mean(ratios)
            found.append({"threads": threads, "rows": len(ratios), "mean": mean, "goal": goal})
    return found


def mean_line(of: dict[str, Any]) -> str:
    """Say what `means` has found for one number of threads."""
    said = f"{of['mean']:.2f}, the geometric mean of {of['rows']} recurrent rows"
    verdict = ""
    if of["goal"]:
        verdict = f": goal {of['goal']:.2f} {'met' if of['mean'] >= of['goal'] else 'short'}"
    return f"threads {of['threads']}: {said}{verdict}"


def fixed(lines: list[list[str]]) -> str:
    """Lay the cells out in columns for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(lines: list[list[str]]) -> str:
    """Lay the cells out as a Markdown table."""
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def plain(result: Result) -> dict[str, Any]:
    """Turn a result into a JSON object; unknown numbers are null.

    Parameters
    ----------
    result : Result

    Returns
    -------
    dict
    """
    row = ROWS[result.row]
    sides = {
        peer: {
            "mode": side.mode,
            "median_seconds": median(side.times),
            "seconds": side.times,
            "cores_used": median(side.cores),
            "loss" if row.kind == "step" else "gradient_error": side.found,
        }
        for peer, side in result.sides.items()
    }
    return {
        "row": result.row,
        "network": row.name,
        "batch": row.batch,
        "threads": result.threads,
        "flops": row.flops,
        "sides": sides,
        "best_peer": result.best or None,
        "ratio": _finite(result.ratio),
        "ratio_quartiles": _quartiles(result.ratios),
        "goal": _finite(result.goal),
        "fastgrad_gflops": _finite(result.gflops),
        "peak_gflops_per_core": _finite(result.peak),
        "share_of_peak": _finite(result.share),
        "notes": result.notes,
    }
