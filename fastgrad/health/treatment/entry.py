"""`doctor`: finds out what is wrong with a training setup, and changes what measurably helps."""

from __future__ import annotations

import copy
import sys
from typing import Any

from fastgrad import checks, clipping, optimizers, penalties
from fastgrad.health.treatment.diagnosis import Diagnosis
from fastgrad.health.treatment.material import prepared
from fastgrad.health.treatment.practice import Practice
from fastgrad.health.treatment.setup import Setup
from fastgrad.model import Sequential, checked_model


def doctor(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any = "adam",
    clip: Any = None,
    regularizers: Any = None,
    epochs: int = 10,
    batch_size: int = 64,
    validation: Any = 0.2,
    lengths: Any = None,
    steps: int | None = None,
    cures: int = 5,
    rounds: int = 4,
    progress: bool | None = None,
    rng: Any = None,
) -> Diagnosis:
    """Try cures for what is wrong with a training setup, and keep what measurably helps.

    The setup trains for some steps with health measured at each. While there are warnings, the
    cures that they prescribe are tried, each from the same first weights (but for those that it
    draws anew), on the same minibatches. Of those that lower the loss of rows held out by more than
    chance, three at most are tried once more on minibatches in another order: those with the least
    warnings left and, among those that help alike, those that change least. The first of those that
    help there, too, is kept, and what is left to cure is looked for again; at last a learning rate
    that suits what has been changed. If then another cure had done better by itself, that one is
    kept instead. Without warnings only cures of what is noted as information are tried, and kept if
    they lower the loss by a fifth; with nothing to note the setup comes back as it is.

    Parameters
    ----------
    model : Sequential
        It is left as it is; parameters that it has are where each trial starts from.
    X, y, lengths : array-like
        As for `fit`.
    loss, optimizer, clip, regularizers
        As for `fit`; `LBFGS` has no minibatches to look at.
    epochs, batch_size : int
        Of the run that this is about.
    validation : float, (X, y) or (X, y, lengths)
        A fraction of the rows, 10 of them at least and 2000 at most, or a set of its own of 10 at
        least, to judge by.
    steps : int, optional
        Steps of each trial; by default those of the run, 200 at most, and where nothing helps
        once more with 1000 at most.
    cures, rounds : int
        How many cures are tried, in up to four variants each, before one is kept, and how many are
        kept. With the first run, combinations with other steps, and confirmations there are at most
        ``1 + (rounds + 2) * (4 * cures + 16)`` trials, and most often a quarter of that; cures of
        the learning rate start with a range test of 100 steps.
    progress : bool, optional
        Whether a progress bar is shown; by default where standard error is a terminal.
    rng : int or numpy.random.Generator
        Seed of the rows held out, of their order, and of weights that are drawn anew.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.

    Examples
    --------
    >>> import fastgrad as fg
    >>> from fastgrad.datasets import load_digits
    >>> X, y = load_digits()
    >>> model = fg.Sequential(fg.Dense(64, 32, "relu"), fg.Dense(32, 10), rng=0)
    >>> found = fg.health.doctor(model, X / 16, y, loss="cross_entropy", epochs=4, rng=0)
    >>> found.changes
    ()
    """
    checked_model(model)
    clips = clipping.get(copy.deepcopy(clip))
    setup = Setup(
        copy.deepcopy(model),
        copy.deepcopy(optimizers.get(optimizer)),
        clips,
        penalties.get(copy.deepcopy(regularizers), model),
    )
    checks.count("cures", cures)
    checks.count("rounds", rounds, minimum=0)
    material = prepared(
        setup, X, y, lengths, loss, validation, epochs, batch_size, steps, checks.generator(rng)
    )
    shown = sys.stderr.isatty() if progress is None else checks.flag("progress", progress)
    with Practice(material, shown) as practice:
        return practice.treat(setup, cures, rounds)
