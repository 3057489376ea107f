"""What is known of a signal on its way up, and of a gradient on its way down: a few moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from fastgrad.arena import Array

_SIZES = 9  # that rows are taken to have
_QUANTILES = np.array([NormalDist().inv_cdf((k + 0.5) / _SIZES) for k in range(_SIZES)])
_QUANTILES /= _QUANTILES.std()
_ALIKE = 1e-3  # relative variance of squared norms that is none


@dataclass(frozen=True)
class Signal:
    """A minibatch of activations, as moments over units, rows and pairs of rows.

    Attributes
    ----------
    features, rows : int
        Its shape; each time step of a sequence is a row.
    power : float
        Mean square, the q of Poole et al. 2016 (arXiv:1606.05340).
    apart : float
        ``power`` less the mean product of two rows: half their mean squared difference, kept for
        itself since in an ordered network it falls far below the last digit of `power`.
    mean : float
        Over units; behind weights, what it is over their draws.
    alike : float
        Mean squared cosine between two rows.
    spread, shared : float
        Relative variance of a row's squared norm from row to row and from draw to draw of the
        weights, and the covariance of two rows' norms.
    uneven : float
        Relative variance of squared norms from row to row of the data, the longest ones included.
    steps : int
        Rows that are the times of one sequence.
    steady, lasting : float
        Of what differs from row to row, steps k apart have a mean product of
        ``steady * lasting**k``, relative to that of one step.
    degree : float
        Derivative of the log of its size by that of the branch's input, 1 of homogeneous layers.
    centre, variances : ndarray (features,) or None
        Mean and variance over rows of each unit, where they are known for these very weights: of
        networks that make all rows alike, the mean is nearly the whole signal, and its size is
        then no matter of chance. `power` is their mean, ``centre^2 + variances``.
    """

    features: int
    rows: int
    power: float
    apart: float
    mean: float = 0.0
    alike: float = 1.0
    spread: float = 0.0
    shared: float = 0.0
    uneven: float = 0.0
    steps: int = 1
    steady: float = 0.0
    lasting: float = 0.0
    degree: float = 1.0
    centre: Array | None = None
    variances: Array | None = None

    @property
    def sizes(self) -> tuple[Array, Array]:
        """Norms of rows whose squares are log-normal, relative to their mean square; their shares.

        A few that stand for all.
        """
        if self.spread < _ALIKE:
            return np.ones(1), np.ones(1)
        sizes = np.exp(math.sqrt(math.log1p(self.spread)) * _QUANTILES / 2)
        return sizes / math.sqrt(float(np.square(sizes).mean())), np.full(_SIZES, 1 / _SIZES)

    def of_units(self, centre: Array, variances: Array) -> Signal:
        """The same rows with these means and variances of their units."""
        variance = float(variances.mean())
        power = float(np.square(centre).mean()) + variance
        apart = variance * self.unbiased
        return replace(
            self,
            features=len(centre),
            power=power,
            apart=apart,
            mean=float(centre.mean()),
            centre=centre,
            variances=variances,
        )

    @property
    def unbiased(self) -> float:
        """`apart` over the variance of the units, n / (n - 1) of n rows."""
        variance = 0.0 if self.variances is None else float(self.variances.mean())
        return self.apart / variance if variance else 1.0

    @property
    def common(self) -> float:
        """Share of the power that is known to be the same in all rows."""
        if self.centre is None or not self.power:
            return 0.0
        return min(float(np.square(self.centre).mean()) / self.power, 1.0)

    @property
    def product(self) -> float:
        """Mean product of two rows."""
        return self.power - self.apart

    @property
    def fluctuation(self) -> float:
        """Relative variance of the squared norm of the minibatch."""
        return (self.spread + self.uneven) / self.rows + (1 - 1 / self.rows) * self.shared


@dataclass(frozen=True)
class Flow:
    """The gradient of a minibatch, at the output of one layer.

    `same`, `pair` and `overlap` are second moments over draws of the weights, relative to squares
    of means; for a squared norm that is log-normal its median lies ``log(moment) / 2`` below the
    log of its mean (Hanin & Nica 2018, arXiv:1812.05994).

    Attributes
    ----------
    features, rows : int
    log_power : float
        Log of its squared norm, all rows together, in the mean.
    cross : float
        Sum of products of different rows, over that squared norm.
    same, pair : float
        Of the squared norm of one row, and of those of two rows.
    overlap : float
        Of the product of two rows: their mean squared cosine.
    radial : float
        Mean squared cosine between a row's gradient and the row of the signal itself. Weights take
        both up and down, so that the gradient along the signal grows as the signal's own size
        does, which for gelu and silu is faster than in all other directions.
    aligned : float or None
        Mean square over units of the sum of products of gradient and signal over the rows, relative
        to that of independent ones in rows of their own; None where they are independent.
    steer : float
        Derivative of the log of its squared norm by that of the signal's here.
    wander : float
        Variance of that log from draw to draw, by what the norms of all signals above do.
    shift : float
        Its mean by the same: norms are smaller in the median than in the mean, and of rows that
        differ those with the largest gradient count most.
    sizes : ndarray
        Squared norms of the gradients of rows of each of `Signal.sizes`, their mean being 1.
    kin, near : float
        Rows whose gradients agree, as those of one class, are alike themselves: the sum over pairs
        of what their products of gradients have beyond the mean, times what those of signals have,
        relative to the squared norm and `Signal.apart`; and half their mean squared distance, over
        that of all.
    steady, lasting : float
        Of the steps of a sequence, those k apart have a mean product of ``steady * lasting**k``,
        relative to that of the later one.
    along : ndarray (steps,) or None
        Share of each step of a sequence in the squared norm; all alike if None.
    """

    features: int
    rows: int
    log_power: float
    cross: float
    same: float
    pair: float
    overlap: float
    radial: float
    aligned: float | None = None
    steer: float = 0.0
    wander: float = 0.0
    shift: float = 0.0
    sizes: Array = field(default_factory=lambda: np.ones(1))
    kin: float = 0.0
    near: float = 1.0
    steady: float = 0.0
    lasting: float = 0.0
    along: Array | None = None

    def alignment(self, signal: Signal) -> float:
        """The same for a signal, whether it is known or not."""
        return self.summed(signal) if self.aligned is None else self.aligned

    def summed(self, signal: Signal) -> float:
        """Squared norm of the sum over rows of ``delta a'``, over the sum of squared norms."""
        if not signal.power:
            return 1 + self.cross
        others = self.cross * signal.product + self.kin * signal.apart
        sizes, shares = signal.sizes
        own = float((shares * self.sizes * np.square(sizes)).sum())
        if len(sizes) < len(self.sizes):
            own = 1.0
        return max(own + others / signal.power, 0.0)

    def inherited(self, share: float) -> Flow:
        """Gradients of rows of each size below a layer from which so much of the variance comes.

        The longest rows above it are the longest ones below only as far as that goes.
        """
        if len(self.sizes) == 1 or share >= 1:
            return self
        kept = math.sqrt(max(share, 0.0))
        off = _QUANTILES - kept * _QUANTILES[:, None]
        weights = np.exp(-np.square(off) / (2 * (1 - kept * kept)))
        sizes = (weights @ self.sizes) / weights.sum(axis=1)
        return replace(self, sizes=sizes / sizes.mean())

    def resized(self, factors: Array, shares: Array) -> Flow:
        """Gradients of rows of each size times such factors, whose mean need not be 1."""
        if len(factors) < len(self.sizes):  # of rows that are all of one size
            return replace(self, log_power=self.log_power + math.log(float(factors[0])))
        sizes = self.sizes * factors
        mean = float((shares * sizes).sum())
        return replace(self, log_power=self.log_power + math.log(mean), sizes=sizes / mean)

    @property
    def log_moment(self) -> float:
        """Log of the second moment of the squared norm of the minibatch: its log's variance."""
        share = 1 / self.rows
        return math.log(max(1.0, share * self.same + (1 - share) * self.pair))

    @property
    def log_norm(self) -> float:
        """Log of the norm, in the median."""
        return (self.log_power + self.shift - self.log_moment / 2) / 2


Back: TypeAlias = Callable[[Flow], Flow]

DECADE = math.log(10.0)


def random_flow(features: int, rows: int, cross: float = 0.0) -> Flow:
    """Of norm 1: normal numbers, with that `cross`."""
    same = 1 + 2 / features
    pair = (1 - same / rows) / (1 - 1 / rows) if rows > 1 else 1.0  # the whole is exactly 1
    cosine = cross / (rows - 1) if rows > 1 else 0.0
    overlap = max(1 / features, cosine * cosine)
    return Flow(features, rows, 0.0, cross, same if rows > 1 else 1.0, pair, overlap, 1 / features)
