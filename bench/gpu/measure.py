"""The protocol of a row: correctness first, then rounds in which all sides take turns."""

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from . import fastgrad_side
from .correctness import Found, fault, tolerance
from .rows import GpuRow

PRECISIONS = ("fp32", "tf32")
SECONDS = 0.02  # length of what is timed between two events
MOST = 2000  # passes or steps of it
LATENCIES = 5  # single calls in a round


@dataclass
class Entrant:
    """A side in one of its modes, and the times that it took.

    Attributes
    ----------
    peer, mode, precision : str
    side : object
        See `fastgrad_side` and `torch_side`; None once it has been measured.
    times, latencies : list of float
        Seconds, round by round: device time of a pass or step among many, and the median
        wall-clock time of one alone.
    """

    peer: str
    mode: str
    precision: str
    side: Any
    times: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    count: int = 1

    @property
    def name(self) -> str:
        """For notes."""
        return f"{self.peer} ({self.mode}, {self.precision})"

    @property
    def time(self) -> float:
        """Median device time of a pass or step."""
        return median(self.times)

    @property
    def latency(self) -> float:
        """Median wall-clock time of one alone."""
        return median(self.latencies)

    def warm_up(self) -> None:
        """Run often enough to know how many passes or steps fill the time."""
        for count in (2, 10):
            each = self.side.seconds(count)
        self.count = max(1, min(MOST, round(SECONDS / each)))

    def round(self) -> None:
        """Take both times once."""
        self.times.append(self.side.seconds(self.count))
        self.latencies.append(median(self.side.latency() for _ in range(LATENCIES)))


@dataclass
class Result:
    """What a row gave.

    Attributes
    ----------
    number : int
        Index into ``ROWS``.
    row : GpuRow
    entrants : list of Entrant
        All that were right, and came through.
    notes : list of str
        Everything that was not timed, and why.
    checked : list of str
        Names of the sides that were right.
    disagreed : bool
        Whether some side was wrong, or could not be run.
    """

    number: int
    row: GpuRow
    entrants: list[Entrant] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    disagreed: bool = False

    def mine(self, precision: str, mode: str = "") -> Entrant | None:
        """fastgrad's side with that precision; by default its first mode."""
        return next((e for e in self._of(fastgrad_side.PEER, precision) if mode in e.mode), None)

    def best(self, precision: str) -> Entrant | None:
        """PyTorch's mode whose passes or steps took the shortest time."""
        return min(self._of("PyTorch", precision), key=lambda e: e.time, default=None)

    def quickest(self, precision: str) -> Entrant | None:
        """PyTorch's mode of which one pass or step alone took the shortest time."""
        return min(self._of("PyTorch", precision), key=lambda e: e.latency, default=None)

    def ratio(self, precision: str) -> float:
        """The median over rounds of PyTorch's time over fastgrad's; NaN where one is missing."""
        mine, best = self.mine(precision), self.best(precision)
        if mine is None or best is None:
            return math.nan
        return median(b / m for b, m in zip(best.times, mine.times, strict=True))

    def _of(self, peer: str, precision: str) -> list[Entrant]:
        of = [e for e in self.entrants if e.peer == peer and e.precision == precision]
        return [e for e in of if e.times]

    def release(self) -> None:
        """Let go of the sides, and of their memory."""
        for entrant in self.entrants:
            entrant.side = None
        gc.collect()


def check(number: int, row: GpuRow, torch_side: Any) -> Result:
    """Make all sides of a row, and see which are right.

    Parameters
    ----------
    number : int
    row : GpuRow
    torch_side : module or None
        None where there is no PyTorch.

    Returns
    -------
    Result
        Its entrants have not been timed.
    """
    result = Result(number, row)
    task = row.task()
    exact = fastgrad_side.truth(task)
    for module in filter(None, (fastgrad_side, torch_side)):
        for precision in PRECISIONS:
            for mode, make in module.entrants(task, precision):
                entrant = Entrant(module.PEER, mode, precision, None)
                why = _said(lambda e=entrant, m=make: _wrong(e, m, exact, row))
                if why:
                    result.disagreed = True
                    result.notes.append(f"{entrant.name}: not timed: {why}")
                else:
                    result.checked.append(entrant.name)
                    result.entrants.append(entrant)
    return result


def _wrong(entrant: Entrant, make: Callable[[], Any], exact: Found, row: GpuRow) -> str:
    """Make the side; what is wrong with what it finds, or ""."""
    if entrant.peer == fastgrad_side.PEER:
        first, again = (make().bits() for _ in range(2))
        if first != again:
            return "two runs differ in their bits"
    side = make()
    allowed = tolerance(row.of, entrant.precision)
    for found in side.check():
        why = fault(exact, found, allowed)
        if why:
            return why
    entrant.side = side
    return ""


def _said(run: Callable[[], str]) -> str:
    """What it returns, or the error that it ends with."""
    try:
        return run()
    except Exception as error:  # of any library; after some of them nothing on the GPU works
        return " ".join(f"{type(error).__name__}: {error}".split())


def measure(result: Result, rounds: int) -> None:
    """Time the entrants of a row in turns.

    Parameters
    ----------
    result : Result
        Of `check`.
    rounds : int
    """
    _turn(result, result.entrants, Entrant.warm_up)
    for number in range(rounds):
        first = number % max(len(result.entrants), 1)
        turn = result.entrants[first:] + result.entrants[:first]
        _turn(result, turn, Entrant.round)


def _turn(result: Result, turn: list[Entrant], what: Callable[[Entrant], None]) -> None:
    """Have each do that; those that fail leave the row."""
    for entrant in list(turn):
        why = _said(lambda e=entrant: what(e) or "")
        if why:
            result.disagreed = True
            result.notes.append(f"{entrant.name}: stopped: {why}")
            result.entrants.remove(entrant)
