"""`TimeGradients`: how far back in time gradients reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastgrad.arena import Array
from fastgrad.containers import named_layers
from fastgrad.layers import Layer
from fastgrad.recurrent.base import Recurrent


@dataclass(frozen=True)
class TimeGradients:
    """Gradients at each step of one direction of one level of a recurrent layer.

    Step t is the t-th that the direction reads: the reverse one begins with the last step of each
    sequence. Norms are over all sequences of the batch.

    Attributes
    ----------
    h : ndarray of float64, (T,)
        Norm of the gradient of the loss with respect to h_t, all paths included.
    c : ndarray of float64, (T,), or None
        The same for c_t of an `LSTM`.
    gain : ndarray of float64, (T,)
        Norm of the gradient that step t hands on to the step before, over the norm of what it was
        given: below 1 along all steps gradients vanish, above 1 they explode. NaN where nothing is
        handed on, as at the first step, or where nothing was given.
    """

    h: Array
    c: Array | None
    gain: Array


def time_gradients(layers: Sequence[Layer], flow: Mapping[str, Array]) -> dict[str, TimeGradients]:
    """What a backward pass has left behind; `flow` is `Tape.through_time`."""
    known = named_layers(layers)
    found = {}
    for name, array in flow.items():
        layer = known[name.rpartition(".")[0]]
        assert isinstance(layer, Recurrent)
        h, c, gain = array.T.copy()
        found[name] = TimeGradients(h, c if "c" in layer.states else None, gain)
    return found
