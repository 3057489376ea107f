"""Gradients of an LSTM or GRU, summed over its steps, many of which agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.cells import Gates
from fastgrad.health.prediction.gates import State, Step
from fastgrad.health.prediction.signal import Flow


@dataclass(frozen=True)
class Sums:
    """What a gradient of norm 1 at the outputs becomes on its way through all steps.

    Attributes
    ----------
    inputs, hidden, biases, biases_hh : float
        Squared norms of sums over steps of gradients of the gates times x, times h, and times 1;
        the first two over the features of x and h, and x taken to have a power of 1.
    x : ndarray (steps,)
        Squared norm of the gradient of x at each step.
    steady, lasting : float
        Of that gradient, as for a `Flow`.
    """

    inputs: float
    hidden: float
    biases: float
    biases_hh: float
    x: Array
    steady: float
    lasting: float


def summed(unit: Gates, states: list[State], backs: list[Step], flow: Flow, each: bool) -> Sums:
    """Go back through all steps; gradients of different steps agree by what lasts.

    That is the memory, which hands its gradient on, what comes from above if it agrees from step to
    step, and what h gets from later gates, which inherit it from the memory.
    """
    steps, units, x, end = len(backs), unit.units, unit.x, states[-1]
    shares = _shares(flow, steps, each)
    to_x = [unit.gain(w, x.power) for w in unit.of_x]
    of_x = [gain / w.square if w.square else 0.0 for gain, w in zip(to_x, unit.of_x, strict=True)]
    zeros = np.zeros(units)
    h, c, total = zeros, zeros, zeros
    # sums over later steps: of the gradient from above and of h's own, as the memory fades
    above = around = zeros
    given = agreed = 0.0  # at the step above: the gradient from above, and what of h's agrees
    # products of the memory's gradient with those of all later steps, times what fades with them
    fading = 1.0, end.lasting, x.lasting
    later = {(i, k): zeros for i in range(len(fading)) for k in range(len(fading))}
    powers = np.zeros(steps)
    inputs = hidden = biases = biases_hh = coherent = handed_on = 0.0
    for t in reversed(range(steps)):
        step, q = backs[t], float(states[t].h2.mean())
        keep = backs[min(t + 1, steps - 1)].keep
        above = flow.lasting * (given + keep * above)
        around = keep * (agreed + keep * around)
        met = step.into * (flow.steady * above + around)
        lasts = np.minimum(keep + np.divide(met, total, out=zeros.copy(), where=total > 0), 1.0)
        for (i, k), old in later.items():
            later[i, k] = lasts * fading[i] * fading[k] * (total + old)
        given = float(shares[t]) / units
        gates, total, h, c = unit.before(step, h + given, c + 2 * keep * met, q)
        through = float(step.through.mean())
        of_h = [unit.gain(w, q) / w.square * q if w.square else 0.0 for w in unit.of_h]
        for k, gate in enumerate(gates):
            own = float(gate.sum())
            seen = own * (through if k == 2 else 1.0)
            powers[t] += own * to_x[k]
            inputs += own * of_x[k]
            hidden += seen * of_h[k]
            biases += own
            biases_hh += seen
        agreed = 0.0
        for k, square, fades in step.lasting:
            seen = through if k == 2 else 1.0
            sums = [2 * float((square * later[fades, i]).sum()) for i in range(len(fading))]
            biases += sums[0]
            biases_hh += sums[0] * seen
            hidden += sums[1] * of_h[k] * end.steady * seen
            common = 0.0 if unit.normed else x.common
            inputs += (common * sums[0] + (1 - common) * x.steady * sums[2]) * of_x[k]
            both = float((square * total).sum())
            agreed += both * unit.gain(unit.of_h[k], q) * seen / units
            coherent += both * to_x[k]
            handed_on += both * to_x[k] * float(lasts.mean()) * fading[fades]
    whole = float(powers.sum())
    return Sums(
        inputs,
        hidden,
        biases,
        biases_hh,
        powers,
        coherent / whole if whole else 0.0,
        handed_on / coherent if coherent else 0.0,
    )


def _shares(flow: Flow, steps: int, each: bool) -> Array:
    """Of each step in the squared norm of the gradient from above."""
    if each:
        return np.full(steps, 1 / steps) if flow.along is None else flow.along
    shares = np.zeros(steps)
    shares[-1] = 1.0
    return shares
