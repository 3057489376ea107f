"""Results as a Markdown table, as lines, and as JSON."""

import math
from typing import Any

from ..peers.rows import Row
from ..peers.table import time
from .measure import PRECISIONS, Entrant, Result

HEADING = [
    "row", "network", "batch", "fastgrad", "PyTorch", "ratio", "goal", "fastgrad, TF32",
    "PyTorch, TF32", "ratio", "steps alone", "one call", "PyTorch's",
]  # fmt: skip
LEGEND = (
    "Device time of a pass or step among many, float32 and TF32, medians of rounds. PyTorch is in\n"
    "its fastest mode; the ratio, PyTorch / fastgrad, is the median of rounds. Steps alone are\n"
    "those of an epoch without what the host does before them. One call is the wall-clock time of\n"
    "a single `Trainer.step` or pass in float32, and of PyTorch's until it is done; fastgrad\n"
    "takes a step's minibatch from the host, PyTorch's is on the GPU."
)


def name_of(result: Result) -> str:
    """The network of the row."""
    of = result.row.of
    return f"{of.name}, Adam" if isinstance(of, Row) else of.name


def verdict(result: Result) -> str:
    """The goal, and whether it is met."""
    ratio, goal = result.ratio("fp32"), result.row.goal
    mark = "not measured" if math.isnan(ratio) else "met" if ratio >= goal else "short"
    return f"{goal:.1f} {mark}"


def _time(entrant: Entrant | None) -> str:
    return time(entrant.time) if entrant else "-"


def _mode(entrant: Entrant | None, seconds: float) -> str:
    return f"{time(seconds)} {entrant.mode}" if entrant else "-"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def cells(result: Result) -> list[str]:
    """One line of the table."""
    line = [str(result.number), name_of(result), str(result.row.of.batch)]
    for precision in PRECISIONS:
        best = result.best(precision)
        line += [_time(result.mine(precision)), _mode(best, best.time if best else 0.0)]
        line.append(_ratio(result.ratio(precision)))
        if precision == "fp32":
            line.append(verdict(result))
    mine, theirs = result.mine("fp32"), result.quickest("fp32")
    line += [
        _time(result.mine("fp32", "steps alone")),
        time(mine.latency) if mine else "-",
        _mode(theirs, theirs.latency if theirs else 0.0),
    ]
    return line


def progress(result: Result) -> str:
    """What is said once a row is done."""
    said = [f"row {result.number}, {name_of(result)}, batch {result.row.of.batch}:"]
    for entrant in result.entrants:
        said.append(f"    {entrant.name}: {time(entrant.time)}, one call {time(entrant.latency)}")
    ratios = ", ".join(f"{p} {_ratio(result.ratio(p))}" for p in PRECISIONS)
    said += [f"    ratio: {ratios}; goal {verdict(result)}"]
    return "\n".join([*said, *(f"    {note}" for note in result.notes)])


def checked(result: Result) -> str:
    """What is said where correctness is all there is."""
    said = f"row {result.number}, {name_of(result)}, batch {result.row.of.batch}: "
    said += f"right: {', '.join(result.checked) or 'none'}"
    return "\n".join([said, *(f"    {note}" for note in result.notes)])


def plain(result: Result) -> dict[str, Any]:
    """Turn a result into a JSON object; unknown numbers are null."""
    ratios = {precision: result.ratio(precision) for precision in PRECISIONS}
    return {
        "row": result.number,
        "network": name_of(result),
        "batch": result.row.of.batch,
        "goal": result.row.goal,
        "ratios": {p: None if math.isnan(ratio) else ratio for p, ratio in ratios.items()},
        "sides": [
            {
                "peer": entrant.peer,
                "mode": entrant.mode,
                "precision": entrant.precision,
                "seconds": entrant.times,
                "one_call_seconds": entrant.latencies,
            }
            for entrant in result.entrants
        ],
        "right": result.checked,
        "notes": result.notes,
    }
