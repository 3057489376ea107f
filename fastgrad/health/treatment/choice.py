"""Which trial is better than which, by more than chance."""

from __future__ import annotations

from collections.abc import Sequence

from fastgrad.health.treatment.trial import Material, Trial

_ERRORS = 2.0  # standard errors that a difference must exceed
LEAST = 0.02  # of the loss, below which nobody would notice
MUCH = 0.2  # the same where nothing has done harm
# of what the best cure wins, by which others may fall short of it: what learns faster with the
# learning rate as it is need not do so with the one that suits each
_ALIKE = 0.2


def helps(trial: Trial, before: Trial, constant: float, least: float = LEAST) -> bool:
    """Whether a trial's loss is lower, by more than chance and by a part of it of `least`.

    Where the one before is no better than constant outputs are, it must be lower than theirs.
    """
    gain, error = trial.gain(before)
    if before.loss < constant:
        return gain > max(_ERRORS * error, least * before.loss)
    return gain > _ERRORS * error and trial.loss < (1 - LEAST) * constant


def alike(trials: Sequence[tuple[int, Trial]], before: Trial, material: Material) -> int:
    """The number of the one to keep: of those that help about as much as the best one does, that
    with the least serious warnings left, then with the least change, then with the least loss.

    Parameters
    ----------
    trials : sequence of (int, Trial)
        Each with the extent of the change.
    before : Trial
    material : Material
    """
    best = min((trial for _, trial in trials), key=lambda trial: trial.loss)
    scale = min(before.loss, material.constant_loss)
    near = []
    for i, (extent, trial) in enumerate(trials):
        gain, error = best.gain(trial)
        if gain <= max(_ERRORS * error, _ALIKE * (scale - best.loss)):
            worst = max((verdict.rank for verdict in trial.verdicts), default=0)
            near.append((worst, extent, trial.loss, i))
    return min(near)[-1]
