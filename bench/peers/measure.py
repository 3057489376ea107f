"""The protocol: agree first, choose the modes, then go round the sides A B A B."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

from .pool import Worker, WorkerError
from .rows import STEPS, make_task
from .truth import TOLERANCE, loss_after_steps
from .workloads import ROWS

KEPT = 1.1
PEAK_SECONDS = 0.05


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes
    ----------
    repeats : int
        Rounds; each side runs once in each.
    seconds : float
        Least length of one run.
    trials : int
        Rounds in which the modes of a peer compete before the counted ones.
    skipped : tuple of str
        Modes left out.
    """

    repeats: int = 9
    seconds: float = 0.05
    trials: int = 2
    skipped: tuple[str, ...] = ()


@dataclass
class Entrant:
    """A peer in one of its modes; `found` is what its check gave."""

    worker: Worker
    mode: str
    found: float
    times: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    @property
    def peer(self) -> str:
        """Name of the peer."""
        return self.worker.peer

    def run(self, row: int) -> None:
        """Time one repeat."""
        said = self.worker.ask("run", row=row, mode=self.mode)
        self.times.append(said["seconds"])
        self.cores.append(said["cores"])


@dataclass
class Result:
    """What a row gave at one thread count.

    Attributes
    ----------
    row : int
        Index into ``ROWS``.
    threads : int
    sides : dict of str to Entrant
        Of each peer its fastest mode.
    best : str
        The fastest peer, "" when there is none.
    ratios : list of float
        Round by round, time of the best peer / time of fastgrad.
    gflops : float
        Of fastgrad's step or pass; NaN when not known.
    peak : float
        GFLOP/s of multiply-adds that one core can do; NaN when not known.
    notes : list of str
        Everything that was not timed, and why.
    disagreed : bool
        Whether some side was not timed because its check failed.
    """

    row: int
    threads: int
    sides: dict[str, Entrant] = field(default_factory=dict)
    best: str = ""
    ratios: list[float] = field(default_factory=list)
    gflops: float = math.nan
    peak: float = math.nan
    notes: list[str] = field(default_factory=list)
    disagreed: bool = False

    @property
    def goal(self) -> float:
        """The required ratio; NaN when there is none for this thread count."""
        return ROWS[self.row].goals.get(self.threads, math.nan)

    @property
    def ratio(self) -> float:
        """Median of the paired ratios."""
        return median(self.ratios) if self.ratios else math.nan

    @property
    def share(self) -> float:
        """Part of the multiply-add peak of all its threads that fastgrad reaches."""
        return self.gflops / (self.peak * self.threads)


@cache
def _truth(row: int) -> float:
    return loss_after_steps(make_task(STEPS[row]))


def _fault(row: int, found: float) -> str:
    """What is wrong with a side whose check gave that, or ""."""
    if ROWS[row].kind == "pass":
        good = found <= TOLERANCE
        return "" if good else f"its gradients are off by {found:.2g} of their largest element"
    truth = _truth(row)
    if abs(found - truth) <= TOLERANCE * abs(truth):
        return ""
    return f"its loss after the checked steps is {found:.6g}, that of float64 NumPy {truth:.6g}"


def _enter(result: Result, workers: list[Worker], plan: Plan) -> list[Entrant]:
    """Prepare every mode of every peer; those whose check is right may run."""
    entrants = []
    for worker in workers:
        for mode in worker.modes[ROWS[result.row].kind]:
            if mode in plan.skipped:
                continue
            name = f"{worker.peer} ({mode})"
            try:
                said = worker.ask("prepare", row=result.row, mode=mode, seconds=plan.seconds)
            except WorkerError as error:
                result.notes.append(f"{name}: not timed: {error}")
                continue
            fault = _fault(result.row, said["found"])
            if fault:
                result.disagreed = True
                result.notes.append(f"{name}: not timed: {fault}")
            else:
                entrants.append(Entrant(worker, mode, said["found"]))
    return entrants


def _round(result: Result, entrants: list[Entrant], first: int = 0) -> list[Entrant]:
    """Run each entrant once, starting at number `first`; return those that came through."""
    turn = entrants[first:] + entrants[:first]
    failed = []
    for entrant in turn:
        try:
            entrant.run(result.row)
        except WorkerError as error:
            result.notes.append(f"{entrant.peer} ({entrant.mode}): stopped: {error}")
            failed.append(entrant)
    return [entrant for entrant in entrants if entrant not in failed]


def _fit_to_win(entrants: list[Entrant]) -> list[Entrant]:
    """Keep of each peer the modes that came close to its fastest; forget the trial times."""
    fastest: dict[str, float] = {}
    for entrant in entrants:
        best = fastest.get(entrant.peer, math.inf)
        fastest[entrant.peer] = min(best, *entrant.times)
    kept = [e for e in entrants if min(e.times) <= KEPT * fastest[e.peer]]
    for entrant in kept:
        entrant.times.clear()
        entrant.cores.clear()
    return kept


def _peak(worker: Worker, result: Result) -> list[float]:
    """Measure the multiply-add peak of one core, if this worker can."""
    if not worker.knows_peak:
        return []
    try:
        return [worker.ask("peak", seconds=PEAK_SECONDS)["gflops"]]
    except WorkerError as error:
        worker.knows_peak = False
        result.notes.append(f"multiply-add peak unknown: {error}")
        return []


def measure(
    row: int, threads: int, workers: list[Worker], plan: Plan, say: Callable[[str], Any]
) -> Result:
    """Measure one row on all workers, in turns.

    Parameters
    ----------
    row : int
        Index into ``ROWS``.
    threads : int
        Thread count that the workers were started with.
    workers : list of Worker
    plan : Plan
    say : callable
        Takes a line about the progress.

    Returns
    -------
    Result
    """
    result = Result(row, threads)
    say(f"{ROWS[row].name}, threads {threads}: checking and compiling")
    entrants = _enter(result, workers, plan)
    for _ in range(plan.trials):
        entrants = _round(result, entrants)
    entrants = _fit_to_win(entrants)

    peaks: list[float] = []
    for number in range(plan.repeats):
        say(f"{ROWS[row].name}, threads {threads}: round {number + 1} of {plan.repeats}")
        entrants = _round(result, entrants, number % max(len(entrants), 1))
        for worker in workers:
            peaks += _peak(worker, result)
    for worker in workers:
        with suppress(WorkerError):
            worker.ask("drop")

    for entrant in sorted(entrants, key=lambda e: median(e.times)):
        result.sides.setdefault(entrant.peer, entrant)
    result.peak = median(peaks) if peaks else math.nan
    result.best = next((peer for peer in result.sides if peer != "fastgrad"), "")
    mine = result.sides.get("fastgrad")
    if mine:
        result.gflops = ROWS[row].flops / median(mine.times) / 1e9
        if result.best:
            theirs = result.sides[result.best].times
            result.ratios = [t / own for t, own in zip(theirs, mine.times, strict=True)]
    return result
