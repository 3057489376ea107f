"""Which trial is better than which, by more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastgrad.health.treatment.trial import Material, Trial

_ERRORS = 2.0  # standard errors that a difference must exceed
# the same where all that was wrong is gone, too: evidence of another kind, which chance in the
# rows held out has nothing to do with
_ERRORS_CURED = 1.0
# within which two cannot be told apart, and the least change is the better guess (the rule of one
# standard error, Breiman et al. 1984)
_ERRORS_ALIKE = 1.0
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
    chance = error * (_ERRORS_CURED if trial.ok and not before.ok else _ERRORS)
    if before.loss < constant:
        return gain > max(chance, least * before.loss)
    return gain > chance and trial.loss < (1 - LEAST) * constant


def promises(trial: Trial, before: Trial, least: float = LEAST) -> bool:
    """Whether a trial's loss is lower by as much as is asked for, be it by chance."""
    if not math.isfinite(before.loss):
        return math.isfinite(trial.loss)
    return trial.loss < (1 - least) * before.loss


def confirmed(
    trials: tuple[Trial, Trial], before: tuple[Trial, Trial], constant: float, least: float = LEAST
) -> bool:
    """Whether a setup helps on minibatches in another order, which it was not chosen by.

    Parameters
    ----------
    trials, before : pair of Trial
        In the order that it was chosen by, and in another one.
    constant, least : float
        As for `helps`. Where nothing has done harm (`MUCH`), each order must show it for itself;
        else both together.
    """
    if least >= MUCH:
        return all(helps(*pair, constant, least) for pair in zip(trials, before, strict=True))
    better = trials[1].gain(before[1])[0] > 0
    pair, pair_before = (one.together(other) for one, other in (trials, before))
    return better and helps(pair, pair_before, constant, least)


def overtakes(
    trials: tuple[Trial, Trial],
    kept: tuple[Trial, Trial],
    on_edge: bool = False,
    least: float = LEAST,
) -> bool:
    """Whether a treated setup is better than another one, of which neither was there before.

    Parameters
    ----------
    trials, kept : pair of Trial
        In two orders of the minibatches.
    on_edge : bool
        Whether the one that is kept so far would diverge with somewhat larger steps. Then what is
        no worse is better.
    least : float
        Part of the loss by which it must be lower.
    """
    pair, pair_kept = (one.together(other) for one, other in (trials, kept))
    gain, error = pair.gain(pair_kept)
    if on_edge:
        return gain > 0
    lower = all(one.loss < other.loss for one, other in zip(trials, kept, strict=True))
    return lower and gain > max(_ERRORS_ALIKE * error, least * pair_kept.loss)


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
        if gain <= max(_ERRORS_ALIKE * error, _ALIKE * (scale - best.loss)):
            worst = max((verdict.rank for verdict in trial.verdicts), default=0)
            near.append((worst, extent, trial.loss, i))
    return min(near)[-1]
