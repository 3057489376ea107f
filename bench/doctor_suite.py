"""How many sick runs of the labelled suite the doctor repairs, and whether it harms healthy ones.

``python -m bench.doctor_suite`` treats every case, trains what comes back as the case says, and
compares its score on test rows with that of the healthy twin: an accuracy may be 2 points lower, a
loss a tenth higher. Scores are means over three orders of the rows. `--only TEXT` takes the cases
whose names have the text in them, `--every N` each Nth one.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastgrad as fg
from bench.health_suite.case import Case
from bench.health_suite.faulty import FAULTY
from bench.health_suite.healthy import HEALTHY
from bench.health_suite.running import score
from bench.health_suite.tasks import TASKS, Task
from fastgrad.health.rules import Facts

SEEDS = 3
POINTS = 0.02  # of accuracy
PART = 0.1  # of a loss


@dataclass(frozen=True)
class Treated:
    """A case, with scores of its twin, of itself as it is, and after treatment."""

    case: Case
    twin: float
    before: float
    after: float
    trials: int
    changes: tuple[str, ...]
    first: str
    left: str

    @property
    def good(self) -> bool:
        """Whether it does as well as its twin; a healthy one, as itself."""
        of = self.before if self.case.healthy else self.twin
        return self.after >= of - allowed(self.case, of)


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
        rng=seed,
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


def treated(case: Case, twins: dict[str, float]) -> Treated:
    """The case before and after treatment."""
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
    if case.twin and case.twin not in twins:
        twins[case.twin] = trained({one.name: one for one in HEALTHY}[case.twin])
    return Treated(
        case,
        twins.get(case.twin, before),
        before,
        after,
        found.trials,
        tuple(f"{change.cure}: {change.what}" for change in found.changes),
        ", ".join(v.rule for v in found.before.warnings) or "-",
        ", ".join(v.rule for v in found.after.warnings) or "-",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Treat the cases, and print a table and what fell short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--kind", choices=("faulty", "healthy", "both"), default="both")
    arguments = parser.parse_args(argv)
    groups = {"faulty": FAULTY, "healthy": HEALTHY}
    chosen = [
        case
        for kind, cases in groups.items()
        if arguments.kind in (kind, "both")
        for case in cases
        if arguments.only in case.name
    ][arguments.start :: arguments.every]
    twins: dict[str, float] = {}
    results = []
    for case in chosen:
        found = treated(case, twins)
        results.append(found)
        sign = "good" if found.good else "SHORT"
        print(
            f"{sign:5} {case.name:42} twin {found.twin:.3f}  before {found.before:.3f}  "
            f"after {found.after:.3f}  {found.trials:3} trials  [{found.first}]  "
            f"{' + '.join(found.changes) or 'unchanged'}  left [{found.left}]",
            flush=True,
        )
    for what, kind in (("repaired", False), ("not harmed", True)):
        own = [one for one in results if one.case.healthy is kind]
        if own:
            good = sum(one.good for one in own)
            print(f"{what}: {good} of {len(own)}, {good / len(own):.1%}")


if __name__ == "__main__":
    main()
