"""What a weight matrix does to signals and gradients that point anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.elementwise import drift, log
from fastgrad.health.prediction.signal import Flow, Signal


@dataclass(frozen=True)
class Matrix:
    """Moments of the singular values of a weight, (outputs, inputs).

    Attributes
    ----------
    outputs, inputs : int
    square : float
        sigma_w^2, ``inputs * mean(weight^2)``.
    evenness : float
        ``sum(s^4) / sum(s^2)^2`` of the singular values: 1 / n where all n are alike, about
        ``1 / inputs + 1 / outputs`` of independent weights.
    lopsided : float
        Mean of the weights, in deviations of that mean of independent weights around 0.
    weight : ndarray
    """

    outputs: int
    inputs: int
    square: float
    evenness: float
    lopsided: float
    weight: Array

    def stretch(self, features: int) -> tuple[float, float, float, float]:
        """Second moments of what comes out, for vectors of so many features that point anywhere.

        Returns x, y, x', y': ``|Wu|^2 |Wv|^2`` is in the mean ``x |u|^2 |v|^2 + y (u.v)^2``, and
        ``(Wu.Wv)^2`` is ``x' |u|^2 |v|^2 + y' (u.v)^2``, both over the squared mean gain.
        """
        t = features * self.evenness
        both = (features + 2 * t) / (features + 2)
        if features == 1:
            return both, 0.0, 0.0, both
        x = (features - both) / (features - 1)
        across = (t - both) / (features - 1)
        return x, both - x, across, both - across


def matrix(weight: Array) -> Matrix:
    """Take the moments of a weight (outputs, inputs)."""
    w = np.asarray(weight, np.float64)
    outputs, inputs = w.shape
    top = float(np.abs(w).max(initial=0.0))
    if not top or not np.isfinite(top):
        return Matrix(outputs, inputs, top, 1.0, 0.0, weight)
    w = w / top
    squares = float(np.square(w).sum())
    gram = w @ w.T if outputs <= inputs else w.T @ w
    return Matrix(
        outputs,
        inputs,
        squares / outputs * top * top,
        float(np.square(gram).sum()) / squares**2,
        abs(float(w.sum())) / squares**0.5,
        weight,
    )


def multiplied(
    signal: Signal, w: Matrix, biases: Array | None, deviations: Array | None = None
) -> Signal:
    """Pre-activations: of the mean row for itself, and of what rows differ by in the mean.

    Without a mean row power and apart follow the recursions of Poole et al. 2016, eq. 3 and 5,
    which are for weights with no preferred direction. `deviations` are those of all rows from the
    mean one, where they are known.
    """
    fed = _carried(signal, w, deviations)
    up = fed
    if biases is not None and fed.centre is not None and fed.variances is not None:
        up = fed.of_units(fed.centre + biases, fed.variances)
    elif biases is not None:
        up = replace(fed, power=fed.power + mean_square(biases))
    _, _, across, along = w.stretch(w.inputs)
    kept = min(fed.power / up.power, 1.0) if up.power else 1.0
    own, both = _noise(signal, w, kept)
    cosine = up.product / up.power if up.power else 1.0
    return replace(
        up,
        mean=0.0 if biases is None else float(biases.mean(dtype=np.float64)),
        alike=min(1.0, max(cosine**2, kept**2 * (across + along * signal.alike))),
        spread=own if deviations is None else own - both,
        shared=both if deviations is None else 0.0,
        uneven=signal.uneven * kept**2,
        degree=signal.degree * kept,
    )


def _carried(signal: Signal, w: Matrix, deviations: Array | None = None) -> Signal:
    """Mean squares behind the weights, without biases."""
    if signal.centre is None or signal.variances is None:
        power, apart = w.square * signal.power, w.square * signal.apart
        return replace(signal, features=w.outputs, power=power, apart=apart, mean=0.0)
    weight = np.asarray(w.weight, np.float64)
    if deviations is None:
        variances = np.square(weight) @ signal.variances
    else:
        variances = np.square(deviations @ weight.T).mean(axis=0)
    return signal.of_units(weight @ signal.centre, variances)


def _noise(signal: Signal, w: Matrix, kept: float) -> tuple[float, float]:
    """Relative variance of a row's squared norm behind the weights, and covariance of two rows'.

    What the rows have in common counts only where it is not known.
    """
    x, y, across, _ = w.stretch(w.inputs)
    common = signal.common
    aside = 1 - common
    own = aside**2 * (x + y - 1) + 4 * common * aside * across + (x + y) * signal.spread
    alike = max(signal.alike - common**2, 0.0)
    both = max(aside**2 * (x - 1) + y * alike, 0.0) + x * signal.shared
    return kept**2 * own, kept**2 * both


def turned(flow: Flow, w: Matrix, below: Signal, above: Signal) -> Flow:
    """The gradient below a weight: its squared norm times sigma_w^2 (Schoenholz et al. 2017).

    But for the part along the signal, which comes back as the signal went up.
    """
    x, y, across, along = w.stretch(w.outputs)
    fed = _carried(below, w).power
    kept = min(fed / above.power, 1.0) if above.power else 0.0  # the rest is bias
    # of the cosine with what the weights gave: the bias points anywhere, in one output along it
    cosine = kept * flow.radial + (1 - kept) / w.outputs
    along_signal = fed * w.outputs / (below.power * w.inputs) if below.power else 0.0
    radial = cosine * along_signal
    gain = radial + _aside(w, along_signal, cosine)
    own, both = _noise(replace(below, spread=0.0, shared=0.0), w, kept)
    shift = drift(flow.steer, own, both)
    if below.centre is not None:
        shift, both = 0.0, max(both, own / below.rows)
        own_part = own / above.spread if above.spread else 0.0
        flow = flow.inherited(1 - own_part)
    return replace(
        flow,
        features=w.inputs,
        log_power=flow.log_power + log(gain),
        same=(x + y) * flow.same,
        pair=x * flow.pair + y * flow.overlap,
        overlap=across * flow.pair + along * flow.overlap,
        radial=min(radial / gain, 1.0) if gain else 0.0,
        steer=kept * flow.steer,
        wander=flow.wander + flow.steer**2 * both,
        shift=flow.shift + shift,
        aligned=None,
    )


def _aside(w: Matrix, along: float, cosine: float) -> float:
    """What comes back at right angles to the signal, of a gradient of norm 1.

    All that the weights do sums to their squares, of which `along` is what they do to the signal;
    `cosine` is the squared one of the gradient with what came of it.
    """
    fewer, more = sorted((w.outputs, w.inputs))
    squares = w.square * w.outputs
    left = max(squares - along, 0.0)
    if w.outputs == 1:
        return left
    # of singular values that differ as those of independent weights do, or not at all
    uneven = min(1.0, max(w.evenness * fewer - 1, 0.0) * more / fewer)
    own = uneven * left / w.outputs + (1 - uneven) * min(max(squares / fewer - along, 0.0), left)
    return cosine * own + (1 - cosine) * (left - own) / (w.outputs - 1)


def mean_square(values: Array | None) -> float:
    """Mean square in float64; 0 of nothing."""
    return 0.0 if values is None else float(np.square(values, dtype=np.float64).mean())
