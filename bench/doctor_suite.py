"""How many sick runs of the labelled suite the doctor repairs, and whether it harms healthy ones.

``python -m bench.doctor_suite`` treats every case, trains what comes back as the case says, and
compares its score on test rows with that of the healthy twin: an accuracy may be 2 points lower, a
loss a tenth higher. Scores are means over three orders of the rows. Cures are mended by looking at
cases of half A alone, so what counts is half B; both are printed, and how often each cure came
first. Scores scatter, so it is also told how many twins equal themselves: with other first weights,
one draw of them for all orders, as what the doctor hands back has. `--seed N` draws other first
weights and other orders of the rows than those that the suite has by itself; `--only TEXT` takes
the cases whose names have the text in them, `--every N` each Nth one.
"""

from __future__ import annotations

import argparse
import copy
import functools
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import fastgrad as fg
from bench.health_suite.case import Case
from bench.health_suite.running import score
from bench.health_suite.suite import CASES
from bench.health_suite.tasks import TASKS, Task
from fastgrad.health.rules import Facts

SEEDS = 3
POINTS = 0.02  # of accuracy
PART = 0.1  # of a loss


@dataclass(frozen=True)
class Treated:
    """A case, with scores of its twin, of itself as it is, and after treatment.

    `lack` is how much less it may score; `redrawn` is the twin's score with other first weights,
    the same for all orders.
    """

    name: str
    half: str
    healthy: bool
    lack: float
    twin: float
    before: float
    after: float
    trials: int
    changes: tuple[tuple[str, str], ...]
    first: str
    left: str
    redrawn: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it does as well as its twin; a healthy one, as itself."""
        return self.after >= (self.before if self.healthy else self.twin) - self.lack

    def __str__(self) -> str:
        did = " + ".join(f"{cure}: {what}" for cure, what in self.changes) or "unchanged"
        return (
            f"{'good' if self.good else 'SHORT':5} {self.half} {self.name:42} "
            f"twin {self.twin:.3f}  before {self.before:.3f}  after {self.after:.3f}  "
            f"{self.trials:3} trials  [{self.first}]  {did}  left [{self.left}]"
        )


def allowed(case: Case, score: float) -> float:
    """How much less a score may be."""
    return PART * (1 - score) if is_loss(case) else POINTS


def is_loss(case: Case) -> bool:
    """Whether the score is one minus a relative loss, and no accuracy."""
    task = TASKS[case.task]()
    return task.loss == "mse" or (task.y.ndim > 1 and task.loss == "cross_entropy")


def trained(
    case: Case, model: fg.Sequential | None = None, seeds: int = SEEDS, **changed: Any
) -> float:
    """The mean score of a case, or of what the doctor has made of it."""
    return float(np.mean([_score(case, model, seed, changed) for seed in range(seeds)]))


def _score(case: Case, model: fg.Sequential | None, seed: int, changed: dict[str, Any]) -> float:
    task = TASKS[case.task]()
    X, y = _given(case, task)
    settings = {"optimizer": case.optimizer, "clip": case.clip, "regularizers": case.regularizers}
    own = fg.Sequential(*case.layers(), rng=case.seed + seed) if model is None else model
    trainer = fg.Trainer(
        copy.deepcopy(own), case.loss or task.loss, **copy.deepcopy({**settings, **changed}),
        rng=case.seed + seed,
    )  # fmt: skip
    trainer.model.fit_input(X, again=False, lengths=task.lengths)
    facts = Facts.of(trainer, X, y, task.lengths, case.batch_size)
    try:
        for _ in range(case.epochs):
            trainer.epoch(X, y, case.batch_size, lengths=task.lengths)
    except fg.GradientError:
        return 0.0
    return max(0.0, score(case, task, trainer, facts))


def _given(case: Case, task: Task) -> tuple[Any, Any]:
    X = task.X if case.x is None else case.x(task.X)
    return X, task.y if case.y is None else case.y(task.y)


def _seeded(name: str, seed: int) -> Case:
    """The case with seeds of its own for each of the user's: the first three are its orders."""
    case = CASES[name]
    return replace(case, seed=case.seed + 1000 * seed)


@functools.cache
def _twin(name: str, seed: int) -> float:
    return trained(_seeded(name, seed))


@functools.cache
def _redrawn(name: str, seed: int) -> float:
    """The score of one draw of a twin's first weights, which `_twin` has not seen."""
    case = _seeded(name, seed)
    return trained(case, fg.Sequential(*case.layers(), rng=case.seed + SEEDS))


def treated(name: str, seed: int = 0) -> Treated:
    """A case before and after treatment."""
    case = _seeded(name, seed)
    task = TASKS[case.task]()
    X, y = _given(case, task)
    found = fg.health.doctor(
        fg.Sequential(*case.layers(), rng=case.seed),
        X,
        y,
        loss=case.loss or task.loss,
        optimizer=case.optimizer,
        clip=case.clip,
        regularizers=case.regularizers,
        epochs=case.epochs,
        batch_size=case.batch_size,
        lengths=task.lengths,
        progress=False,
        rng=case.seed,
    )
    settings = {
        "optimizer": found.optimizer, "clip": found.clip, "regularizers": found.regularizers
    }  # fmt: skip
    before = trained(case, seeds=SEEDS if case.healthy and found.changes else 1)
    after = trained(case, found.model, **settings) if found.changes else before
    twin = _twin(case.twin, seed) if case.twin else before
    return Treated(
        case.name,
        case.half,
        case.healthy,
        allowed(case, twin),
        twin,
        before,
        after,
        found.trials,
        tuple((change.cure, change.what) for change in found.changes),
        ", ".join(v.rule for v in found.before.warnings) or "-",
        ", ".join(v.rule for v in found.after.warnings) or "-",
        _redrawn(case.twin or name, seed),
    )


def summary(results: Sequence[Treated]) -> list[str]:
    """Lines that count, by halves, and say what came first."""
    lines = []
    for what, kind in (("repaired", False), ("not harmed", True)):
        own = [one for one in results if one.healthy is kind]
        for half in ("A", "B"):
            some = [one for one in own if one.half == half]
            if some:
                good = sum(one.good for one in some)
                lines.append(f"{what}, half {half}: {good} of {len(some)}, {good / len(some):.1%}")
        if own and not kind:
            good = sum(one.redrawn >= one.twin - one.lack for one in own)
            lines.append(
                f"twins that equal themselves: {good} of {len(own)}, {good / len(own):.1%}"
            )
        came = Counter(one.changes[0][0] if one.changes else "unchanged" for one in own)
        if came:
            told = ", ".join(f"{cure} {count}" for cure, count in came.most_common())
            lines.append(f"first cure of those to be {what}: {told}")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Treat the cases, and print a table and what fell short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--kind", choices=("faulty", "healthy", "both"), default="both")
    parser.add_argument("--half", choices=("A", "B", "both"), default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args(argv)
    chosen = [
        name
        for name, case in CASES.items()
        if given.only in name
        and given.half in (case.half, "both")
        and given.kind in ("healthy" if case.healthy else "faulty", "both")
    ][given.start :: given.every]
    results = []
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=spawned) as pool:
        for found in pool.map(treated, chosen, [given.seed] * len(chosen)):
            print(found, flush=True)
            results.append(found)
    print(*summary(results), sep="\n")


if __name__ == "__main__":
    main()
