"""`lr_range_test`: which learning rates a model can be trained with (Smith 2017, section 3.3)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks, optimizers
from fastgrad.arena import Array
from fastgrad.errors import GradientError
from fastgrad.model import Sequential
from fastgrad.recurrent.models import stateful_layer
from fastgrad.train import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 0.1  # standard deviation of the smoothing, in decades of the learning rate
_DIVERGED = 4  # times the best loss
_SCATTER = 2  # standard deviations of the minibatches' losses that a fall must exceed


@dataclass(frozen=True, repr=False)
class RangeTest:
    """What `lr_range_test` found.

    Attributes
    ----------
    lrs : ndarray of float64
        The learning rates tried, in order.
    losses : ndarray of float64
        After the update with each of them, the loss of the next minibatch; inf where this loss or
        its gradient was not finite.
    smoothed : ndarray of float64
        Means of the losses, of which none counts more than 4 times the first, weighted by a
        Gaussian of 0.1 decades.
    steepest : float or None
        Where, on its way to the minimum, the smoothed loss falls most from decade to decade. None
        where it falls by less than 2 standard deviations of the losses around it.
    divergence : float or None
        The learning rate at which the test was stopped, since the median of three losses was above
        4 times the best such median, or a loss not finite.
    suggestion : float or None
        The lesser of `steepest` and a tenth of `divergence`.
    reason : str
        Which of the two the suggestion is.
    """

    lrs: Array
    losses: Array
    smoothed: Array
    steepest: float | None
    divergence: float | None

    @property
    def suggestion(self) -> float | None:
        """The lesser of `steepest` and a tenth of `divergence`."""
        return min(self._candidates(), default=(None, ""))[0]

    @property
    def reason(self) -> str:
        """Which of the two the suggestion is."""
        nothing = "the loss neither fell nor diverged: try higher learning rates"
        return min(self._candidates(), default=(0.0, nothing))[1]

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw losses over learning rates; by default on a new figure of pyplot."""
        from fastgrad.plots import range_axes

        return range_axes(self, axes)

    def __repr__(self) -> str:
        found = "no suggestion" if self.suggestion is None else f"suggestion {self.suggestion:.2g}"
        tried = f"{len(self.lrs)} learning rates from {self.lrs[0]:.2g} to {self.lrs[-1]:.2g}"
        return f"<RangeTest of {tried}: {found}, {self.reason}>"

    def _candidates(self) -> list[tuple[float, str]]:
        found = []
        if self.steepest is not None:
            found.append((self.steepest, "where the loss falls most"))
        if self.divergence is not None:
            found.append((self.divergence / 10, "a tenth of where it diverges"))
        return found


def lr_range_test(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    loss: Any,
    optimizer: Any = "adam",
    clip: Any = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int = 64,
    sample_weight: Any = None,
    lengths: Any = None,
    rng: Any = None,
) -> RangeTest:
    """Train a copy of the model with a learning rate that grows with each step.

    Model, optimizer and generator stay as they are.

    Parameters
    ----------
    model : Sequential
    X : array-like, (N, inputs) or (N, T, inputs)
    y : array-like
        Targets, as the loss takes them.
    loss, optimizer, clip
        As for `Trainer`; the optimizer's own learning rate does not count.
    low, high : float
        First and last learning rate, above 0; those between are evenly spaced in the exponent.
    steps : int
        How many; at least 5.
    batch_size : int
        Rows of a minibatch, N at most. They are drawn in the random order of one epoch after
        another.
    sample_weight, lengths
        As for `Trainer.epoch`.
    rng : int or numpy.random.Generator
        Seed of the order of rows, and of dropout.

    Returns
    -------
    RangeTest

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit.
    GradientError
        For a loss or gradient that is not finite before any update.
    """
    steps = checks.count("steps", steps, minimum=5)
    lrs = _rates(low, high, steps)
    generator = copy.deepcopy(checks.generator(rng))
    optimizer = copy.deepcopy(optimizers.get(optimizer))
    trainer = Trainer(copy.deepcopy(model), loss, optimizer, clip, generator)
    name = stateful_layer(trainer.model.layers)
    if name is not None:
        raise ValueError(f"layer {name} is stateful: rows drawn at random do not go on from others")
    trainer.model.fit_input(X, again=False, lengths=lengths)
    rows = trainer.model.checked("X", X, lengths=lengths)
    data = trainer.samples(rows, y, sample_weight, lengths)
    size = min(checks.count("batch_size", batch_size), len(data.x))

    losses: list[float] = []
    medians: list[float] = []
    # the first loss is that before any update, and each of the others belongs to the rate before
    batches = _batches(len(data.x), size, steps + 1, generator)
    for lr, rows in zip([*lrs, lrs[-1]], batches, strict=True):
        optimizer.lr = lr
        try:
            given = data.x, data.target, data.weight, data.lengths
            losses.append(trainer.step(*(None if a is None else a[rows] for a in given)))
        except GradientError:
            if not losses:
                raise
            losses.append(np.inf)
        medians.append(float(np.median(losses[-3:])))
        diverged = losses[-1] == np.inf or medians[-1] > _DIVERGED * min(medians)
        if diverged:
            break
    found = np.array(losses[1:])
    tried = np.array(lrs[: len(found)])
    smoothed = _smoothed(tried, np.minimum(found, _DIVERGED * losses[0]))
    steepest = _steepest(tried, found, smoothed)
    return RangeTest(tried, found, smoothed, steepest, float(tried[-1]) if diverged else None)


def _rates(low: Any, high: Any, steps: int) -> list[float]:
    low = checks.number("low", low, 0, open_low=True)
    high = checks.number("high", high, low, open_low=True)
    found: list[float] = np.geomspace(low, high, steps).tolist()
    return found


def _batches(rows: int, size: int, count: int, rng: np.random.Generator) -> Array:
    """Row numbers of each minibatch, (count, size)."""
    epochs = -(-count * size // rows)
    order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
    return order[: count * size].reshape(count, size)


def _smoothed(lrs: Array, losses: Array) -> Array:
    distance = np.subtract.outer(np.log10(lrs), np.log10(lrs)) / _WIDTH
    weights = np.exp(-(distance**2) / 2)
    smoothed: Array = weights @ losses / weights.sum(axis=1)
    return smoothed


def _steepest(lrs: Array, losses: Array, smoothed: Array) -> float | None:
    lowest = int(smoothed.argmin())
    if lowest == 0:
        return None
    way = slice(lowest + 1)
    if smoothed[0] - smoothed[lowest] <= _SCATTER * np.std(losses[way] - smoothed[way]):
        return None
    return float(lrs[np.gradient(smoothed, np.log10(lrs))[way].argmin()])
