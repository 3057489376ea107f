"""Outputs of padded sequences, with zeros for all that does not count."""

from __future__ import annotations

import numpy as np

from fastgrad.arena import Array
from fastgrad.program import Known, Tape
from fastgrad.recurrent.steps import Steps


def marks(tape: Tape, shape: tuple[int, int, int]) -> Array:
    """Record what makes an array of 1 where an output (N, T, F) counts, and 0 in the padding."""
    n, times, features = shape
    found = tape.empty(shape)
    ones = np.ones((n * times, features), tape.dtype)
    Steps(tape, n, times).put(ones, found, 0, False)
    return found


def without_padding(
    tape: Tape, y: Array, counts: Array, known: Known | None
) -> tuple[Array, Array | None]:
    """Record what makes a copy of y with 0 in the padding, and the slopes of its activation.

    No memory is given back, so that nothing else is written where threads may still look.

    Parameters
    ----------
    tape : Tape
    y : ndarray, (N, T, F)
    counts : ndarray, (N, T, F)
        As `marks` makes it.
    known : tuple, optional
        Activation, alpha, and slopes where those are kept.

    Returns
    -------
    ndarray, (N, T, F)
    ndarray, (N, T, F), or None
        Slopes, 0 in the padding, which is therefore never alive; None where nothing is known.
    """
    steps = Steps(tape, y.shape[0], y.shape[1])
    copy, found = tape.empty((steps.rows, y.shape[2])), tape.empty(y.shape)
    tape.call("to_steps", y, 0, steps.order, steps.offsets, 0, copy)
    steps.put(copy, found, 0, False)
    if known is None:
        return found, None
    activation, alpha, slope = known
    kept = None if slope is None else slope.reshape(-1)
    slopes = copy.reshape(-1)  # which has been read
    ones = counts.reshape(-1)
    tape.call("activation_backward", y.reshape(-1), kept, ones, activation, alpha, slopes)
    return found, slopes.reshape(y.shape)
