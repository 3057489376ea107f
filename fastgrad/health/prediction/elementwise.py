"""Moments of an elementwise function of normal signals: of one row, and of two."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fastgrad.arena import Array
from fastgrad.health.prediction.signal import Flow, Signal
from fastgrad.health.prediction.units import grid, units_of
from fastgrad.initializers.functions import Function
from fastgrad.initializers.quadrature import expectation

_LEAST, _MOST = 1e-150, 1e70  # variances whose moments of fourth order are float64 numbers
_STEP = 1e-5  # of finite differences, in deviations


@dataclass(frozen=True)
class Moments:
    """Means over u and v, normal numbers of one unit in two rows, of f and its slope.

    Attributes
    ----------
    mean, power, slope2 : float
        E[f(u)], E[f(u)^2], E[f'(u)^2].
    apart : float
        ``E[(f(u) - f(v))^2] / 2``.
    growth, slope_growth : float
        ``d log E[f^2] / d log q`` and ``d log E[f'^2] / d log q``.
    fourth, fourth_pair : float
        ``E[f(u)^4]`` and ``E[f(u)^2 f(v)^2]``, over ``E[f^2]^2``; v in a row of the same size.
    sizes : float
        Relative variance of E[f(u)^2] from row to row by their sizes.
    slopes_by_size, shares : ndarray
        ``E[f'(u)^2]`` in rows of each size, over that in all, and the shares of these rows.
    slope_pair : float
        ``E[f'(u) f'(v)] / E[f'^2]``.
    slope4, slope4_pair : float
        ``E[f'(u)^4]`` and ``E[f'(u)^2 f'(v)^2]``, over ``E[f'^2]^2``.
    along, across : float
        ``E[u f'(u) f(u)]^2 / (q E[f^2])`` and ``E[(u f'(u))^2] / q`` less that: what becomes of the
        gradient along the signal, and how much the rest adds to it.
    along_pair : float
        ``E[u f'(u) v f'(v)] / q``.
    slope_signal, slope_signal_pair : float
        ``E[f'(u)^2 f(u)^2]`` and ``E[f'(u)^2 f(v)^2]``, over ``E[f'^2] E[f^2]``.
    flat : float
        Probability that f has no slope at u.
    flat_everywhere : float
        Probability that it has none in any row.
    centre, variances : ndarray or None
        ``E[f(u)]`` and the variance of f(u) for each unit, where they are known.
    """

    mean: float
    power: float
    slope2: float
    apart: float
    growth: float
    slope_growth: float
    fourth: float
    fourth_pair: float
    sizes: float
    slopes_by_size: Array
    shares: Array
    slope_pair: float
    slope4: float
    slope4_pair: float
    along: float
    across: float
    along_pair: float
    slope_signal: float
    slope_signal_pair: float
    flat: float
    flat_everywhere: float
    centre: Array | None
    variances: Array | None


def moments(function: Function, signal: Signal) -> Moments:
    """Of a function of units that are normal, with what the signal says of them."""
    m = signal.mean
    variance = min(max(signal.power - m * m, _LEAST), _MOST)
    given = variance + m * m
    units = units_of(signal, variance)
    u, pair, single = units.u, units.pair, units.single
    f, slope = function.value(u), _slope(function, u, math.sqrt(variance))
    turned = u * slope
    if units.known:
        mean, power, slope2 = single(f), single(np.square(f)), single(np.square(slope))
        growth = single(turned * f)
    else:
        mean, power, slope2, growth = _integrals(function, m, variance)
    level = units.inner(f)
    variances = units.inner(np.square(f - level[:, None]))
    apart = float(units.weights @ variances) if units.alike else max(power - pair(f), 0.0)
    along = single(turned * f) ** 2 / (given * power) if power else 0.0
    flat = (slope == 0).astype(np.float64)
    f2, s2 = (np.square(f) / power if power else f), np.square(slope)
    base = single(s2)  # of this grid, so that its error at jumps cancels
    s2, s1 = (s2 / base, slope / math.sqrt(base)) if base else (s2, slope)
    dead = units.inner(flat) ** signal.rows if units.alike else np.zeros(len(u))
    return Moments(
        mean=mean,
        power=power,
        slope2=slope2,
        apart=apart * (signal.unbiased if units.known else 1.0),
        growth=growth / power if power else 1.0,
        slope_growth=single((np.square(u - m) / variance - 1) * s2) / 2,
        fourth=single(f2 * f2),
        fourth_pair=pair(f2) if len(units.shares) == 1 else units.squared(f2),
        sizes=units.between(f2),
        slopes_by_size=units.weights @ units.sized(s2),
        shares=units.shares,
        slope_pair=pair(s1),
        slope4=single(s2 * s2),
        slope4_pair=pair(s2),
        along=along,
        across=max(single(np.square(turned)) / given - along, 0.0),
        along_pair=pair(turned) / given,
        slope_signal=single(s2 * f2),
        slope_signal_pair=pair(s2, f2),
        flat=_flat(function, m, variance),
        flat_everywhere=float(units.weights @ dead),
        centre=level if units.known else None,
        variances=variances if units.known else None,
    )


def _flat(function: Function, m: float, variance: float) -> float:
    """Probability that a function has no slope at a normal variable."""
    z, weights, _, _ = grid()
    deviation = math.sqrt(variance)
    slope = _slope(function, (m + deviation * z)[:, None], deviation)
    return float(weights @ (slope[:, 0] == 0))


def _integrals(function: Function, m: float, variance: float) -> tuple[float, float, float, float]:
    """Of a normal variable, E[f], E[f^2], E[f'^2] and ``d E[f^2] / 2 d log q``, all precise."""

    def squared_slope(u: Array, half: Array) -> tuple[Array, Array | float]:
        slope, rounding = function.slope(m + u, half)
        return slope**2, 2 * np.abs(slope) * rounding

    growth = expectation(
        lambda u, _: ((u * u / variance - 1) * np.square(function.value(m + u)), 0.0), variance
    )
    return (
        expectation(lambda u, _: (function.value(m + u), 0.0), variance),
        expectation(lambda u, _: (np.square(function.value(m + u)), 0.0), variance),
        expectation(squared_slope, variance),
        growth / 2,
    )


def applied(signal: Signal, found: Moments) -> Signal:
    """The signal behind an elementwise function of normal, independent units."""
    n, grown = signal.features, found.growth**2
    own, both = _noise(signal, found)
    product = found.power - found.apart
    cosine = product / found.power if found.power else 1.0
    # what cosines of rows differ by goes through the map of cosines, by its slope
    slope = found.slope2 * found.slope_pair * signal.power / found.power if found.power else 0.0
    before = signal.product / signal.power if signal.power else 1.0
    differ = slope**2 * max(signal.alike - before**2, 0.0)
    return replace(
        signal,
        power=found.power,
        apart=found.apart,
        mean=found.mean,
        alike=min(1.0, cosine**2 + max(differ, (1 - cosine**2) / n)),
        spread=(found.sizes or grown * signal.spread) + own,
        shared=grown * signal.shared + both,
        uneven=grown * signal.uneven,
        degree=signal.degree * found.growth,
        centre=found.centre,
        variances=found.variances,
    )


def _noise(signal: Signal, found: Moments) -> tuple[float, float]:
    """Relative variance of a squared norm, and of two, that the function adds to what it is given.

    What units of one given norm do, beside what the norm itself does. What they do in all rows
    counts only where it is not known.
    """
    grown = found.growth**2
    own = found.fourth - 1 - 2 * grown
    both = found.fourth_pair - 1 - 2 * grown * signal.alike
    if found.centre is not None:
        own, both = own - both, 0.0
    return max(own, 0.0) / signal.features, max(min(both, own), 0.0) / signal.features


def through_slopes(flow: Flow, found: Moments, signal: Signal) -> Flow:
    """The gradient below an elementwise function of that signal; above it, it points anywhere.

    The sums over units are split into one unit twice, and two different ones.
    """
    n = flow.features
    aside = 1 - flow.radial
    # what points aside has the less of a unit, the more of the signal is there
    others = (n - found.slope_signal) / (n - 1) if n > 1 else 1.0
    kept = found.slope2 * (aside * others + found.slope_signal * flow.radial)
    along = found.along * flow.radial + found.across * aside / max(n - 1, 1)
    own, both = _noise(signal, found)
    # units with steep slopes are those with large outputs, or those with small ones
    steered = 1 + found.growth * 2 * found.slope_growth
    with_own = (found.slope_signal - steered) / signal.features
    with_both = (found.slope_signal_pair - 1 - (steered - 1) * signal.alike) / signal.features
    twice, twice_same = (flow.pair + 2 * flow.overlap) / (n + 2), 3 * flow.same / (n + 2)
    crossed = twice
    if found.centre is not None:  # and with that the mean over units
        twice, twice_same = 2 * flow.overlap / (n + 2), 2 * flow.same / (n + 2)
    shift = drift(flow.steer, own, both) + flow.steer * (with_own - with_both)
    wander = flow.steer**2 * both + 2 * flow.steer * with_both
    if found.centre is not None:  # rows of each size for themselves, but there are not so many
        shift, wander = 0.0, flow.steer**2 * own / flow.rows
        if kept:
            total = found.sizes + own
            flow = flow.inherited(found.sizes / total if total else 1.0)
            flow = flow.resized(found.slopes_by_size, found.shares)
    coherent = found.slope_pair**2
    own_products = found.along + found.across
    products = own_products + flow.cross * found.along_pair
    products += flow.kin * max(own_products - found.along_pair, 0.0)
    return replace(
        flow,
        log_power=flow.log_power + log(kept),
        # slopes of rows that are alike agree more: all of them in the limit, as a line has it
        cross=flow.cross * found.slope_pair + flow.kin * (1 - found.slope_pair),
        kin=flow.kin * (1 - (1 - found.slope_pair) * flow.near),
        same=flow.same + (found.slope4 - 1) * twice_same,
        pair=flow.pair + (found.slope4_pair - 1) * twice,
        overlap=coherent * flow.overlap + (found.slope4_pair - coherent) * crossed,
        radial=min(along / kept, 1.0) if kept else 0.0,
        steer=found.growth * flow.steer + found.slope_growth,
        wander=flow.wander + wander,
        shift=flow.shift + shift,
        aligned=max(products, 0.0) / found.slope2 if found.slope2 else 1.0,
    )


def drift(steer: float, own: float, both: float) -> float:
    """What a relative variance `own` of the signal's squared norm adds to the log of a gradient's.

    `both` of it is the same in all rows, and wanders; see `Flow`.
    """
    return (steer**2 * max(own - both, 0.0) - steer * own) / 2


def log(x: float) -> float:
    """Of a number of at least 0."""
    return math.log(x) if x > 0 else -math.inf


def _slope(function: Function, u: Array, deviation: float) -> Array:
    if function.dphi is not None:
        return function.slope(u, np.zeros((len(u), 1)))[0]
    step = _STEP * deviation
    return (function.value(u + step) - function.value(u - step)) / (2 * step)
